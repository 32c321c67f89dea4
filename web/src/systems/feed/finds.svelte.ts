/** What a search found; of one kind there is more than a page. */
import type { FeedApi, FoundType } from './api';
import type { Found } from './entities';
import { appended, type Posts } from './posts';
import type { Holder } from './timeline.svelte';

const PAGE = 20;
/** Of each kind, where all are shown together. */
const FEW = 5;

export class Finds implements Holder {
  found = $state.raw<Found | null>(null);
  more = $state(false);
  loading = $state(false);
  readonly #api: FeedApi;
  readonly #q: string;
  readonly #type: FoundType | null;

  constructor(api: FeedApi, q: string, type: FoundType | null) {
    this.#api = api;
    this.#q = q;
    this.#type = type;
  }

  /** The newest answer; what was found before stays until it came. */
  async load(signal: AbortSignal): Promise<void> {
    if (this.#type) {
      const found = await this.#api.search(this.#q, { type: this.#type, limit: PAGE }, signal);
      this.more = found[this.#type].length === PAGE;
      this.found = found;
      return;
    }
    const found = await this.#api.search(this.#q, { limit: PAGE }, signal);
    this.found = { ...found, accounts: found.accounts.slice(0, FEW), hashtags: found.hashtags.slice(0, FEW) };
  }

  async next(): Promise<void> {
    const type = this.#type;
    if (!type || !this.found || this.loading) return;
    this.loading = true;
    try {
      const page = await this.#api.search(this.#q, { type, limit: PAGE, offset: this.found[type].length });
      this.more = page[type].length === PAGE;
      this.found = {
        accounts: [...appended(this.found.accounts, page.accounts)],
        statuses: [...appended(this.found.statuses, page.statuses)],
        hashtags: [...this.found.hashtags, ...page.hashtags.filter((tag) => !this.found?.hashtags.some((one) => one.name === tag.name))],
      };
    } finally {
      this.loading = false;
    }
  }

  revise(change: (posts: Posts) => Posts): void {
    if (this.found) this.found = { ...this.found, statuses: [...change(this.found.statuses)] };
  }
}
