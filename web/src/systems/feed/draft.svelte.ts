/** A post that is being written, with its media. It outlives the page it is written on. */
import { ApiError, asApiError } from '../../platform/api';
import type { FeedApi, NewStatus } from './api';
import type { Limits, Media, Status, Visibility } from './entities';
import { lengthOf, nameOf } from './text';

/** Seconds between questions whether a video is ready. */
const PREPARING = 1;

export class Attachment {
  readonly key = randomKey();
  media = $state.raw<Media | null>(null);
  /** How much is sent, from 0 to 1. */
  progress = $state(0);
  error = $state('');
  description = $state('');
  /** Belongs to a post already: its alt text is changed with that post. */
  readonly kept: boolean;
  /** What to show before the server's own preview; of films there is none, a page may not play what it holds. */
  readonly preview: string;
  readonly kind: string;
  readonly #abort = new AbortController();
  readonly #url: string | null = null;

  constructor(api: FeedApi, source: File | Media) {
    this.kept = !(source instanceof File);
    if (source instanceof File) {
      this.#url = this.preview = URL.createObjectURL(source);
      this.kind = source.type.split('/', 1)[0] ?? '';
      void this.#send(api, source);
    } else {
      this.media = source;
      this.preview = source.preview_url ?? source.url ?? '';
      this.kind = source.type;
      this.description = source.description ?? '';
    }
  }

  async #send(api: FeedApi, file: File): Promise<void> {
    const { signal } = this.#abort;
    try {
      let media = await api.upload(file, (share) => (this.progress = share), signal);
      while (media.url === null && !signal.aborted) {
        await new Promise((resolve) => setTimeout(resolve, PREPARING * 1000));
        media = await api.media(media.id);
      }
      if (this.description) media = await api.describe(media.id, this.description);
      this.media = media;
    } catch (thrown) {
      this.error = asApiError(thrown).message;
    }
  }

  async describe(api: FeedApi, description: string): Promise<void> {
    this.description = description;
    // One that is still on its way is described when it has arrived.
    if (this.media && !this.kept) this.media = await api.describe(this.media.id, description);
  }

  drop(): void {
    this.#abort.abort();
    if (this.#url) URL.revokeObjectURL(this.#url);
  }
}

/** Random characters for what has to be told apart; crypto.randomUUID is missing on plain http. */
function randomKey(): string {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join('');
}

export class Draft {
  text = $state('');
  warns = $state(false);
  warning = $state('');
  sensitive = $state(false);
  visibility = $state<Visibility>('public');
  attachments = $state.raw<readonly Attachment[]>([]);
  busy = $state(false);
  error = $state.raw<ApiError | null>(null);
  readonly replyTo: Status | null;
  readonly edits: Status | null;
  /** Names this post to the server, so that sending it twice after a lost answer doesn't post it twice. */
  #key = randomKey();
  readonly #api: FeedApi;
  readonly #opening: string;

  constructor(api: FeedApi, me: string, what: { replyTo?: Status; edits?: Status; source?: { text: string; spoiler_text: string } } = {}) {
    this.#api = api;
    this.replyTo = what.replyTo ?? null;
    this.edits = what.edits ?? null;
    if (what.edits) {
      this.visibility = what.edits.visibility;
      this.sensitive = what.edits.sensitive;
      this.attachments = what.edits.media_attachments.map((media) => new Attachment(api, media));
      this.text = what.source?.text ?? '';
      this.warning = what.source?.spoiler_text ?? '';
      this.warns = this.warning !== '';
    } else if (what.replyTo) {
      // A reply is heard by whom the post spoke to, and is no more public than the post.
      const { account, mentions, visibility, spoiler_text } = what.replyTo;
      const people = new Set([account.acct, ...mentions.map((mention) => mention.acct)].filter((acct) => acct !== me));
      this.text = [...people].map((acct) => `@${acct} `).join('');
      this.visibility = visibility;
      this.warning = spoiler_text;
      this.warns = spoiler_text !== '';
    }
    this.#opening = this.text;
  }

  get title(): string {
    if (this.edits) return 'Edit your post';
    return this.replyTo ? `Reply to ${nameOf(this.replyTo.account)}` : 'New post';
  }

  /** Nothing would be lost if it went. */
  get isUntouched(): boolean {
    return this.text === this.#opening && !this.attachments.length;
  }

  length(limits: Limits): number {
    return lengthOf(this.text, limits.url) + (this.warns ? lengthOf(this.warning, limits.url) : 0);
  }

  /** Why it can't be sent; null when it can. An empty reason needs no words. */
  obstacle(limits: Limits): string | null {
    if (this.attachments.some((one) => one.error)) return 'Remove what couldn’t be uploaded.';
    if (this.attachments.some((one) => !one.media)) return 'Wait until everything is uploaded.';
    const over = this.length(limits) - limits.characters;
    if (over > 0) return `That is ${over} too long.`;
    // The names that a reply begins with are no reply.
    const isEmpty = !this.attachments.length && (!this.text.trim() || (this.replyTo && this.isUntouched));
    return isEmpty ? '' : null;
  }

  attach(files: Iterable<File>, most: number): void {
    const room = most - this.attachments.length;
    const media = [...files].filter((file) => /^(image|video|audio)\//.test(file.type));
    this.attachments = [...this.attachments, ...media.slice(0, room).map((file) => new Attachment(this.#api, file))];
    this.error = media.length > room ? new ApiError({ title: `A post takes ${most} pictures or videos.`, status: 0, code: 'full' }) : null;
  }

  detach(attachment: Attachment): void {
    attachment.drop();
    this.attachments = this.attachments.filter((one) => one !== attachment);
  }

  /** The post as the server keeps it, or null when it failed; `error` says why. */
  async send(): Promise<Status | null> {
    if (this.busy) return null;
    this.busy = true;
    this.error = null;
    const media = this.attachments.flatMap((one) => (one.media ? [one.media.id] : []));
    const post: NewStatus = {
      status: this.text,
      media_ids: media,
      spoiler_text: this.warns ? this.warning.trim() : '',
      sensitive: this.sensitive || (this.warns && this.warning.trim() !== ''),
    };
    try {
      if (this.edits) {
        const described = this.attachments.flatMap((one) => (one.kept && one.media ? [{ id: one.media.id, description: one.description }] : []));
        return await this.#api.rewrite(this.edits.id, { ...post, media_attributes: described });
      }
      const inReply = this.replyTo && { in_reply_to_id: this.replyTo.id };
      const sent = await this.#api.write({ ...post, ...inReply, visibility: this.visibility }, this.#key);
      this.#clear();
      return sent;
    } catch (thrown) {
      this.error = asApiError(thrown);
      // What was refused wasn't posted: a corrected one is another.
      if (this.error.status) this.#key = randomKey();
      return null;
    } finally {
      this.busy = false;
    }
  }

  #clear(): void {
    for (const attachment of this.attachments) attachment.drop();
    this.attachments = [];
    this.text = this.#opening;
    this.warns = this.sensitive = false;
    this.warning = '';
    this.#key = randomKey();
  }
}
