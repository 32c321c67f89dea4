/** One device: what it keeps, its connection, and what its pages show. */
import { http } from '../../platform/api';
import { deviceName } from './device';
import { download, upload } from './files';
import { Link } from './link';
import {
  type Content,
  type Conversation,
  type Device,
  type FileContent,
  type FromServer,
  type Inner,
  type MessageFrame,
  type Mine,
  type NoteFrame,
  type OwnDevice,
  type Place,
} from './protocol';
import { CannotOpen, Sealing } from './sealing';
import { safetyNumber } from './safety';
import { Outbox, type Post } from './outbox';
import { Past, type Found } from './past';
import { silence } from './push';
import { Batch, ending, Store, UNSENT, type Kept } from './store';
import { nameOf, Talk } from './talk.svelte';

const SHOWN = 400;
const FEW_KEYS = 20;
const ASK_AGAIN_MS = 60_000;
/** Until what has disappeared is looked for again, at most. */
const SWEEP_MS = 3_600_000;
/** Until what was said is added to the backup. */
const FRESHEN_MS = 60_000;

type Wish = { conversation: string; device: string; content?: Content; keys?: { session: string; key: string }; fresh?: boolean };

export class Messenger implements Post {
  status = $state<'starting' | 'online' | 'offline' | 'elsewhere' | 'ended' | 'failed'>('starting');
  caughtUp = $state(false);
  fault = $state('');
  talks = $state.raw<Talk[]>([]);
  mine = $state.raw<Mine | null>(null);
  device = $state('');
  /** Share of uploads that are on their way, by a name that the page gave. */
  uploads = $state.raw<ReadonlyMap<string, number>>(new Map());
  /** A new device, whose account has a backup of what was said before. */
  hasPast = $state(false);
  /** The conversation that is looked at. */
  looking = '';

  readonly sorted = $derived([...this.talks].sort((one, other) => other.at - one.at));

  private store!: Store;
  private sealing!: Sealing;
  private past!: Past;
  private outbox!: Outbox;
  private link: Link | null = null;
  private readonly byId = new Map<string, Talk>();
  private readonly positions = new Map<string, number>();
  private readonly asked = new Map<string, number>();
  private chain: Promise<void> = Promise.resolve();
  private seen: Record<string, number> = {};
  private notes: string[] = [];
  private ackTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly typingTimers = new Map<string, ReturnType<typeof setTimeout>>();
  private release: (() => void) | null = null;
  private stopped = false;
  private isNew = false;

  constructor(
    private readonly api: string,
    private readonly account: string,
  ) {}

  // Beginning and end.

  /** Take this browser's device, unless another tab has it; `steal` takes it from there. */
  async start(steal = false): Promise<void> {
    this.stopped = false;
    this.status = 'starting';
    const name = `tenfold-messages-${this.account}`;
    const options: LockOptions = steal ? { steal: true } : { ifAvailable: true };
    navigator.locks
      .request(name, options, async (lock) => {
        if (!lock) {
          this.status = 'elsewhere';
          return;
        }
        const held = new Promise<void>((resolve) => (this.release = resolve));
        try {
          await this.open();
        } catch (error) {
          console.error(error);
          this.status = 'failed';
          this.fault = error instanceof Error ? error.message : String(error);
        }
        await held;
      })
      .catch(() => {
        // Another tab has taken it.
        this.stop();
        this.status = 'elsewhere';
      });
  }

  stop(): void {
    this.stopped = true;
    this.link?.close();
    this.link = null;
    clearTimeout(this.sweepTimer);
    clearTimeout(this.freshenTimer);
    this.freshenTimer = undefined;
    this.sweepAt = Infinity;
    this.release?.();
    this.release = null;
  }

  private async open(): Promise<void> {
    this.store = await Store.open(this.account);
    const batch = new Batch();
    this.sealing = await Sealing.open(this.store, batch);
    await this.store.commit(batch);
    for (const [id, seq] of await this.store.all<number>('position')) this.positions.set(id, seq);
    const state = await this.store.all<string>('state');
    this.mine = await http.get<Mine>(`${this.api}/me`);
    this.device = state.get('device') ?? (await this.register());
    this.outbox = new Outbox(this.api, this.account, this.device, this.store, this.sealing, this);
    await this.outbox.load();
    this.past = new Past(this.api, this.store, this.sealing);
    if (this.isNew) this.hasPast = (await this.past.found().catch(() => null)) !== null;
    await this.store.expire(Date.now());
    await this.loadAll();
    await this.sweep();
    if (this.stopped) return;
    this.link = new Link(this.api, this.device, {
      heard: (frame) => (this.chain = this.chain.then(() => this.hear(frame)).catch((error: unknown) => this.broke(error))),
      changed: (online) => {
        if (this.status === 'ended' || this.status === 'elsewhere') return;
        this.status = online ? 'online' : 'offline';
        if (!online) {
          this.caughtUp = false;
          this.outbox.lost();
          this.seen = {};
          this.notes = [];
        } else void this.outbox.pump();
      },
      ended: (reason) => {
        this.status = reason === 'replaced' ? 'elsewhere' : 'ended';
      },
    });
    this.link.open();
  }

  private broke(error: unknown): void {
    console.error(error);
    this.link?.again();
  }

  private async register(): Promise<string> {
    const batch = new Batch();
    const body = this.sealing.register(this.account, deviceName(), batch);
    await this.store.commit(batch);
    const { id } = await http.post<OwnDevice>(`${this.api}/devices`, body);
    await this.store.commit(new Batch().put('state', 'device', id));
    this.isNew = true;
    return id;
  }

  /** End this device and forget everything that it keeps. */
  async forget(): Promise<void> {
    await http.delete(`${this.api}/devices/${this.device}`).catch(() => undefined);
    this.stop();
    await silence();
    await this.store.erase();
  }

  private async loadAll(): Promise<void> {
    let after: string | null = '';
    while (after !== null) {
      const page: { conversations: Conversation[]; next: string | null } = await http.get(`${this.api}/conversations`, { query: { after } });
      for (const place of page.conversations) await this.meet(place);
      after = page.next;
    }
    this.talks = [...this.byId.values()];
  }

  private async meet(place: Conversation): Promise<Talk> {
    let talk = this.byId.get(place.id);
    if (talk) {
      // What is known of how far people are only grows; lists come without devices.
      const devices = place.devices.length ? place.devices : talk.place.revision === place.revision ? talk.place.devices : [];
      talk.place = { ...place, devices };
      return talk;
    }
    talk = new Talk(place, this.account);
    const kept = await this.store.newest(place.id, SHOWN);
    talk.messages = [...kept, ...this.outbox.waiting(place.id)];
    talk.retitle(await this.store.abouts(place.id));
    this.byId.set(place.id, talk);
    this.talks = [...this.byId.values()];
    return talk;
  }

  // What the outbox asks of it.

  get online(): boolean {
    return this.link?.online ?? false;
  }
  say(frame: object): void {
    this.link?.say(frame);
  }
  talk(id: string): Talk | undefined {
    return this.byId.get(id);
  }
  sent(kept: Kept): void {
    this.byId.get(kept.conversation)?.show(kept);
    if (kept.ends_at) this.sweepBy(kept.ends_at);
    this.freshenSoon();
  }
  failed(why: string): void {
    this.fault = why;
  }

  // What people do.

  async direct(account: string): Promise<string> {
    return (await this.meet(await http.post<Conversation>(`${this.api}/conversations`, { kind: 'direct', accounts: [account] }))).place.id;
  }

  async group(accounts: string[], name: string): Promise<string> {
    const key = crypto.randomUUID();
    const place = await http.post<Conversation>(`${this.api}/conversations`, { kind: 'group', accounts, key });
    await this.meet(place);
    if (name) await this.send(place.id, { kind: 'about', name });
    return place.id;
  }

  /** Read a conversation anew, with its devices; those that are forged are left out, and new ones are told of. */
  async refresh(id: string): Promise<Talk> {
    const place = await http.get<Conversation>(`${this.api}/conversations/${id}`);
    const batch = new Batch();
    const honest: Device[] = [];
    const strangers: string[] = [];
    const before = this.byId.get(id);
    for (const device of place.devices) {
      const news = !this.sealing.knowsDevice(device.id) && this.sealing.knowsAccount(device.account) && device.account !== this.account;
      if (this.sealing.pin(device, batch)) honest.push(device);
      if (news) strangers.push(device.account);
    }
    await this.store.commit(batch);
    const talk = await this.meet({ ...place, devices: honest });
    if (before) for (const account of new Set(strangers)) this.warn(account);
    return talk;
  }

  /** Somebody has a new device: that is said wherever one talks with them. */
  private warn(account: string): void {
    for (const talk of this.byId.values()) {
      const member = talk.others.find((each) => each.account.id === account);
      if (member && !talk.notices.includes(nameOf(member.account))) talk.notices = [...talk.notices, nameOf(member.account)];
    }
  }

  async send(conversation: string, content: Content): Promise<void> {
    const talk = this.byId.get(conversation);
    const expires = content.kind === 'text' || content.kind === 'file' ? (talk?.expires ?? 0) : 0;
    const kept = await this.outbox.add({ conversation, id: crypto.randomUUID(), content, at: Date.now(), expires });
    talk?.show(kept);
  }

  async sendFile(conversation: string, file: File): Promise<void> {
    const name = `${conversation} ${crypto.randomUUID()}`;
    const progress = (share: number | null): void => {
      const uploads = new Map(this.uploads);
      if (share === null) uploads.delete(name);
      else uploads.set(name, share);
      this.uploads = uploads;
    };
    progress(0);
    try {
      await this.send(conversation, await upload(this.api, file, progress));
    } finally {
      progress(null);
    }
  }

  fetchFile(file: FileContent): Promise<Blob> {
    return download(this.api, file);
  }

  /** Everything in a conversation was read, as far as one can see it. */
  read(talk: Talk): void {
    const seq = talk.messages.reduce((most, message) => (message.seq === UNSENT || message.account === this.account ? most : Math.max(most, message.seq)), 0);
    if (!seq || seq <= (talk.own?.read ?? 0)) return;
    talk.moved(this.account, seq, seq);
    this.link?.say({ t: 'read', conversation: talk.place.id, seq });
  }

  typing(conversation: string, on: boolean): void {
    this.link?.say({ t: 'typing', conversation, on });
  }

  private watch(): void {
    const accounts = [...this.byId.values()].flatMap((talk) => (talk.place.kind === 'direct' ? talk.others.map((member) => member.account.id) : []));
    if (accounts.length) this.link?.say({ t: 'watch', accounts: accounts.slice(0, 500) });
  }

  async safety(talk: Talk, account: string): Promise<string> {
    const fresh = await this.refresh(talk.place.id);
    const keys = (id: string): string[] => fresh.place.devices.filter((device) => device.account === id).map((device) => device.signing_key);
    return safetyNumber([this.account, keys(this.account)], [account, keys(account)]);
  }

  // What goes by itself, and what comes back from a backup.

  private sweepTimer: ReturnType<typeof setTimeout> | undefined;
  private sweepAt = Infinity;

  private sweepBy(at: number): void {
    if (at >= this.sweepAt) return;
    this.sweepAt = at;
    clearTimeout(this.sweepTimer);
    this.sweepTimer = setTimeout(() => void this.sweep(), Math.min(Math.max(0, at - Date.now()), SWEEP_MS));
  }

  private freshenTimer: ReturnType<typeof setTimeout> | undefined;

  /** Add what has come to the backup, if there is one of this browser's: a little later and together. */
  private freshenSoon(): void {
    this.freshenTimer ??= setTimeout(() => {
      this.freshenTimer = undefined;
      if (this.online) void this.past.freshen();
    }, FRESHEN_MS);
  }

  /** Remove the messages whose time is over. */
  private async sweep(): Promise<void> {
    this.sweepAt = Infinity;
    if (this.stopped) return;
    const now = Date.now();
    const next = await this.store.expire(now);
    for (const talk of this.byId.values())
      if (talk.messages.some(({ ends_at }) => ends_at !== undefined && ends_at <= now))
        talk.messages = talk.messages.filter(({ ends_at }) => ends_at === undefined || ends_at > now);
    if (next !== null) this.sweepBy(next);
  }

  backup(): Promise<Found | null> {
    return this.past.found();
  }

  /** Seal all that is kept here by a passphrase, and leave it with the server for the next device. */
  backUp(passphrase: string, told: (count: number) => void): Promise<number> {
    return this.past.make(passphrase, told);
  }

  /** Take in what a backup holds that isn't here. How many messages. */
  async restore(passphrase: string, told: (share: number) => void): Promise<number> {
    // In turn with what comes in, which uses the same keys.
    const work = this.chain.then(() => this.past.restore(passphrase, (frame, batch) => this.openFrame(frame, batch).content, told));
    this.chain = work.then(
      () => undefined,
      () => undefined,
    );
    const count = await work;
    this.hasPast = false;
    for (const talk of this.byId.values()) {
      talk.messages = [...(await this.store.newest(talk.place.id, SHOWN)), ...talk.messages.filter(({ seq }) => seq === UNSENT)];
      talk.retitle(await this.store.abouts(talk.place.id));
    }
    await this.sweep();
    return count;
  }

  // What comes in.

  private async hear(frame: FromServer): Promise<void> {
    switch (frame.t) {
      case 'message':
        return this.take(frame);
      case 'note':
        return this.takeNote(frame);
      case 'sent':
        return this.outbox.sent(frame.id, frame.seq ?? 0, frame.at);
      case 'error':
        return this.outbox.refused(frame.code, frame.id, frame.retry_after);
      case 'welcome':
        await this.topUp();
        this.watch();
        return this.outbox.pump();
      case 'caught_up':
        this.caughtUp = true;
        return this.freshenSoon();
      case 'receipt':
        this.byId.get(frame.conversation)?.moved(frame.account, frame.delivered ?? 0, frame.read ?? 0);
        return;
      case 'typing':
        return this.shownTyping(frame.conversation, frame.account, frame.on);
      case 'presence':
        for (const talk of this.byId.values())
          if (talk.place.kind === 'direct' && talk.others[0]?.account.id === frame.account)
            talk.presence = { online: frame.online, seen: frame.seen ?? null };
        return;
      case 'changed':
        if (frame.what === 'self') return this.topUp();
        if (frame.conversation) await this.reread(frame.conversation);
        return;
      default:
        return;
    }
  }

  private async reread(id: string): Promise<void> {
    try {
      await this.refresh(id);
      this.watch();
    } catch (error) {
      if ((error as { status?: number }).status !== 404) throw error;
      this.byId.delete(id);
      this.talks = [...this.byId.values()];
    }
  }

  private shownTyping(conversation: string, account: string, on: boolean): void {
    const talk = this.byId.get(conversation);
    if (!talk) return;
    const name = `${conversation} ${account}`;
    clearTimeout(this.typingTimers.get(name));
    const typing = new Set(talk.typing);
    if (on) {
      typing.add(account);
      this.typingTimers.set(name, setTimeout(() => this.shownTyping(conversation, account, false), 8000));
    } else typing.delete(account);
    talk.typing = typing;
  }

  /** Have a conversation, and the keys of a device in it, if they can be had. */
  private async know(conversation: string, device: string): Promise<void> {
    if (this.byId.has(conversation) && this.sealing.knowsDevice(device)) return;
    await this.refresh(conversation).catch((error: unknown) => {
      if ((error as { status?: number }).status !== 404) throw error;
    });
  }

  private async take(frame: MessageFrame): Promise<void> {
    if (frame.seq <= (this.positions.get(frame.conversation) ?? 0)) return this.ack(frame.conversation, frame.seq);
    await this.know(frame.conversation, frame.device);
    const batch = new Batch();
    const { content, why, wish } = this.openFrame(frame, batch);
    const { conversation, seq, id, account, device, at } = frame;
    const kept: Kept = { conversation, seq, id, account, device, at, content, why, sealed: wish ? frame : null, ...ending(at, frame.expires) };
    batch.message(kept).put('position', conversation, seq);
    await this.store.commit(batch);
    this.positions.set(conversation, seq);
    this.ack(conversation, seq);
    const talk = this.byId.get(conversation);
    if (talk) {
      talk.show(kept);
      this.shownTyping(conversation, account, false);
      if (kept.ends_at) this.sweepBy(kept.ends_at);
      this.freshenSoon();
      if (this.looking === conversation && document.visibilityState === 'visible') this.read(talk);
    }
    if (wish) await this.fulfil(wish);
  }

  /** The content of a frame; or why there is none, and what is to be asked for. */
  private openFrame(frame: MessageFrame, batch: Batch): { content: Content | null; why: string; wish: Wish | null } {
    const place = placeOf(frame);
    const to = { conversation: frame.conversation, device: frame.device };
    try {
      let inner: Inner | null = null;
      if (frame.envelope) {
        inner = this.sealing.openEnvelope(frame.envelope, place, this.device, batch);
        if (inner.keys) this.sealing.takeKey(inner.keys, place, batch);
      }
      if (frame.content) inner = this.sealing.openContent(frame.content, place, batch);
      if (!inner?.content || typeof inner.content.kind !== 'string') throw new CannotOpen('forged', 'there is no content in it');
      return { content: inner.content, why: '', wish: null };
    } catch (error) {
      if (!(error instanceof CannotOpen)) throw error;
      if (error.kind === 'key') return { content: null, why: 'its key hasn’t come', wish: { ...to, content: { kind: 'key_request', session: error.message } } };
      if (error.kind === 'session') return { content: null, why: error.message, wish: { ...to, content: { kind: 'reset', ids: [frame.id] }, fresh: true } };
      return { content: null, why: error.message, wish: null };
    }
  }

  private async takeNote(frame: NoteFrame): Promise<void> {
    await this.know(frame.conversation, frame.device);
    const batch = new Batch();
    const place = placeOf(frame);
    const to = { conversation: frame.conversation, device: frame.device };
    const wishes: Wish[] = [];
    const opened: Kept[] = [];
    const waiting = (await this.store.newest(frame.conversation, SHOWN)).filter((each) => each.sealed && each.device === frame.device);
    try {
      const inner = this.sealing.openEnvelope(frame.envelope, place, this.device, batch);
      const content = inner.content;
      if (inner.keys) {
        this.sealing.takeKey(inner.keys, place, batch);
        for (const each of waiting) {
          if (!each.sealed?.content) continue;
          const { envelope: _, ...rest } = each.sealed;
          const again = this.openFrame(rest, batch);
          if (again.content) opened.push({ ...each, content: again.content, why: '', sealed: null });
        }
      } else if (content?.kind === 'key_request') {
        const keys = this.sealing.keyFor(content.session, frame.conversation, frame.device);
        if (keys) wishes.push({ ...to, keys });
      } else if (content?.kind === 'reset') {
        for (const id of content.ids.slice(0, 50)) {
          const own = await this.store.find(frame.conversation, this.device, id);
          if (own?.content) wishes.push({ ...to, content: { kind: 'again', of: id, content: own.content } });
        }
      } else if (content?.kind === 'again') {
        const found = waiting.find((each) => each.id === content.of);
        if (found) opened.push({ ...found, content: content.content, why: '', sealed: null });
      }
    } catch (error) {
      if (!(error instanceof CannotOpen)) throw error;
      if (error.kind === 'session') wishes.push({ ...to, content: { kind: 'reset', ids: [] }, fresh: true });
    }
    for (const each of opened) batch.opened(each);
    await this.store.commit(batch);
    this.notes.push(frame.note);
    this.ack('', 0);
    const talk = this.byId.get(frame.conversation);
    if (talk) for (const each of opened) talk.show(each);
    for (const wish of wishes) await this.fulfil(wish);
  }

  private ack(conversation: string, seq: number): void {
    if (seq) this.seen[conversation] = Math.max(seq, this.seen[conversation] ?? 0);
    this.ackTimer ??= setTimeout(() => {
      this.ackTimer = undefined;
      const { seen, notes } = this;
      this.seen = {};
      this.notes = [];
      this.link?.say({ t: 'ack', seen, notes });
    }, 20);
  }

  // What is asked for.

  /** Send a note that is wished for, unless that was done a moment ago. */
  private async fulfil(wish: Wish): Promise<void> {
    const { content } = wish;
    if (content?.kind === 'key_request' || content?.kind === 'reset') {
      const name = `${content.kind} ${wish.device} ${content.kind === 'key_request' ? content.session : ''}`;
      if (Date.now() - (this.asked.get(name) ?? 0) < ASK_AGAIN_MS) return;
      this.asked.set(name, Date.now());
    }
    const talk = this.byId.get(wish.conversation);
    const device = talk?.place.devices.find((each) => each.id === wish.device);
    if (!device) return;
    if (wish.fresh || !this.sealing.meets(device.id, wish.conversation)) await this.outbox.begin(wish.conversation, [device]);
    if (!this.sealing.meets(device.id, wish.conversation)) return;
    const id = crypto.randomUUID();
    const inner: Inner = { v: 1, from: this.account, device: this.device, conversation: wish.conversation, id };
    if (wish.content) inner.content = wish.content;
    if (wish.keys) inner.keys = wish.keys;
    const batch = new Batch();
    const envelope = this.sealing.sealFor(device.id, inner, batch);
    await this.store.commit(batch);
    this.link?.say({ t: 'note', id, conversation: wish.conversation, envelopes: { [device.id]: envelope } });
  }

  /** Enough one-time keys at the server, and a fallback key that isn't old. */
  private async topUp(): Promise<void> {
    const own = (await http.get<OwnDevice[]>(`${this.api}/devices`)).find((each) => each.id === this.device);
    if (!own) {
      this.status = 'ended';
      return;
    }
    const old = this.sealing.fallbackIsOld;
    if (own.one_time_keys >= FEW_KEYS && !old) return;
    const batch = new Batch();
    const body = this.sealing.moreKeys(Math.max(1, 50 - own.one_time_keys), old, batch);
    await this.store.commit(batch);
    await http.post(`${this.api}/devices/${this.device}/keys`, body);
  }
}

const placeOf = ({ account, device, conversation, id }: MessageFrame | NoteFrame): Place => ({ account, device, conversation, id });
