/** A list of posts that is loaded in pages downwards and grows live at its top. */
import { asApiError, type ApiError, type Query } from '../../platform/api';
import type { Fetch } from './api';
import type { Status } from './entities';
import { appended, merged, newerFirst, type Posts } from './posts';

/** What changes posts wherever they are shown. */
export interface Holder {
  revise(change: (posts: Posts) => Posts): void;
}

const PAGE = 20;
/** Posts that a list keeps while it grows at the top; what falls off the end is loaded again when somebody gets there. */
const KEPT = 400;
/** Posts that wait to be shown. Beyond this the reader has been away, and starts anew from the top. */
const WAITING = 200;

/** Anything that comes in pages, top to bottom. */
export class Pages<T extends { id: string }> {
  /** null until the first page came. */
  items = $state.raw<readonly T[] | null>(null);
  error = $state.raw<ApiError | null>(null);
  loading = $state(false);
  next = $state.raw<Query | null>(null);
  readonly #fetch: Fetch<T>;
  readonly #size: number;
  #abort = new AbortController();

  constructor(fetch: Fetch<T>, size = PAGE) {
    this.#fetch = fetch;
    this.#size = size;
  }

  /** The first page, if it isn't there yet. */
  async begin(): Promise<void> {
    if (!this.items && !this.loading) await this.reload();
  }

  /** The first page anew; what is shown stays until it came. */
  async reload(): Promise<void> {
    await this.#load({}, (page) => (this.items = appended([], page)));
  }

  async more(): Promise<void> {
    if (this.loading || !this.items || !this.next) return;
    await this.#load(this.next, (page) => (this.items = appended(this.items ?? [], page)));
  }

  protected async newest(query: Query): Promise<readonly T[]> {
    return (await this.#fetch({ limit: 2 * PAGE, ...query })).items;
  }

  async #load(query: Query, keep: (page: T[]) => void): Promise<void> {
    this.#abort.abort();
    const { signal } = (this.#abort = new AbortController());
    this.loading = true;
    this.error = null;
    try {
      const page = await this.#fetch({ limit: this.#size, ...query }, signal);
      if (signal.aborted) return;
      keep(page.items);
      this.next = page.items.length ? page.next : null;
    } catch (thrown) {
      if (signal.aborted) return;
      this.error = asApiError(thrown);
    }
    this.loading = false;
  }
}

export class Timeline extends Pages<Status> implements Holder {
  /** Arrived, but not shown: the reader is further down. */
  waiting = $state.raw<Posts>([]);
  /** True while the reader sees the top: what arrives is shown at once. */
  atTop = false;
  /** How far down the reader was, in pixels. */
  scroll = 0;
  /** Something between `waiting` and `items` was missed. */
  #gap = false;

  revise(change: (posts: Posts) => Posts): void {
    if (this.items) this.items = change(this.items);
    this.waiting = change(this.waiting);
  }

  arrive(posts: Posts): void {
    if (!this.items) return;
    const known = new Set(this.items.map((post) => post.id));
    const waiting = merged(this.waiting, posts.filter((post) => !known.has(post.id)));
    this.#gap ||= waiting.length > WAITING;
    this.waiting = waiting.slice(0, WAITING);
    if (this.atTop) this.show();
  }

  /** Puts what waits on top. */
  show(): void {
    const all = this.#gap ? this.waiting : merged(this.items ?? [], this.waiting);
    const last = all.at(KEPT - 1);
    this.items = all.slice(0, KEPT);
    if (this.#gap || (all.length > KEPT && last)) this.next = { max_id: this.items.at(-1)?.id };
    this.waiting = [];
    this.#gap = false;
  }

  /** Asks for what arrived while nobody listened. */
  async catchUp(): Promise<void> {
    const top = [...this.waiting, ...(this.items ?? [])].sort(newerFirst)[0];
    if (!this.items) return;
    if (!top) return this.reload();
    try {
      const missed = await this.newest({ since_id: top.id });
      // A full answer may hide more behind it.
      if (missed.length >= 2 * PAGE) {
        this.#gap = true;
        this.waiting = [];
      }
      this.arrive(missed);
    } catch {
      // The stream goes on; the next time we ask again.
    }
  }
}
