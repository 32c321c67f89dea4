/** What the pages of chat share while one of them is open: the threads, the models, and the conversations in memory. */
import { untrack } from 'svelte';
import { asApiError, type ApiError } from '../../platform/api';
import { every } from '../../platform/every';
import { identity } from '../../platform/identity/identity.svelte';
import { router } from '../../platform/router.svelte';
import { say } from '../../platform/say.svelte';
import { chatApi, MODELS, type ChatApi, type Model, type Thread, type Tier } from './api';
import { Conversation, type Hub } from './conversation.svelte';
import { secondsLeft, type Sample } from './models';
import { merged } from './threads';

/** Threads of one page of the list. */
const PAGE = 40;
/** Conversations that are kept for going back to them. */
const KEPT = 8;
/** Seconds between two looks at the models: while one comes, and when all are there. */
const SOON = 1;
const SELDOM = 30;
/** Seconds between two looks at the list: other devices write too. */
const REFRESH = 60;
/** Looks at a model on its way that its pace is taken from. */
const SAMPLES = 12;
/** Milliseconds of quiet before what is typed is searched for. */
const TYPING = 220;
/** Milliseconds between two pages in which answers go on. */
const GRACE = 1500;

export type Dialogue = { what: 'rename' | 'delete'; thread: Thread };

export class Chat implements Hub {
  readonly api: ChatApi;
  readonly base: string;
  readonly reader: string | null;
  threads = $state.raw<readonly Thread[] | null>(null);
  listError = $state.raw<ApiError | null>(null);
  next = $state<string | null>(null);
  loading = $state(false);
  /** What is searched for in titles and messages. */
  q = $state('');
  found = $state.raw<readonly Thread[] | null>(null);
  tiers = $state.raw<readonly Tier[]>([]);
  model = $state<Model>('auto');
  dialogue = $state.raw<Dialogue | null>(null);
  /** On a phone the list of threads is a drawer. */
  drawer = $state(false);
  now = $state(Date.now());
  /** Seconds until something can be asked again. */
  pausedFor = $state(0);
  /** Where the list was scrolled to. */
  scroll = 0;

  readonly #conversations = new Map<string, Conversation>();
  readonly #roots = new WeakMap<Conversation, () => void>();
  #fresh: Conversation;
  #samples = $state.raw<Readonly<Record<string, readonly Sample[]>>>({});
  #open = 0;
  #stop: (() => void) | null = null;
  #typing: ReturnType<typeof setTimeout> | undefined;
  #search = new AbortController();
  #countdown: ReturnType<typeof setInterval> | undefined;

  constructor(base: string, api: string, reader: string | null) {
    this.base = base;
    this.api = chatApi(api);
    this.reader = reader;
    this.model = kept();
    this.#fresh = this.#begin();
  }

  href = (thread: Thread): string => `${this.base}app/t/${thread.id}`;
  get home(): string {
    return `${this.base}app`;
  }

  /** Keeps what is live going until the returned function is called; between two pages it isn't interrupted. */
  attend(): () => void {
    this.#open += 1;
    this.#stop ??= this.#start();
    return () => {
      this.#open -= 1;
      setTimeout(() => {
        if (this.#open) return;
        this.#stop?.();
        this.#stop = null;
      }, GRACE);
    };
  }

  #start(): () => void {
    if (!this.reader) return () => undefined;
    const clock = setInterval(() => (this.now = Date.now()), 20_000);
    const list = every(REFRESH, () => this.refresh());
    const models = this.#watchModels();
    const all = (): Conversation[] => [this.#fresh, ...this.#conversations.values()];
    for (const one of all()) one.wake();
    return () => {
      clearInterval(clock);
      list();
      models();
      for (const one of all()) one.rest();
    };
  }

  /** Looks often while a model is on its way. */
  #watchModels(): () => void {
    let stop: () => void = () => undefined;
    let pace = 0;
    const look = (seconds: number): void => {
      if (pace === seconds) return;
      pace = seconds;
      stop();
      stop = every(seconds, async (signal) => {
        try {
          const { tiers } = await this.api.models(signal);
          this.#noteModels(tiers);
          look(tiers.some(({ state }) => state === 'pulling' || state === 'starting') ? SOON : SELDOM);
        } catch {
          // Nothing is known, so nobody is held up; the next look may tell.
        }
      });
    };
    look(SELDOM);
    return () => stop();
  }

  #noteModels(tiers: readonly Tier[]): void {
    const at = performance.now();
    this.#samples = Object.fromEntries(tiers.map((tier) => [tier.name, [...(this.#samples[tier.name] ?? []), { at, done: tier.done }].slice(-SAMPLES)]));
    this.tiers = tiers;
  }

  secondsLeft = (tier: Tier): number | null => secondsLeft(tier, this.#samples[tier.name] ?? []);

  /** What this thread and all new ones are answered by. */
  choose(model: Model, conversation: Conversation): void {
    conversation.choose(model);
    this.model = model;
    try {
      localStorage.setItem(KEY, model);
    } catch {
      // Storage is refused: the choice lasts until the page is closed.
    }
  }

  pause(seconds: number): void {
    this.pausedFor = Math.max(this.pausedFor, seconds);
    this.#countdown ??= setInterval(() => {
      this.pausedFor = Math.max(0, this.pausedFor - 1);
      if (this.pausedFor > 0) return;
      clearInterval(this.#countdown);
      this.#countdown = undefined;
    }, 1000);
  }

  /** The conversation of a thread, loaded; without an id, the one that begins with the next question. */
  conversation(id: string | undefined): Conversation {
    if (id === undefined) return this.#fresh;
    let one = this.#conversations.get(id);
    if (!one) {
      one = this.#begin();
      void one.load(id);
    }
    this.#keep(id, one);
    return one;
  }

  #keep(id: string, conversation: Conversation): void {
    this.#conversations.delete(id);
    this.#conversations.set(id, conversation);
    for (const old of this.#conversations.keys()) if (this.#conversations.size > KEPT && old !== id) this.#forget(old);
  }

  /** What a conversation derives must outlive the page that it was first shown on, so it gets a root of its own. */
  #begin(): Conversation {
    let conversation: Conversation | undefined;
    const end = $effect.root(() => void (conversation = new Conversation(this)));
    if (!conversation) throw new Error('A root runs at once.');
    this.#roots.set(conversation, end);
    if (this.#stop) conversation.wake();
    return conversation;
  }

  #forget(id: string): void {
    const conversation = this.#conversations.get(id);
    if (!conversation) return;
    conversation.rest();
    this.#roots.get(conversation)?.();
    this.#conversations.delete(id);
  }

  noted(thread: Thread, made = false): void {
    this.threads = merged(this.threads ?? [], [thread]);
    if (!made) return;
    this.#keep(thread.id, this.#fresh);
    this.#fresh = this.#begin();
    // Only if the reader still stands where the question was asked.
    const here = untrack(() => router.url.pathname);
    if (here === this.home || here === this.base) router.go(this.href(thread), { replace: true });
  }

  ended(conversation: Conversation): void {
    if (!conversation.thread?.title) void this.refresh();
  }

  /** The newest threads anew. */
  async refresh(): Promise<void> {
    try {
      const page = await this.api.threads({ limit: PAGE });
      if (!this.threads || this.threads.length <= PAGE) {
        this.threads = page.items;
        this.next = page.next;
      } else this.threads = merged(this.threads, page.items);
      this.listError = null;
      for (const thread of page.items) this.#conversations.get(thread.id)?.changed(thread);
    } catch (thrown) {
      if (!this.threads) this.listError = asApiError(thrown);
    }
  }

  async more(): Promise<void> {
    if (this.loading || !this.next || this.q) return;
    this.loading = true;
    try {
      const page = await this.api.threads({ limit: PAGE, cursor: this.next });
      this.threads = merged(this.threads ?? [], page.items);
      this.next = page.next;
    } catch (thrown) {
      say.failed(asApiError(thrown).message);
    }
    this.loading = false;
  }

  search(q: string): void {
    this.q = q;
    clearTimeout(this.#typing);
    this.#search.abort();
    if (!q.trim()) {
      this.found = null;
      return;
    }
    const { signal } = (this.#search = new AbortController());
    this.#typing = setTimeout(() => {
      void this.api
        .threads({ q: q.trim(), limit: PAGE }, signal)
        .then(({ items }) => (this.found = items))
        .catch((thrown: unknown) => {
          if (!signal.aborted) say.failed(asApiError(thrown).message);
        });
    }, TYPING);
  }

  async rename(thread: Thread, title: string): Promise<void> {
    const named = await this.api.change(thread.id, { title });
    this.#revise((threads) => threads.map((one) => (one.id === named.id ? { ...one, title: named.title } : one)));
    this.#conversations.get(thread.id)?.changed(named);
  }

  async remove(thread: Thread): Promise<void> {
    await this.api.remove(thread.id);
    this.#revise((threads) => threads.filter(({ id }) => id !== thread.id));
    say.done('Deleted.');
    if (untrack(() => router.url.pathname) === this.href(thread)) router.go(this.home, { replace: true });
    else this.#forget(thread.id);
  }

  #revise(change: (threads: readonly Thread[]) => readonly Thread[]): void {
    if (this.threads) this.threads = change(this.threads);
    if (this.found) this.found = change(this.found);
  }
}

const KEY = 'tenfold.chat.model';

function kept(): Model {
  try {
    return MODELS.find((one) => one === localStorage.getItem(KEY)) ?? 'auto';
  } catch {
    return 'auto';
  }
}

let current: Chat | null = null;

/** The one that all pages share, until somebody else signs in. */
export function useChat(base: string, api: string): Chat {
  const reader = identity.account?.id ?? null;
  if (current?.reader !== reader || current.base !== base) current = new Chat(base, api, reader);
  return current;
}
