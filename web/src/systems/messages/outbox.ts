/** What is to be sent: kept first, sealed for whoever is there, and gone only once the server has it. */
import { asApiError, http, type ApiError } from '../../platform/api';
import type { ClaimedKey, Device, Inner, SendFrame } from './protocol';
import type { Sealing } from './sealing';
import { Batch, ending, unsent, type Kept, type Queued, type Store } from './store';
import type { Talk } from './talk.svelte';

const AHEAD = 32;
/** Milliseconds until something is tried again that a server or a network refused for now. */
const PAUSE = 2000;

/** Why a message wasn't sent, by the code of it. */
const WHY: Record<string, string> = {
  conversation_not_found: 'You are no longer in this conversation.',
  no_session: 'A device in this conversation has no keys to write to it with. Try again once its owner has opened Messages there.',
};

/** What the outbox needs of its messenger. */
export interface Post {
  readonly online: boolean;
  say(frame: object): void;
  talk(id: string): Talk | undefined;
  /** Read a conversation anew, with its devices. */
  refresh(id: string): Promise<Talk>;
  /** The server has it. */
  sent(kept: Kept): void;
  /** It never goes. */
  failed(why: string): void;
}

export class Outbox {
  private queue: Queued[] = [];
  private readonly flying = new Map<string, Queued>();
  private readonly given = new Map<string, { conversation: string; session: string; devices: string[] }>();
  private readonly blocked = new Set<string>();
  private pumping = false;
  /** Messages that something here is broken about: they stay, and are tried again when the page is opened anew. */
  private readonly broken = new Set<string>();

  constructor(
    private readonly api: string,
    private readonly account: string,
    private readonly device: string,
    private readonly store: Store,
    private readonly sealing: Sealing,
    private readonly post: Post,
  ) {}

  async load(): Promise<void> {
    this.queue = await this.store.queued();
  }

  /** Those of a conversation that wait, as they are shown. */
  waiting(conversation: string): Kept[] {
    return this.queue.filter((each) => each.conversation === conversation).map((each) => this.shown(each));
  }

  private shown(queued: Queued): Kept {
    return unsent(queued, this.account, this.device);
  }

  /** Keep a message, and send it when that may be. */
  async add(queued: Queued): Promise<Kept> {
    await this.store.commit(new Batch().queue(queued));
    this.queue.push(queued);
    void this.pump();
    return this.shown(queued);
  }

  /** The connection is gone: what was on its way goes again. */
  lost(): void {
    this.flying.clear();
    this.given.clear();
  }

  async pump(): Promise<void> {
    if (this.pumping || !this.post.online) return;
    this.pumping = true;
    try {
      const flying = new Set([...this.flying.values()].map((each) => each.conversation));
      for (const id of [...this.blocked]) if (!flying.has(id)) this.blocked.delete(id);
      for (const queued of [...this.queue]) {
        if (this.flying.size >= AHEAD || !this.post.online) break;
        if (this.flying.has(queued.id) || this.broken.has(queued.id) || this.blocked.has(queued.conversation)) continue;
        // Whatever is wrong with one message, the others and the connection go on.
        await this.send(queued).catch((error: unknown) => this.notSent(queued, asApiError(error)));
      }
    } finally {
      this.pumping = false;
    }
  }

  private async send(queued: Queued, again = false): Promise<void> {
    let talk = this.post.talk(queued.conversation);
    if (!talk?.place.devices.length) talk = await this.post.refresh(queued.conversation);
    const place = talk.place;
    const others = place.devices.filter((device) => device.id !== this.device);
    const unmet = (): Device[] => others.filter((device) => !this.sealing.meets(device.id, place.id));
    await this.begin(place.id, unmet());
    if (place.kind === 'direct' && unmet().length) {
      if (again) return this.drop(queued, 'no_session');
      // Some may have ended since. The others can't be written to, and the server takes nothing without them.
      await this.post.refresh(place.id);
      return this.send(queued, true);
    }
    const batch = new Batch();
    const inner: Inner = { v: 1, from: this.account, device: this.device, conversation: place.id, id: queued.id };
    const frame: SendFrame = { t: 'send', id: queued.id, conversation: place.id, revision: place.revision, envelopes: {} };
    let targets = others.map((device) => device.id);
    let sealed: Inner = { ...inner, content: queued.content };
    if (place.kind === 'group') {
      const { content, key, lacking } = this.sealing.sealForGroup(sealed, targets, batch);
      frame.content = content;
      sealed = { ...inner, keys: key };
      // A device with which there can be no session gets no key. It can ask for it.
      targets = lacking.filter((id) => this.sealing.meets(id, place.id));
      this.given.set(queued.id, { conversation: place.id, session: key.session, devices: targets });
    }
    for (const id of targets) frame.envelopes[id] = this.sealing.sealFor(id, sealed, batch);
    if (queued.expires) frame.expires = queued.expires;
    await this.store.commit(batch);
    this.flying.set(queued.id, queued);
    this.post.say(frame);
  }

  /** Begin sessions with devices, as far as they have keys. */
  async begin(conversation: string, devices: readonly Device[]): Promise<void> {
    if (!devices.length) return;
    const { keys } = await http.post<{ keys: ClaimedKey[] }>(`${this.api}/keys/claim`, { devices: devices.map((device) => device.id) });
    const batch = new Batch();
    for (const key of keys) {
      const device = devices.find((each) => each.id === key.device);
      if (device) this.sealing.begin(device, conversation, key, batch);
    }
    await this.store.commit(batch);
  }

  /** The server has a message, by this number. */
  async sent(id: string, seq: number, at: number): Promise<void> {
    const queued = this.flying.get(id);
    if (!queued) return;
    const given = this.given.get(id);
    const batch = new Batch();
    if (given) this.sealing.gave(given.conversation, given.session, given.devices, batch);
    const kept: Kept = { ...this.shown(queued), seq, at, ...ending(at, queued.expires) };
    batch.message(kept);
    if (queued.n !== undefined) batch.unqueue(queued.n);
    await this.store.commit(batch);
    this.flying.delete(id);
    this.given.delete(id);
    this.queue = this.queue.filter((each) => each.id !== id);
    this.post.sent(kept);
    void this.pump();
  }

  async refused(code: string, id: string | undefined, retryAfter: number | undefined): Promise<void> {
    const queued = id ? this.flying.get(id) : undefined;
    if (!queued || !id) return;
    this.flying.delete(id);
    this.given.delete(id);
    if (!['stale_members', 'unavailable', 'too_many_requests'].includes(code)) return this.drop(queued, code);
    this.blocked.add(queued.conversation);
    const talk = this.post.talk(queued.conversation);
    if (talk) talk.place = { ...talk.place, devices: [] };
    if (code !== 'stale_members') setTimeout(() => void this.pump(), 1000 * (retryAfter ?? 1));
    else if (![...this.flying.values()].some((each) => each.conversation === queued.conversation)) setTimeout(() => void this.pump());
  }

  private async notSent(queued: Queued, error: ApiError): Promise<void> {
    if ([403, 404, 410].includes(error.status)) return this.drop(queued, error.code);
    if (error.code === 'fault') {
      this.broken.add(queued.id);
      return this.post.failed('This page ran into a fault, so a message isn’t sent yet. It is kept: reload the page.');
    }
    this.blocked.add(queued.conversation);
    setTimeout(() => void this.pump(), PAUSE);
  }

  /** A message that never goes leaves the queue, and what it said is told, so that it can be said anew. */
  private async drop(queued: Queued, code: string): Promise<void> {
    if (queued.n !== undefined) await this.store.commit(new Batch().unqueue(queued.n));
    this.queue = this.queue.filter((each) => each.id !== queued.id);
    const talk = this.post.talk(queued.conversation);
    if (talk) talk.messages = talk.messages.filter((message) => message.id !== queued.id);
    const said = queued.content.kind === 'text' ? `“${queued.content.text.slice(0, 60)}” wasn’t sent.` : 'A message wasn’t sent.';
    this.post.failed(`${said} ${WHY[code] ?? `The server refused it (${code}).`}`);
  }
}
