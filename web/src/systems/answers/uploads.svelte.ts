/** Sends files, two at once, and follows them until they are read. It outlives the page: who looks at a document
 * meanwhile comes back to a queue that went on. */
import { ApiError, asApiError } from '../../platform/api';
import type { AnswersApi, Changed, Doc } from './api';
import { afterChange, afterRemoval, afterSent, begunAgain, nextOf, type Item } from './queue';

/** Seconds to pause when the server wants a pause and doesn't say how long, and the longest that is believed. */
const PAUSE = 10;
const LONGEST = 300;

class Uploads {
  items = $state.raw<readonly Item[]>([]);
  /** When sending goes on, in milliseconds of the clock; null while nothing has to wait. */
  paused = $state<number | null>(null);

  #api: AnswersApi | null = null;
  #account = '';
  #last = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #files = new Map<number, File>();
  readonly #aborts = new Map<number, AbortController>();
  /** Documents that the live feed told of before the answer to their upload was there. */
  readonly #heard = new Map<string, Doc>();

  /** Whose uploads these are. Another account's are dropped: they would be sent in a stranger's name. */
  use(api: AnswersApi, account: string): void {
    this.#api = api;
    if (account === this.#account) return;
    this.#account = account;
    for (const abort of this.#aborts.values()) abort.abort();
    this.#aborts.clear();
    this.#files.clear();
    this.#heard.clear();
    this.items = [];
  }

  of(collection: string): readonly Item[] {
    return this.items.filter((item) => item.collection === collection);
  }

  add(collection: string, files: Iterable<readonly [File, string]>, tags: readonly string[]): void {
    const added: Item[] = [];
    for (const [file, path] of files) {
      const key = ++this.#last;
      this.#files.set(key, file);
      added.push({ key, collection, name: path.slice(-500), size: file.size, tags, phase: 'waiting', share: 0, docs: [], error: '', note: '' });
    }
    this.items = [...this.items, ...added];
    this.#go();
  }

  /** Of a file that is being read the document goes, unless an older version of it answers. */
  async cancel(item: Item): Promise<void> {
    const api = this.#api;
    this.#drop(item.key);
    this.#go();
    if (item.phase !== 'reading' || !api) return;
    for (const doc of item.docs) if (doc.version === 0) await api.removeDocument(item.collection, doc.id);
  }

  /** Sends it again, or has read again what couldn't be. Rejects with an ApiError when the server refuses. */
  async retry(item: Item): Promise<void> {
    const failed = item.docs.filter(({ state }) => state === 'failed');
    if (!failed.length) {
      this.#change(item.key, (there) => ({ ...there, phase: 'waiting', share: 0, error: '' }));
      this.#go();
      return;
    }
    this.#change(item.key, (there) => begunAgain(there));
    try {
      for (const doc of failed) {
        const again = await this.#api?.retry(item.collection, doc.id);
        if (again) this.hear(item.collection, { document: again });
      }
    } catch (thrown) {
      this.#change(item.key, (there) => ({ ...there, docs: item.docs, phase: item.phase, error: item.error }));
      throw thrown;
    }
  }

  /** Takes away what is done or failed. */
  clear(collection: string): void {
    for (const { key, phase } of this.of(collection)) if (phase === 'done' || phase === 'failed') this.#drop(key);
  }

  /** Takes away all that goes to a collection, which is gone. */
  forget(collection: string): void {
    for (const { key } of this.of(collection)) this.#drop(key);
    this.#go();
  }

  dismiss(item: Item): void {
    this.#drop(item.key);
  }

  /** What the live feed of a collection tells. */
  hear(collection: string, { document, removed }: Changed): void {
    if (document && this.items.some((item) => item.phase === 'sending')) this.#heard.set(document.id, document);
    let touched = false;
    const items = this.items.flatMap((item) => {
      if (item.collection !== collection) return item;
      const left = document ? afterChange(item, document) : removed ? afterRemoval(item, removed) : item;
      touched ||= left !== item;
      return left ?? [];
    });
    if (touched) this.items = items;
  }

  /** Asks for what is being read, as nobody was listening for a while. */
  async refresh(collection: string): Promise<void> {
    const ids = this.of(collection).flatMap(({ phase, docs }) => (phase === 'reading' ? docs.map(({ id }) => id) : []));
    await Promise.all(
      ids.map(async (id) => {
        try {
          const document = await this.#api?.document(collection, id);
          if (document) this.hear(collection, { document });
        } catch (thrown) {
          if (thrown instanceof ApiError && thrown.status === 404) this.hear(collection, { removed: id });
        }
      }),
    );
  }

  #change(key: number, change: (item: Item) => Item): void {
    this.items = this.items.map((item) => (item.key === key ? change(item) : item));
  }

  #drop(key: number): void {
    this.#aborts.get(key)?.abort();
    this.#aborts.delete(key);
    this.#files.delete(key);
    this.items = this.items.filter((item) => item.key !== key);
  }

  #go(): void {
    if (this.paused !== null) return;
    for (const item of nextOf(this.items)) void this.#send(item);
  }

  async #send({ key, collection, name, tags }: Item): Promise<void> {
    const file = this.#files.get(key);
    if (!file || !this.#api) return;
    const abort = new AbortController();
    this.#aborts.set(key, abort);
    this.#change(key, (item) => ({ ...item, phase: 'sending', share: 0 }));
    try {
      const received = await this.#api.send(collection, name, tags, file, (share) => this.#change(key, (item) => ({ ...item, share })), abort.signal);
      if (abort.signal.aborted) return;
      this.#files.delete(key);
      this.#change(key, (item) => afterSent(item, received, this.#heard));
    } catch (thrown) {
      if (abort.signal.aborted) return;
      const error = asApiError(thrown);
      if (error.status === 429) {
        this.#change(key, (item) => ({ ...item, phase: 'waiting', share: 0 }));
        this.#pause(error.retryAfter ?? PAUSE);
      } else this.#change(key, (item) => ({ ...item, phase: 'failed', share: 0, error: error.fields.name ?? error.fields.tags ?? error.message }));
    } finally {
      if (this.#aborts.get(key) === abort) this.#aborts.delete(key);
      if (!this.items.some(({ phase }) => phase === 'sending')) this.#heard.clear();
      this.#go();
    }
  }

  /** Too much at once: all wait, and go on by themselves. */
  #pause(seconds: number): void {
    const wait = 1000 * Math.min(LONGEST, Math.max(1, seconds));
    this.paused = Date.now() + wait;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.paused = null;
      this.#go();
    }, wait);
  }
}

export const uploads = new Uploads();
