/** A question that is being written, with what is attached. It outlives the page it is written on. */
import { asApiError } from '../../platform/api';
import { LARGEST, LONGEST, MOST_FILES, type Attached, type ChatApi } from './api';

export class Attachment {
  readonly key = (lastKey += 1);
  readonly name: string;
  readonly size: number;
  readonly isPicture: boolean;
  /** Of pictures only, shown before the server has it. */
  readonly preview: string;
  file = $state.raw<Attached | null>(null);
  /** How much is sent, from 0 to 1. */
  progress = $state(0);
  error = $state('');
  readonly #abort = new AbortController();

  constructor(api: ChatApi, source: File | Attached) {
    this.name = source.name || 'Pasted';
    this.size = source.size;
    this.isPicture = /^image\/(png|jpeg|gif|webp|avif)$/.test(source.type);
    if (source instanceof File) {
      this.preview = this.isPicture ? URL.createObjectURL(source) : '';
      if (source.size > LARGEST) this.error = 'Larger than 10 MB.';
      else if (source.size === 0) this.error = 'Empty.';
      else void this.#send(api, source);
    } else {
      this.file = source;
      this.preview = this.isPicture ? source.url : '';
    }
  }

  async #send(api: ChatApi, file: File): Promise<void> {
    const { signal } = this.#abort;
    try {
      this.file = await api.upload(file, (share) => (this.progress = share), signal);
    } catch (thrown) {
      if (!signal.aborted) this.error = asApiError(thrown).message;
    }
  }

  drop(): void {
    this.#abort.abort();
    if (this.preview.startsWith('blob:')) URL.revokeObjectURL(this.preview);
  }
}

let lastKey = 0;

export class Draft {
  text = $state('');
  attachments = $state.raw<readonly Attachment[]>([]);
  note = $state('');
  readonly #api: ChatApi;

  constructor(api: ChatApi, text = '', files: readonly Attached[] = []) {
    this.#api = api;
    this.text = text;
    this.attachments = files.map((file) => new Attachment(api, file));
  }

  /** Why it can't be sent; null when it can. An empty reason needs no words. */
  get obstacle(): string | null {
    if (this.text.length > LONGEST) return `That is ${this.text.length - LONGEST} characters too long.`;
    if (this.attachments.some((one) => one.error)) return 'Remove what couldn’t be sent.';
    if (this.attachments.some((one) => !one.file)) return 'Wait until everything is uploaded.';
    return this.text.trim() ? null : '';
  }

  get files(): Attached[] {
    return this.attachments.flatMap((one) => one.file ?? []);
  }

  attach(files: Iterable<File>): void {
    const all = [...files];
    const room = MOST_FILES - this.attachments.length;
    this.attachments = [...this.attachments, ...all.slice(0, room).map((file) => new Attachment(this.#api, file))];
    this.note = all.length > room ? `A question takes ${MOST_FILES} files.` : '';
  }

  detach(attachment: Attachment): void {
    attachment.drop();
    this.attachments = this.attachments.filter((one) => one !== attachment);
    this.note = '';
  }

  clear(): void {
    for (const attachment of this.attachments) attachment.drop();
    this.attachments = [];
    this.text = this.note = '';
  }
}
