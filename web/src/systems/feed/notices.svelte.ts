/** The reader's notifications: loaded, growing live, and how many of them are new. */
import type { FeedApi } from './api';
import type { Notice } from './entities';
import { newerFirst, type Posts } from './posts';
import { Pages, type Holder } from './timeline.svelte';

const PAGE = 40;

export class Notices extends Pages<Notice> implements Holder {
  readonly #api: FeedApi;
  #seen = $state('');
  #marker: Promise<void> | null = null;

  constructor(api: FeedApi, mentionsOnly = false) {
    super(api.notices(mentionsOnly), PAGE);
    this.#api = api;
  }

  override async begin(): Promise<void> {
    await (this.#marker ??= this.#readMarker());
    await super.begin();
  }

  async #readMarker(): Promise<void> {
    // Without an answer all of them are new, which is the lesser mistake.
    this.#seen = await this.#api.readUntil().catch(() => '');
  }

  arrive(notices: readonly Notice[]): void {
    const known = new Set((this.items ?? []).map((notice) => notice.id));
    const fresh = notices.filter((notice) => !known.has(notice.id));
    if (this.items && fresh.length) this.items = [...fresh, ...this.items].sort(newerFirst);
  }

  async catchUp(): Promise<void> {
    if (!this.items) return this.begin();
    const top = this.items[0];
    if (!top) return this.reload();
    try {
      this.arrive(await this.newest({ since_id: top.id }));
    } catch {
      // The stream goes on; the next time we ask again.
    }
  }

  /** How many came since the reader last looked. Not derived state, which would end with the page that made it. */
  get unread(): number {
    return (this.items ?? []).filter((notice) => newerFirst(notice, { id: this.#seen }) < 0).length;
  }

  /** The newest one that was looked at. */
  get seen(): string {
    return this.#seen;
  }

  /** All of them have been looked at. */
  see(): void {
    const top = this.items?.[0]?.id;
    if (!top || top === this.#seen) return;
    this.#seen = top;
    void this.#api.markRead(top).catch(() => undefined);
  }

  revise(change: (posts: Posts) => Posts): void {
    if (!this.items) return;
    let touched = false;
    const items = this.items.flatMap((notice) => {
      if (!notice.status) return [notice];
      const before = [notice.status];
      const after = change(before);
      if (after === before) return [notice];
      touched = true;
      return after[0] ? [{ ...notice, status: after[0] }] : [];
    });
    if (touched) this.items = items;
  }
}
