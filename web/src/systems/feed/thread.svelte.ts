/** A post with what it answers and what answers it. */
import { asApiError, type ApiError } from '../../platform/api';
import type { FeedApi } from './api';
import type { Status } from './entities';
import { merged, threaded, type Placed, type Posts } from './posts';
import type { Holder } from './timeline.svelte';

export class Thread implements Holder {
  readonly id: string;
  focus = $state.raw<Status | null>(null);
  ancestors = $state.raw<Posts>([]);
  descendants = $state.raw<Posts>([]);
  error = $state.raw<ApiError | null>(null);
  /** The post was here, and was deleted while it was open. */
  gone = $state(false);
  loading = $state(true);
  readonly #api: FeedApi;

  constructor(api: FeedApi, id: string) {
    this.#api = api;
    this.id = id;
  }

  /** In the order of reading. Not derived state, which would end with the page that made it. */
  get replies(): Placed[] {
    return threaded(this.id, this.descendants);
  }

  async load(): Promise<void> {
    this.error = null;
    this.loading = true;
    try {
      const [focus, context] = await Promise.all([this.#api.read(this.id), this.#api.context(this.id)]);
      this.focus = focus;
      this.ancestors = context.ancestors;
      this.descendants = merged(context.descendants, this.descendants.filter((post) => post.created_at > focus.created_at));
      this.gone = false;
    } catch (thrown) {
      this.error = asApiError(thrown);
    }
    this.loading = false;
  }

  revise(change: (posts: Posts) => Posts): void {
    this.ancestors = change(this.ancestors);
    this.descendants = change(this.descendants);
    if (!this.focus) return;
    this.focus = change([this.focus])[0] ?? null;
    this.gone = this.focus === null;
  }

  /** Takes a new post in if it belongs here. */
  reply(post: Status): void {
    const answered = post.in_reply_to_id;
    if (answered === this.id || this.descendants.some((one) => one.id === answered))
      this.descendants = merged(this.descendants, [post]);
  }
}
