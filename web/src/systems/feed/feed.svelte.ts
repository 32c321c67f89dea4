/** What the pages of feed share while one of them is open: who reads, what they have loaded, and the live stream. */
import { SvelteMap } from 'svelte/reactivity';
import { asApiError } from '../../platform/api';
import { every } from '../../platform/every';
import { identity } from '../../platform/identity/identity.svelte';
import { listen, type LiveEvent } from '../../platform/live';
import { router } from '../../platform/router.svelte';
import { say } from '../../platform/say.svelte';
import { feedApi, LIMITS, type Act, type Bond, type FeedApi, type Fetch } from './api';
import { Draft } from './draft.svelte';
import type { Account, Limits, Notice, Relationship, Status, Tag } from './entities';
import { Notices } from './notices.svelte';
import { edited, isMarked, marked, revised, shownIn, without, withoutAuthor, type Posts } from './posts';
import { Timeline, type Holder } from './timeline.svelte';

/** Lists that are kept for going back to them. */
const KEPT = 12;
/** Seconds that trends and suggestions are good for. */
const FRESH = 300;
/** Seconds between two looks at what is new, for strangers. */
const POLL = 10;
/** Milliseconds between two pages in which the stream stays open. */
const GRACE = 1500;

export type Dialogue =
  | { what: 'write'; draft: Draft }
  | { what: 'delete' | 'history' | 'likers' | 'reposters'; post: Status }
  | { what: 'lists'; account: Account }
  | { what: 'keys' };

export class Feed {
  readonly api: FeedApi;
  readonly base: string;
  readonly reader: string | null;
  me = $state.raw<Account | null>(null);
  limits = $state.raw<Limits>(LIMITS);
  now = $state(Date.now());
  dialogue = $state.raw<Dialogue | null>(null);
  tags = $state.raw<readonly Tag[] | null>(null);
  people = $state.raw<readonly Account[] | null>(null);
  /** null for strangers. */
  readonly notices: Notices | null;
  readonly relationships = new SvelteMap<string, Relationship>();
  /** The reader's new post; it waits while they look at something else. */
  readonly draft: Draft;

  readonly #lists = new Map<string, Holder>();
  readonly #asked = new Set<string>();
  readonly #wanted = new Map<string, boolean>();
  #loaded = 0;
  #open = 0;
  #stop: (() => void) | null = null;
  #mentions: Notices | null = null;

  constructor(base: string, api: string, reader: string | null) {
    this.base = base;
    this.api = feedApi(api);
    this.reader = reader;
    this.notices = reader ? new Notices(this.api) : null;
    this.draft = new Draft(this.api, '');
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
    const clock = setInterval(() => (this.now = Date.now()), 20_000);
    void this.#meet();
    const silence = this.reader
      ? listen(this.api.stream('user'), {
          onEvent: (event) => this.hear(event, this.#lists.get('home') as Timeline | undefined),
          onState: (state) => {
            if (state !== 'open') return;
            void (this.#lists.get('home') as Timeline | undefined)?.catchUp();
            void this.notices?.catchUp();
          },
        })
      : null;
    return () => {
      clearInterval(clock);
      silence?.();
    };
  }

  async #meet(): Promise<void> {
    void this.api.limits().then((limits) => (this.limits = limits)).catch(() => undefined);
    if (!this.reader || this.me) return;
    void this.notices?.begin();
    try {
      this.me = await this.api.me();
    } catch (thrown) {
      say.failed(asApiError(thrown).message);
    }
  }

  /** Keeps one timeline fresh by a public stream until the returned function is called. Streams aren't for strangers. */
  follow(timeline: Timeline, name: 'public' | 'hashtag', query: Record<string, string> = {}): () => void {
    if (!this.reader) return every(POLL, () => timeline.catchUp());
    return listen(this.api.stream(name, query), {
      onEvent: (event) => this.hear(event, timeline),
      onState: (state) => state === 'open' && void timeline.catchUp(),
    });
  }

  hear({ event, data }: LiveEvent, timeline?: Timeline): void {
    if (event === 'update') {
      const post = JSON.parse(data) as Status;
      timeline?.arrive([post]);
      this.#answer(shownIn(post));
    } else if (event === 'delete') this.revise((posts) => without(posts, data.trim()));
    else if (event === 'status.update') {
      const post = JSON.parse(data) as Status;
      this.revise((posts) => revised(posts, post.id, edited(post)));
    } else if (event === 'notification') {
      const notice = JSON.parse(data) as Notice;
      this.notices?.arrive([notice]);
      if (notice.type === 'mention') this.#mentions?.arrive([notice]);
      if (notice.status) this.#answer(notice.status);
    }
  }

  /** An open thread shows a reply as soon as it is known. */
  #answer(post: Status): void {
    for (const list of this.#lists.values()) if ('reply' in list && typeof list.reply === 'function') list.reply(post);
  }

  /** Changes posts in every list that is kept. */
  revise(change: (posts: Posts) => Posts): void {
    for (const list of this.#lists.values()) list.revise(change);
    this.notices?.revise(change);
    this.#mentions?.revise(change);
  }

  /** The list of that name, as it was left. */
  keep<T extends Holder>(name: string, make: () => T): T {
    const list = (this.#lists.get(name) as T | undefined) ?? make();
    this.#lists.delete(name);
    this.#lists.set(name, list);
    // The user stream feeds the home timeline, wherever the reader is.
    for (const old of this.#lists.keys()) if (this.#lists.size > KEPT && old !== 'home' && old !== name) this.#lists.delete(old);
    return list;
  }

  timeline(name: string, fetch: Fetch<Status>): Timeline {
    return this.keep(name, () => new Timeline(fetch));
  }

  get mentions(): Notices {
    return (this.#mentions ??= new Notices(this.api, true));
  }

  /** True for who is signed in; strangers are led to the door. */
  admits(): boolean {
    if (this.reader) return true;
    router.go(`/signin?next=${encodeURIComponent(window.location.pathname + window.location.search)}`);
    return false;
  }

  /** Marks a post at once and tells the server; of several quick presses the last counts. */
  async mark(post: Status, mark: Act): Promise<void> {
    if (!this.admits()) return;
    const key = `${mark} ${post.id}`;
    const isBusy = this.#wanted.has(key);
    const show = (on: boolean): void => this.revise((posts) => revised(posts, post.id, (one) => marked(one, mark, on)));
    let on = !(this.#wanted.get(key) ?? isMarked(post, mark));
    this.#wanted.set(key, on);
    show(on);
    if (isBusy) return;
    let known = !on;
    try {
      do {
        on = this.#wanted.get(key) ?? on;
        const answer = shownIn(await this.api.act(post.id, mark, on));
        known = on;
        if (this.#wanted.get(key) === on) this.revise((posts) => revised(posts, post.id, () => answer));
      } while (this.#wanted.get(key) !== on);
    } catch (thrown) {
      show(known);
      say.failed(asApiError(thrown).message);
    } finally {
      this.#wanted.delete(key);
    }
  }

  /** Asks how the reader stands to these people, unless it is known. */
  async relate(accounts: readonly Account[]): Promise<void> {
    const ids = accounts.map((account) => account.id).filter((id) => id !== this.reader && id !== this.me?.id && !this.#asked.has(id));
    if (!this.reader || !ids.length) return;
    for (const id of ids) this.#asked.add(id);
    try {
      for (const relationship of await this.api.relationships(ids)) this.relationships.set(relationship.id, relationship);
    } catch {
      for (const id of ids) this.#asked.delete(id);
    }
  }

  async bind(account: Account, bond: Bond, on: boolean): Promise<void> {
    if (!this.admits()) return;
    const before = this.relationships.get(account.id);
    const field = { follow: account.locked && on ? 'requested' : 'following', block: 'blocking', mute: 'muting' } as const;
    if (before) this.relationships.set(account.id, { ...before, ...(!on && { requested: false }), [field[bond]]: on });
    try {
      this.relationships.set(account.id, await this.api.bind(account.id, bond, on));
      if (bond !== 'follow' && on) this.revise((posts) => withoutAuthor(posts, account.id));
      // Whom one follows decides what home was, not only what it will be.
      else void (this.#lists.get('home') as Timeline | undefined)?.reload();
    } catch (thrown) {
      if (before) this.relationships.set(account.id, before);
      say.failed(asApiError(thrown).message);
    }
  }

  write(what: { replyTo?: Status; mention?: Account } = {}): void {
    if (!this.admits()) return;
    if (!what.replyTo && !what.mention) return void (this.dialogue = { what: 'write', draft: this.draft });
    const draft = new Draft(this.api, this.me?.acct ?? '', what);
    if (what.mention) draft.text = `@${what.mention.acct} `;
    this.dialogue = { what: 'write', draft };
  }

  async edit(post: Status): Promise<void> {
    try {
      const source = await this.api.source(post.id);
      this.dialogue = { what: 'write', draft: new Draft(this.api, this.me?.acct ?? '', { edits: post, source }) };
    } catch (thrown) {
      say.failed(asApiError(thrown).message);
    }
  }

  /** Shows what the reader just posted or changed; the stream will bring it again, which changes nothing. */
  written(post: Status, draft: Draft): void {
    if (draft.edits) this.revise((posts) => revised(posts, post.id, () => post));
    else {
      const home = this.#lists.get('home') as Timeline | undefined;
      home?.arrive([post]);
      home?.show();
      this.#answer(post);
      if (draft.replyTo)
        this.revise((posts) => revised(posts, draft.replyTo?.id ?? '', (one) => ({ ...one, replies_count: one.replies_count + 1 })));
      if (this.me) this.me = { ...this.me, statuses_count: this.me.statuses_count + 1 };
    }
    say.done(draft.edits ? 'Saved.' : 'Posted.');
  }

  removed(post: Status): void {
    this.revise((posts) => without(posts, post.id));
    if (this.me) this.me = { ...this.me, statuses_count: Math.max(0, this.me.statuses_count - 1) };
    say.done('Deleted.');
  }

  /** Trends and people for the side, at most every few minutes. */
  async explore(): Promise<void> {
    if (Date.now() - this.#loaded < FRESH * 1000) return;
    this.#loaded = Date.now();
    const [tags, people] = await Promise.allSettled([this.api.trendingTags(10), this.#suggest()]);
    this.tags = tags.status === 'fulfilled' ? tags.value : [];
    this.people = people.status === 'fulfilled' ? people.value : [];
    if (tags.status === 'rejected' || people.status === 'rejected') this.#loaded = 0;
  }

  /** Whom the server suggests, else who writes what is read or written now. */
  async #suggest(): Promise<Account[]> {
    const suggested = this.reader ? await this.api.suggestions(10).catch(() => []) : [];
    let people = suggested.map(({ account }) => account);
    if (!people.length) {
      const pages = await Promise.all([this.api.trendingPosts({ limit: 20 }), this.api.local({ limit: 40 })]);
      const authors = pages.flatMap((page) => page.items.map((post) => shownIn(post).account));
      people = [...new Map(authors.map((account) => [account.id, account])).values()];
    }
    await this.relate(people);
    return people.filter((person) => person.id !== this.me?.id && person.username !== identity.account?.name && !this.relationships.get(person.id)?.following);
  }
}

let current: Feed | null = null;

/** The one that all pages share, until somebody else signs in. */
export function useFeed(base: string, api: string): Feed {
  const reader = identity.account?.id ?? null;
  if (current?.reader !== reader) current = new Feed(base, api, reader);
  return current;
}
