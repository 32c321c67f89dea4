/** One device: what it keeps, its connection, and what its pages show. */
import { http } from '../../platform/api';
import { bubbles, summary, ticks, type Bubble, type Ticks } from './bubbles';
import { seal, shrink, unseal } from './files';
import { Link } from './link';
import {
  type ClaimedKey,
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
  type Person,
  type Place,
  type SendFrame,
} from './protocol';
import { CannotOpen, Sealing } from './sealing';
import { safetyNumber } from './safety';
import { Batch, Store, type Kept, type Queued } from './store';

const AHEAD = 32;
const SHOWN = 400;
const FEW_KEYS = 20;
const ASK_AGAIN_MS = 60_000;
export const UNSENT = Number.MAX_SAFE_INTEGER;

/** A conversation as it is shown. */
export class Talk {
  place = $state.raw<Conversation>({ id: '', kind: 'direct', revision: 0, last: 0, created_at: 0, members: [], devices: [] });
  /** The newest messages, with those that aren't sent yet at the end. */
  messages = $state.raw<Kept[]>([]);
  name = $state('');
  typing = $state.raw<ReadonlySet<string>>(new Set());
  presence = $state.raw<{ online: boolean; seen: number | null } | null>(null);
  /** Names of people whose devices have changed, until that was seen. */
  notices = $state.raw<string[]>([]);
  readonly me: string;

  constructor(place: Conversation, me: string) {
    this.place = place;
    this.me = me;
  }

  readonly others = $derived.by(() => this.place.members.filter((member) => member.account.id !== this.me));
  readonly own = $derived(this.place.members.find((member) => member.account.id === this.me));
  readonly admins = $derived(new Set(this.place.members.filter((member) => member.role === 'admin').map((member) => member.account.id)));
  readonly title = $derived(
    this.place.kind === 'group'
      ? this.name || this.others.map((member) => nameOf(member.account)).join(', ') || 'Empty group'
      : this.others[0]
        ? nameOf(this.others[0].account)
        : 'Somebody who left',
  );
  readonly bubbles: Bubble[] = $derived.by(() => bubbles(this.messages, this.me, this.place.kind === 'group' ? this.admins : new Set()));
  readonly last = $derived(this.messages.at(-1));
  readonly lastLine = $derived(this.last ? summary(this.last.content) : '');
  readonly at = $derived(this.last?.at ?? this.place.created_at);
  readonly unread = $derived(this.messages.filter((message) => message.account !== this.me && message.seq > (this.own?.read ?? 0)).length);

  ticks(bubble: Bubble): Ticks {
    return ticks(bubble, this.others);
  }
  person(account: string): string {
    const found = this.place.members.find((member) => member.account.id === account);
    return found ? nameOf(found.account) : 'Somebody who left';
  }
  moved(account: string, delivered: number, read: number): void {
    const members = this.place.members.map((member) =>
      member.account.id === account
        ? { ...member, delivered: Math.max(member.delivered, delivered, read), read: Math.max(member.read, read) }
        : member,
    );
    this.place = { ...this.place, members };
  }
}

export const nameOf = (person: Person): string => person.display_name || person.name;

type Wish = { conversation: string; device: string; content?: Content; keys?: { session: string; key: string }; fresh?: boolean };

export class Messenger {
  status = $state<'starting' | 'online' | 'offline' | 'elsewhere' | 'ended' | 'failed'>('starting');
  caughtUp = $state(false);
  fault = $state('');
  talks = $state.raw<Talk[]>([]);
  mine = $state.raw<Mine | null>(null);
  device = $state('');
  /** Share of uploads that are on their way, by a name that the page gave. */
  uploads = $state.raw<ReadonlyMap<string, number>>(new Map());
  /** The conversation that is looked at. */
  looking = '';

  readonly sorted = $derived([...this.talks].sort((one, other) => other.at - one.at));

  private store!: Store;
  private sealing!: Sealing;
  private link: Link | null = null;
  private readonly byId = new Map<string, Talk>();
  private readonly positions = new Map<string, number>();
  private readonly asked = new Map<string, number>();
  private queue: Queued[] = [];
  private readonly flying = new Map<string, Queued>();
  private readonly given = new Map<string, { conversation: string; session: string; devices: string[] }>();
  private readonly blocked = new Set<string>();
  private chain: Promise<void> = Promise.resolve();
  private seen: Record<string, number> = {};
  private notes: string[] = [];
  private ackTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly typingTimers = new Map<string, ReturnType<typeof setTimeout>>();
  private release: (() => void) | null = null;
  private stopped = false;

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
    this.queue = await this.store.queued();
    await this.loadAll();
    if (this.stopped) return;
    this.link = new Link(this.api, this.device, {
      heard: (frame) => (this.chain = this.chain.then(() => this.hear(frame)).catch((error: unknown) => this.broke(error))),
      changed: (online) => {
        if (this.status === 'ended' || this.status === 'elsewhere') return;
        this.status = online ? 'online' : 'offline';
        if (!online) {
          this.caughtUp = false;
          this.flying.clear();
          this.given.clear();
          this.seen = {};
          this.notes = [];
        } else void this.pump();
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
    return id;
  }

  /** End this device and forget everything that it keeps. */
  async forget(): Promise<void> {
    await http.delete(`${this.api}/devices/${this.device}`).catch(() => undefined);
    this.stop();
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
    const waiting = this.queue.filter((each) => each.conversation === place.id).map((each) => this.unsent(each));
    talk.messages = [...kept, ...waiting];
    talk.name = nameIn(kept);
    this.byId.set(place.id, talk);
    this.talks = [...this.byId.values()];
    return talk;
  }

  private unsent(queued: Queued): Kept {
    const { conversation, id, content, at } = queued;
    return { conversation, seq: UNSENT, id, account: this.account, device: this.device, at, content, why: '', sealed: null };
  }

  talk(id: string): Talk | undefined {
    return this.byId.get(id);
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
    if (before) for (const account of new Set(strangers)) talk.notices = [...talk.notices, talk.person(account)];
    return talk;
  }

  async send(conversation: string, content: Content): Promise<void> {
    const queued: Queued = { conversation, id: crypto.randomUUID(), content, at: Date.now() };
    await this.store.commit(new Batch().queue(queued));
    this.queue.push(queued);
    const talk = this.byId.get(conversation);
    if (talk) {
      talk.messages = [...talk.messages, this.unsent(queued)];
      if (content.kind === 'about' && content.name !== undefined) talk.name = content.name;
    }
    void this.pump();
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
      const picture = await shrink(file);
      const blob = picture?.data ?? file;
      const sealed = await seal(new Uint8Array(await blob.arrayBuffer()));
      const upload = await http.post<{ id: string; part: number }>(`${this.api}/media`, { size: sealed.data.length });
      const count = Math.ceil(sealed.data.length / upload.part);
      for (let n = 0; n < count; n += 1) {
        await this.putPart(upload.id, n, sealed.data.slice(n * upload.part, (n + 1) * upload.part));
        progress((n + 1) / count);
      }
      await http.post(`${this.api}/media/${upload.id}/finish`);
      const { key, iv, sha256, part } = sealed;
      const content: FileContent = { kind: 'file', name: file.name, type: blob.type || 'application/octet-stream', size: blob.size, key, iv, sha256, part, upload: upload.id };
      if (picture) Object.assign(content, { width: picture.width, height: picture.height, thumbnail: picture.thumbnail });
      await this.send(conversation, content);
    } finally {
      progress(null);
    }
  }

  private async putPart(upload: string, n: number, data: Uint8Array<ArrayBuffer>): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      const answer = await fetch(`${this.api}/media/${upload}/parts/${n}`, {
        method: 'PUT',
        body: data,
        headers: { 'content-type': 'application/octet-stream' },
      }).catch(() => null);
      if (answer?.ok) return;
      if (attempt === 4 || (answer && answer.status < 500)) throw new Error('The file couldn’t be sent. Try again.');
      await new Promise((resolve) => setTimeout(resolve, 1000 * 2 ** attempt));
    }
  }

  async fetchFile(file: FileContent): Promise<Blob> {
    const answer = await fetch(`${this.api}/media/${encodeURIComponent(file.upload)}`);
    if (!answer.ok) throw new Error(answer.status === 404 ? 'This file is no longer kept: files go after 30 days.' : 'The file couldn’t be fetched. Try again.');
    return new Blob([await unseal(new Uint8Array(await answer.arrayBuffer()), file)], { type: file.type });
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

  // What comes in.

  private async hear(frame: FromServer): Promise<void> {
    switch (frame.t) {
      case 'message':
        return this.take(frame);
      case 'note':
        return this.takeNote(frame);
      case 'sent':
        return this.sent(frame.id, frame.seq ?? 0, frame.at);
      case 'error':
        return this.refused(frame.code, frame.id, frame.retry_after);
      case 'welcome':
        await this.topUp();
        this.watch();
        return this.pump();
      case 'caught_up':
        this.caughtUp = true;
        return;
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
    const kept: Kept = { conversation, seq, id, account, device, at, content, why, sealed: wish ? frame : null };
    batch.message(kept).put('position', conversation, seq);
    await this.store.commit(batch);
    this.positions.set(conversation, seq);
    this.ack(conversation, seq);
    const talk = this.byId.get(conversation);
    if (talk) {
      this.show(talk, kept);
      this.shownTyping(conversation, account, false);
      if (this.looking === conversation && document.visibilityState === 'visible') this.read(talk);
    }
    if (wish) await this.fulfil(wish);
  }

  private show(talk: Talk, kept: Kept): void {
    const others = talk.messages.filter((message) => !(message.device === kept.device && message.id === kept.id));
    const at = others.findLastIndex((message) => message.seq < kept.seq) + 1;
    talk.messages = [...others.slice(0, at), kept, ...others.slice(at)];
    if (kept.content?.kind === 'about') talk.name = nameIn(talk.messages);
    if (kept.seq > talk.place.last && kept.seq !== UNSENT) talk.place = { ...talk.place, last: kept.seq };
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
    for (const each of opened) batch.message(each);
    await this.store.commit(batch);
    this.notes.push(frame.note);
    this.ack('', 0);
    const talk = this.byId.get(frame.conversation);
    if (talk) for (const each of opened) this.show(talk, each);
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

  // What goes out.

  private pumping = false;

  private async pump(): Promise<void> {
    if (this.pumping || !this.link?.online) return;
    this.pumping = true;
    try {
      const flying = new Set([...this.flying.values()].map((each) => each.conversation));
      for (const id of [...this.blocked]) if (!flying.has(id)) this.blocked.delete(id);
      for (const queued of [...this.queue]) {
        if (this.flying.size >= AHEAD || !this.link?.online) break;
        if (this.flying.has(queued.id) || this.blocked.has(queued.conversation)) continue;
        await this.sendQueued(queued);
      }
    } catch (error) {
      const { status, code } = error as { status?: number; code?: string };
      if (status === undefined) this.broke(error);
      else if (status && status < 500 && status !== 429) console.warn(code);
      else setTimeout(() => void this.pump(), 2000);
    } finally {
      this.pumping = false;
    }
  }

  private async sendQueued(queued: Queued): Promise<void> {
    let talk = this.byId.get(queued.conversation);
    if (!talk?.place.devices.length) talk = await this.refresh(queued.conversation);
    const place = talk.place;
    const others = place.devices.filter((device) => device.id !== this.device);
    await this.begin(others.filter((device) => !this.sealing.meets(device.id)));
    const batch = new Batch();
    const inner: Inner = { v: 1, from: this.account, device: this.device, conversation: place.id, id: queued.id };
    const frame: SendFrame = { t: 'send', id: queued.id, conversation: place.id, revision: place.revision, envelopes: {} };
    let targets = others.map((device) => device.id);
    let sealed: Inner = { ...inner, content: queued.content };
    if (place.kind === 'group') {
      const { content, key, lacking } = this.sealing.sealForGroup(sealed, targets, batch);
      frame.content = content;
      sealed = { ...inner, keys: key };
      targets = lacking;
      this.given.set(queued.id, { conversation: place.id, session: key.session, devices: lacking });
    }
    for (const id of targets) frame.envelopes[id] = this.sealing.sealFor(id, sealed, batch);
    await this.store.commit(batch);
    this.flying.set(queued.id, queued);
    this.link?.say(frame);
  }

  /** Begin sessions with devices. */
  private async begin(devices: Device[]): Promise<void> {
    if (!devices.length) return;
    const { keys } = await http.post<{ keys: ClaimedKey[] }>(`${this.api}/keys/claim`, { devices: devices.map((device) => device.id) });
    const batch = new Batch();
    for (const key of keys) {
      const device = devices.find((each) => each.id === key.device);
      if (device) this.sealing.begin(device, key, batch);
    }
    await this.store.commit(batch);
  }

  private async sent(id: string, seq: number, at: number): Promise<void> {
    const queued = this.flying.get(id);
    if (!queued) return;
    const given = this.given.get(id);
    const batch = new Batch();
    if (given) this.sealing.gave(given.conversation, given.session, given.devices, batch);
    const kept: Kept = { ...this.unsent(queued), seq, at };
    batch.message(kept);
    if (queued.n !== undefined) batch.unqueue(queued.n);
    await this.store.commit(batch);
    this.flying.delete(id);
    this.given.delete(id);
    this.queue = this.queue.filter((each) => each.id !== id);
    const talk = this.byId.get(queued.conversation);
    if (talk) this.show(talk, kept);
    void this.pump();
  }

  private async refused(code: string, id: string | undefined, retryAfter: number | undefined): Promise<void> {
    const queued = id ? this.flying.get(id) : undefined;
    if (!queued || !id) return;
    this.flying.delete(id);
    this.given.delete(id);
    if (['stale_members', 'unavailable', 'too_many_requests'].includes(code)) {
      this.blocked.add(queued.conversation);
      const talk = this.byId.get(queued.conversation);
      if (talk) talk.place = { ...talk.place, devices: [] };
      if (code !== 'stale_members') setTimeout(() => void this.pump(), 1000 * (retryAfter ?? 1));
      else if (![...this.flying.values()].some((each) => each.conversation === queued.conversation)) setTimeout(() => void this.pump());
      return;
    }
    // It never goes: it leaves the queue, and says so where it stood.
    if (queued.n !== undefined) await this.store.commit(new Batch().unqueue(queued.n));
    this.queue = this.queue.filter((each) => each.id !== id);
    const talk = this.byId.get(queued.conversation);
    if (talk) talk.messages = talk.messages.filter((message) => message.id !== id);
    this.fault = code === 'conversation_not_found' ? 'You are no longer in this conversation, so your message wasn’t sent.' : `A message wasn’t sent (${code}).`;
  }

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
    if (wish.fresh || !this.sealing.meets(device.id)) await this.begin([device]);
    if (!this.sealing.meets(device.id)) return;
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

function nameIn(messages: readonly Kept[]): string {
  const named = messages.findLast((message) => message.content?.kind === 'about' && message.content.name !== undefined);
  return named?.content?.kind === 'about' ? String(named.content.name ?? '').slice(0, 100) : '';
}

function deviceName(): string {
  const agent = navigator.userAgent;
  const browser = /Firefox/.test(agent) ? 'Firefox' : /Edg\//.test(agent) ? 'Edge' : /Chrome/.test(agent) ? 'Chrome' : /Safari/.test(agent) ? 'Safari' : 'A browser';
  const system = /Android/.test(agent) ? 'Android' : /iPhone|iPad/.test(agent) ? 'iOS' : /Mac/.test(agent) ? 'macOS' : /Windows/.test(agent) ? 'Windows' : /Linux/.test(agent) ? 'Linux' : '';
  return system ? `${browser} on ${system}` : browser;
}
