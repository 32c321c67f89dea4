/** A conversation with a collection. It outlives the tab: an answer goes on while somebody looks at the documents. */
import { asApiError, type ApiError } from '../../platform/api';
import { say } from '../../platform/say.svelte';
import type { Answer, AnswerEvent, AnswersApi, Conversation } from './api';

/** Milliseconds between two looks at an answer that is being made elsewhere. */
const AGAIN = 2000;

export class Talk {
  answers = $state.raw<readonly Answer[]>([]);
  conversations = $state.raw<readonly Conversation[] | null>(null);
  /** Null: the next question begins one. */
  conversation = $state<string | null>(null);
  question = $state('');
  /** Only documents with all of these. */
  tags = $state.raw<readonly string[]>([]);
  asking = $state(false);
  loading = $state(false);
  error = $state.raw<ApiError | null>(null);

  readonly #api: AnswersApi;
  readonly #collection: string;
  /** Of the conversation that is shown. What was asked for an older one is aborted, and ignored should it still come. */
  #turn = 0;
  #listed = 0;
  #abort = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(api: AnswersApi, collection: string) {
    this.#api = api;
    this.#collection = collection;
  }

  /** Ends all that is on its way: the page is left. The server finishes the answer, and it is there on return. */
  leave(): void {
    this.#begin();
  }

  /** Shows another conversation, or none. */
  async open(id: string | null): Promise<void> {
    const turn = this.#begin();
    [this.conversation, this.answers, this.error] = [id, [], null];
    if (id) await this.#read(turn, id);
  }

  async reload(): Promise<void> {
    if (this.conversation) await this.open(this.conversation);
  }

  async ask(): Promise<void> {
    const text = this.question.trim();
    if (!text || this.asking) return;
    const turn = this.#begin();
    const { signal } = this.#abort;
    // One that is shown only in part would be mixed up with the new answer.
    this.answers = [...this.answers.filter(({ done }) => done), draftOf(text, this.conversation)];
    [this.asking, this.error, this.question] = [true, null, ''];
    const question = { question: text, ...(this.conversation && { conversation_id: this.conversation }), ...(this.tags.length && { filters: { tags: this.tags } }) };
    try {
      await this.#api.ask(this.#collection, question, (event) => turn === this.#turn && this.#hear(event), signal);
    } catch (thrown) {
      if (turn !== this.#turn) return;
      this.error = asApiError(thrown);
      if (this.answers.at(-1)?.id) {
        // It has begun, so the server keeps what becomes of it.
        const { conversation } = this;
        if (conversation) this.#later(turn, conversation);
      } else [this.answers, this.question] = [this.answers.slice(0, -1), this.question || text];
    } finally {
      if (turn === this.#turn) this.asking = false;
    }
    void this.list();
  }

  async list(): Promise<void> {
    const listed = ++this.#listed;
    try {
      const found = (await this.#api.conversations(this.#collection)).items;
      if (listed === this.#listed) this.conversations = found;
    } catch {
      // They are a convenience; what was asked for shows its own errors.
      if (listed === this.#listed) this.conversations ??= [];
    }
  }

  /** Takes a conversation away at once, and puts it back when the server refuses. */
  async forget(id: string): Promise<void> {
    const before = this.conversations;
    this.#listed += 1;
    this.conversations = before?.filter((each) => each.id !== id) ?? null;
    if (this.conversation === id) void this.open(null);
    try {
      await this.#api.removeConversation(id);
    } catch (thrown) {
      const error = asApiError(thrown);
      if (error.status === 404) return;
      this.conversations = before;
      say.failed(`The conversation is still there. ${error.message}`);
    }
  }

  async judge(answer: Answer, good: boolean): Promise<void> {
    const set = (value: boolean | null): void => {
      this.answers = this.answers.map((each) => (each.id === answer.id ? { ...each, good: value } : each));
    };
    set(good);
    try {
      await this.#api.judge(answer.id, good);
    } catch (thrown) {
      set(answer.good);
      say.failed(`That wasn’t noted. ${asApiError(thrown).message}`);
    }
  }

  #begin(): number {
    this.#abort.abort();
    clearTimeout(this.#timer);
    this.#abort = new AbortController();
    [this.asking, this.loading] = [false, false];
    return ++this.#turn;
  }

  #hear(event: AnswerEvent): void {
    const last = this.answers.at(-1);
    if (!last) return;
    const change = (now: Partial<Answer>): void => {
      this.answers = [...this.answers.slice(0, -1), { ...last, ...now }];
    };
    if (event.type === 'passages') {
      this.conversation = event.conversation_id;
      change({ id: event.id, conversation_id: event.conversation_id, rewritten: event.rewritten, confidence: event.confidence, passages: event.items, conflicts: event.conflicts });
    } else if (event.type === 'text') change({ text: last.text + event.text });
    else if (event.type === 'done') change(event.answer);
    else change({ done: true, reason: event.detail });
  }

  async #read(turn: number, id: string): Promise<void> {
    this.loading = !this.answers.length;
    try {
      const { answers } = await this.#api.conversation(id, this.#abort.signal);
      if (turn !== this.#turn) return;
      [this.answers, this.error] = [answers, null];
      // What is being answered elsewhere, or was when the page was left, is looked at until it is there.
      if (answers.some(({ done }) => !done)) this.#later(turn, id);
    } catch (thrown) {
      if (turn !== this.#turn) return;
      const found = asApiError(thrown);
      if (found.status === 404) void this.open(null);
      else this.error = found;
    } finally {
      if (turn === this.#turn) this.loading = false;
    }
  }

  #later(turn: number, id: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void (turn === this.#turn && this.#read(turn, id)), AGAIN);
  }
}

/** What is shown until the server has said anything. */
const draftOf = (question: string, conversation: string | null): Answer => ({
  id: '', conversation_id: conversation ?? '', question, rewritten: '', text: '', known: false, confidence: 0, sentences: [], passages: [], conflicts: [],
  faithfulness: null, cached: false, took: {}, model: '', good: null, done: false, reason: '', created_at: new Date().toISOString(),
});
