/** One thread while it is open: its tree, the path that is shown, and the answers that are being written. */
import { asApiError, type ApiError } from '../../platform/api';
import { say } from '../../platform/say.svelte';
import { isUnfinished, type Attached, type ChatApi, type Message, type Model, type Thread } from './api';
import { Draft } from './draft.svelte';
import { Live } from './live.svelte';
import { readMarkdown, spoken, type Block } from './markdown';
import { pauseOf } from './pause';
import { branchOf, grown, pathTo, type Branch } from './tree';

/** What a conversation tells the list of threads. */
export interface Hub {
  readonly api: ChatApi;
  /** What new threads begin with. */
  readonly model: Model;
  /** The thread was made, changed or used. */
  noted(thread: Thread, made?: boolean): void;
  /** An answer ended: titles may have come. */
  ended(conversation: Conversation): void;
  /** It was too much at once: nothing can be asked for so many seconds. */
  pause(seconds: number): void;
}

/** A question on its way to the server. */
export interface Sending {
  text: string;
  files: readonly Attached[];
  /** What it follows. */
  parent: string | null;
}

/** Characters of an answer that are read out when it is finished. */
const SPOKEN = 1500;

/** 128 random bits. `crypto.randomUUID` isn't there on a page without TLS. */
const newKey = (): string => Array.from(crypto.getRandomValues(new Uint32Array(4)), (each) => each.toString(36)).join('-');

export class Conversation {
  thread = $state.raw<Thread | null>(null);
  error = $state.raw<ApiError | null>(null);
  /** Why what is in `sending` wasn't taken. */
  refused = $state.raw<ApiError | null>(null);
  sending = $state.raw<Sending | null>(null);
  /** Read out by screen readers: each answer once, when it is finished. */
  announced = $state('');
  draft = $state.raw() as Draft;

  #messages = $state.raw<readonly Message[]>([]);
  #head = $state<string | null>(null);
  #lives = $state.raw<ReadonlyMap<string, Live>>(new Map());
  #tree = $derived(grown(this.#messages));
  path = $derived(pathTo(this.#tree, this.#head));
  last = $derived(this.path.at(-1) ?? null);
  /** The answer that is written at the end of the path. */
  live = $derived(this.last ? (this.#lives.get(this.last.id) ?? null) : null);
  busy = $derived(this.live !== null || (this.sending !== null && !this.refused));
  /** What is on the screen: while something is sent, only what it follows. */
  shown = $derived.by(() => {
    if (!this.sending) return this.path;
    const { parent } = this.sending;
    return parent === null ? [] : this.path.slice(0, this.path.findIndex(({ id }) => id === parent) + 1);
  });

  readonly #hub: Hub;
  #loading: Promise<void> | null = null;
  #awake = false;
  #retry: (() => Promise<void>) | null = null;
  /** The list doesn't know the thread yet. */
  #isNew = false;
  readonly #blocks = new WeakMap<Message, readonly Block[]>();

  constructor(hub: Hub) {
    this.#hub = hub;
    this.draft = new Draft(hub.api);
  }

  get model(): Model {
    return this.thread?.model ?? this.#hub.model;
  }

  async load(id: string): Promise<void> {
    this.#loading ??= this.#load(id).finally(() => (this.#loading = null));
    await this.#loading;
  }

  async #load(id: string): Promise<void> {
    this.error = null;
    try {
      const { thread, messages } = await this.#hub.api.read(id);
      this.thread = thread;
      this.#head = thread.head_id;
      this.#take(messages);
    } catch (thrown) {
      this.error = asApiError(thrown);
    }
  }

  /** Listens to what is written, until `rest`. */
  wake(): void {
    this.#awake = true;
    for (const live of this.#lives.values()) live.start();
  }

  rest(): void {
    this.#awake = false;
    for (const live of this.#lives.values()) live.stop();
  }

  liveOf = (message: Message): Live | null => this.#lives.get(message.id) ?? null;
  branchOf = (message: Message): Branch | null => branchOf(this.#tree, message);
  /** A finished answer's blocks, read once. */
  blocksOf(message: Message): readonly Block[] {
    let blocks = this.#blocks.get(message);
    if (!blocks) this.#blocks.set(message, (blocks = readMarkdown(message.text)));
    return blocks;
  }

  /** Asks at the end of the path, or in place of `instead`, which makes a branch. */
  async ask(text: string, files: readonly Attached[], instead?: Message): Promise<void> {
    const parent = instead ? instead.parent_id : (this.last?.id ?? null);
    // Of this question, however often it is sent: an answer that got lost on its way is found and not asked for again.
    const key = newKey();
    await this.#send({ text, files, parent }, async () => {
      const made = !this.thread;
      this.thread ??= await this.#hub.api.start(this.#hub.model);
      const asked = { text, parent_id: parent, ...(files.length && { attachments: files.map(({ id }) => id) }) };
      const { question, answer } = await this.#hub.api.ask(this.thread.id, asked, key);
      this.#head = answer.id;
      this.#take([question, answer]);
      return { ...this.thread, updated_at: question.created_at, made };
    });
  }

  /** Another answer to the same question. */
  async regenerate(message: Message): Promise<void> {
    await this.#send({ text: '', files: [], parent: message.parent_id }, async () => {
      const answer = await this.#hub.api.regenerate(message.id, this.model);
      this.#head = answer.id;
      this.#take([answer]);
      return this.thread && { ...this.thread, updated_at: answer.created_at, made: false };
    });
  }

  async #send(sending: Sending, work: () => Promise<(Thread & { made: boolean }) | null>): Promise<void> {
    if (this.busy) return;
    this.refused = null;
    this.sending = sending;
    this.#retry = () => this.#send(sending, work);
    try {
      const used = await work();
      this.sending = null;
      if (used) {
        const { made, ...thread } = used;
        this.#hub.noted(thread, made || this.#isNew);
        this.#isNew = false;
      }
    } catch (thrown) {
      this.refused = asApiError(thrown);
      const seconds = pauseOf(this.refused);
      if (seconds !== null) this.#hub.pause(seconds);
      // The thread may have been made before its first question was refused.
      this.#isNew ||= this.#messages.length === 0;
    }
  }

  /** What was refused, again. */
  retry(): void {
    void this.#retry?.();
  }

  /** What was refused goes back to where it was written. */
  takeBack(): void {
    const sent = this.sending;
    this.sending = this.refused = null;
    if (sent?.text) this.draft = new Draft(this.#hub.api, sent.text, sent.files);
  }

  async stop(): Promise<void> {
    const message = this.last;
    if (!message || !this.live) return;
    try {
      await this.#hub.api.stop(message.id);
    } catch (thrown) {
      say.failed(asApiError(thrown).message);
    }
  }

  /** Shows the branch that ends in a leaf, here and wherever the thread is opened next. */
  turn(leaf: string): void {
    this.#head = leaf;
    if (this.thread) void this.#hub.api.change(this.thread.id, { head_id: leaf }).catch(() => undefined);
  }

  choose(model: Model): void {
    const { thread } = this;
    if (!thread || thread.model === model) return;
    this.thread = { ...thread, model };
    void this.#hub.api.change(thread.id, { model }).catch((thrown: unknown) => say.failed(asApiError(thrown).message));
  }

  /** What happened to the thread elsewhere. */
  changed(thread: Thread): void {
    if (this.thread) this.thread = { ...this.thread, title: thread.title };
  }

  #take(messages: readonly Message[]): void {
    const known = new Map(this.#messages.map((message) => [message.id, message]));
    for (const message of messages) known.set(message.id, message);
    this.#messages = [...known.values()];
    const lives = new Map(this.#lives);
    for (const message of messages)
      if (message.role === 'assistant' && isUnfinished(message) && !lives.has(message.id)) {
        const live = new Live(this.#hub.api.streamUrl(message.id), message, (done) => this.#done(message, live, done));
        lives.set(message.id, live);
        if (this.#awake) live.start();
      }
    this.#lives = lives;
  }

  #done(begun: Message, live: Live, done: Message | null): void {
    const message: Message = done ?? { ...begun, text: live.text, status: 'failed', error: 'The connection to this answer is gone.' };
    this.#lives = new Map([...this.#lives].filter(([id]) => id !== begun.id));
    this.#take([message]);
    const words = spoken(this.blocksOf(message)).slice(0, SPOKEN);
    this.announced = message.status === 'failed' ? `The answer failed. ${message.error ?? ''}` : message.status === 'stopped' ? 'Stopped.' : words;
    this.#hub.ended(this);
  }
}
