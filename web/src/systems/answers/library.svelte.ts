/** A collection and its documents while its page is open: one list for all tabs, kept true by the live feed. */
import { asApiError, type ApiError } from '../../platform/api';
import { listen } from '../../platform/live';
import { say } from '../../platform/say.svelte';
import type { AnswersApi, Changed, Collection, Doc, State } from './api';
import { fitting, merged, put, tagsIn } from './listing';
import { uploads } from './uploads.svelte';

const PAGE = 100;
/** Pages that are looked through by themselves for documents with a tag, which only the browser filters by. */
const THROUGH = 10;
/** Milliseconds in which many changes make one look at the collection's numbers. */
const TOGETHER = 400;

export class Library {
  collection = $state.raw<Collection | null>(null);
  documents = $state.raw<readonly Doc[] | null>(null);
  next = $state<string | null>(null);
  error = $state.raw<ApiError | null>(null);
  /** Of the list. */
  listError = $state.raw<ApiError | null>(null);
  state = $state<State | ''>('');
  tags = $state.raw<readonly string[]>([]);
  /** Tags that what is added next gets, as they are typed. */
  typed = $state('');
  /** The live feed is interrupted. */
  cut = $state(false);
  /** Tags that were seen, whatever the list shows now. */
  known = $state.raw<readonly string[]>([]);
  readonly shown = $derived(fitting(this.documents ?? [], this.state, this.tags));

  readonly id: string;
  readonly #api: AnswersApi;
  readonly #abort = new AbortController();
  /** Of the list's latest load; answers to older ones are thrown away. */
  #turn = 0;
  #heard: Map<string, Doc | null> | null = null;
  /** Removed documents: what is heard of one afterwards was said before. */
  readonly #gone = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looked = 0;

  constructor(api: AnswersApi, id: string) {
    this.#api = api;
    this.id = id;
  }

  /** Begins to load and to listen; the returned function ends both. */
  start(): () => void {
    void this.look();
    const stop = listen(this.#api.liveUrl(this.id), {
      onEvent: ({ data }) => this.hear(JSON.parse(data) as Changed),
      onState: (state) => {
        this.cut = state === 'waiting';
        // Only now: what changes from here on is heard, and what changed before is in the list.
        if (state !== 'open') return;
        void this.load();
        void uploads.refresh(this.id);
        this.#soon();
      },
    });
    void this.load();
    return () => {
      stop();
      clearTimeout(this.#timer);
      this.#abort.abort();
    };
  }

  /** The collection's own numbers. */
  async look(): Promise<void> {
    const turn = ++this.#looked;
    try {
      const found = await this.#api.collection(this.id, this.#abort.signal);
      if (turn === this.#looked) [this.collection, this.error] = [found, null];
    } catch (thrown) {
      // What is there stays: it is only less new.
      if (!this.#abort.signal.aborted && turn === this.#looked && !this.collection) this.error = asApiError(thrown);
    }
  }

  async load(): Promise<void> {
    if (!(await this.#page(null))) return;
    for (let page = 1; page < THROUGH && this.tags.length && this.next && !this.listError; page++) if (!(await this.#page(this.next))) return;
  }

  more(): Promise<unknown> {
    return this.#page(this.next);
  }

  async filter(state: State | '', tags: readonly string[]): Promise<void> {
    const other = state !== this.state;
    [this.state, this.tags] = [state, tags];
    // Another state is another list; of tags the list is the same, only longer.
    if (other) [this.documents, this.next] = [null, null];
    if (other || tags.length) await this.load();
  }

  hear(changed: Changed): void {
    const { document, removed } = changed;
    if (document && this.#gone.has(document.id)) return;
    if (removed) this.#gone.add(removed);
    uploads.hear(this.id, changed);
    if (document) {
      this.#heard?.set(document.id, document);
      if (this.documents) this.documents = put(this.documents, document);
      this.#learn([document]);
    }
    if (removed) {
      this.#heard?.set(removed, null);
      this.documents = this.documents?.filter(({ id }) => id !== removed) ?? null;
    }
    if (removed || document?.state === 'ready' || document?.state === 'failed') this.#soon();
  }

  async remove(doc: Doc): Promise<void> {
    this.documents = this.documents?.filter(({ id }) => id !== doc.id) ?? null;
    try {
      await this.#api.removeDocument(this.id, doc.id);
      this.hear({ removed: doc.id });
    } catch (thrown) {
      if (this.documents) this.documents = put(this.documents, doc);
      say.failed(`${doc.title} is still there. ${asApiError(thrown).message}`);
    }
  }

  async retry(doc: Doc): Promise<void> {
    try {
      this.hear({ document: await this.#api.retry(this.id, doc.id) });
    } catch (thrown) {
      say.failed(asApiError(thrown).message);
    }
  }

  /** False when another load has begun meanwhile. */
  async #page(before: string | null): Promise<boolean> {
    const turn = ++this.#turn;
    const heard = (this.#heard = new Map());
    try {
      const page = await this.#api.documents(this.id, { state: this.state, before, limit: PAGE }, this.#abort.signal);
      if (turn !== this.#turn) return false;
      const found = merged(page.items, heard, before !== null ? 'none' : page.next === null ? 'all' : 'newer');
      this.documents = before === null ? found : [...(this.documents ?? []).filter(({ id }) => !found.some((doc) => doc.id === id)), ...found];
      this.next = page.next;
      this.listError = null;
      this.#learn(found);
    } catch (thrown) {
      if (this.#abort.signal.aborted || turn !== this.#turn) return false;
      this.listError = asApiError(thrown);
    } finally {
      if (turn === this.#turn) this.#heard = null;
    }
    return true;
  }

  #learn(documents: readonly Doc[]): void {
    const more = tagsIn(documents).filter((tag) => !this.known.includes(tag));
    if (more.length) this.known = [...this.known, ...more];
  }

  #soon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.look(), TOGETHER);
  }
}
