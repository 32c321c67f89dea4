/**
 * Sealing and opening. What is here is which session is used, who is given which key, and that what is opened was
 * sealed by whom, for whom and for where it claims. State lives in memory and is written through batches.
 */
import { openEngine, type Engine, type Session } from './engine';
import type { ClaimedKey, Device, Envelope, GroupKey, Inner, Place } from './protocol';
import type { Batch, Store } from './store';

const SESSIONS = 5;
const ROTATE_AFTER = 100;
const ROTATE_MS = 7 * 86_400_000;
const FALLBACK_MS = 7 * 86_400_000;
const KEYS = 50;

/** `key`: a group's key is missing; `session`: no session opens it; `forged`: it isn't what it claims to be. */
export class CannotOpen extends Error {
  constructor(
    readonly kind: 'key' | 'session' | 'forged',
    message: string,
  ) {
    super(message);
  }
}

/**
 * Under which the Olm sessions with a device are kept: those of each conversation by themselves. What waits is delivered
 * conversation by conversation, and a session opens nothing that is more than 40 messages older than what it has opened.
 */
const nameOf = (device: string, conversation: string): string => `${device} ${conversation}`;

type Used = Session & { used: number };
type Pinned = Pick<Device, 'account' | 'identity_key' | 'signing_key'>;
interface Outbound {
  session: string;
  key: string;
  pickle: string;
  begun: number;
  count: number;
  given: string[];
}
/** A group session of another device in a backup: its key as Megolm exports it. */
export interface KeptSession {
  conversation: string;
  device: string;
  session: string;
  key: string;
}
interface OwnKey {
  conversation: string;
  key: string;
  given: string[];
}

export class Sealing {
  private account = '';
  private clock = 0;

  private constructor(
    private readonly engine: Engine,
    private readonly state: Map<string, string>,
    private readonly devices: Map<string, Pinned>,
    private readonly sessions: Map<string, Used[]>,
    private readonly inbound: Map<string, string>,
    private readonly used: Map<string, string>,
    private readonly outbound: Map<string, Outbound>,
    private readonly ownKeys: Map<string, OwnKey>,
  ) {}

  static async open(store: Store, batch: Batch): Promise<Sealing> {
    const state = await store.all<string>('state');
    let key = state.get('key');
    if (!key) {
      key = crypto.randomUUID() + crypto.randomUUID();
      batch.put('state', 'key', key);
    }
    const made = new Sealing(
      await openEngine(key),
      state,
      await store.all('device'),
      await store.all('olm'),
      await store.all('inbound'),
      await store.all('used'),
      await store.all('outbound'),
      await store.all('ownkey'),
    );
    made.account = state.get('account') ?? made.engine.createAccount();
    batch.put('state', 'account', made.account);
    return made;
  }

  // Keys of its own.

  register(account: string, name: string, batch: Batch): object {
    const { identity, signing } = this.engine.identityKeys(this.account);
    const signature = this.engine.sign(this.account, `tenfold-messages-device ${account} ${identity} ${signing}`);
    return { name, identity_key: identity, signing_key: signing, signature, ...this.moreKeys(KEYS, true, batch) };
  }

  moreKeys(count: number, fallback: boolean, batch: Batch): object {
    const made = this.engine.prekeys(this.account, count, fallback);
    this.account = made.account;
    batch.put('state', 'account', this.account);
    const { identity } = this.engine.identityKeys(this.account);
    const signed = ({ id, key }: { id: string; key: string }): object => ({
      id,
      key,
      signature: this.engine.sign(this.account, `tenfold-messages-key ${identity} ${id} ${key}`),
    });
    if (made.fallback) {
      this.state.set('fallback', String(Date.now()));
      batch.put('state', 'fallback', String(Date.now()));
    }
    return { one_time_keys: made.keys.map(signed), ...(made.fallback && { fallback_key: signed(made.fallback) }) };
  }

  get fallbackIsOld(): boolean {
    return Date.now() - Number(this.state.get('fallback') ?? 0) > FALLBACK_MS;
  }

  // Others' devices.

  knowsDevice(id: string): boolean {
    return this.devices.has(id);
  }

  knowsAccount(account: string): boolean {
    return [...this.devices.values()].some((device) => device.account === account);
  }

  /** Believe a device's keys when it is first seen; false for a device whose keys are forged or have changed. */
  pin(device: Device, batch: Batch): boolean {
    const text = `tenfold-messages-device ${device.account} ${device.identity_key} ${device.signing_key}`;
    if (!this.engine.verify(device.signing_key, text, device.signature)) return false;
    const { account, identity_key, signing_key } = device;
    const known = this.devices.get(device.id);
    if (known) return known.account === account && known.identity_key === identity_key && known.signing_key === signing_key;
    this.devices.set(device.id, { account, identity_key, signing_key });
    batch.put('device', device.id, { account, identity_key, signing_key });
    return true;
  }

  /** A new session with a device; false where its prekey is forged. */
  begin(device: Device, conversation: string, claimed: ClaimedKey, batch: Batch): boolean {
    const text = `tenfold-messages-key ${device.identity_key} ${claimed.id} ${claimed.key}`;
    if (!this.engine.verify(device.signing_key, text, claimed.signature)) return false;
    this.keep(nameOf(device.id, conversation), this.engine.outbound(this.account, device.identity_key, claimed.key), batch);
    return true;
  }

  meets(device: string, conversation: string): boolean {
    return Boolean(this.sessions.get(nameOf(device, conversation))?.length);
  }

  // Between two devices.

  sealFor(device: string, inner: Inner, batch: Batch): Envelope {
    const name = nameOf(device, inner.conversation);
    const session = this.sessions.get(name)?.[0];
    if (!session) throw new Error('There is no session with this device.');
    const sealed = this.engine.encrypt(session.pickle, JSON.stringify({ ...inner, to: device }));
    this.keep(name, sealed.session, batch);
    return { type: sealed.type, body: sealed.body };
  }

  openEnvelope(envelope: Envelope, place: Place, own: string, batch: Batch): Inner {
    const device = this.devices.get(place.device);
    if (device?.account !== place.account) throw new CannotOpen('forged', 'its sender’s device isn’t known');
    const inner = read(this.decrypt(envelope, nameOf(place.device, place.conversation), device.identity_key, batch), place);
    if (inner.to !== own) throw new CannotOpen('forged', 'it was sealed for another device');
    return inner;
  }

  private decrypt(envelope: Envelope, name: string, identityKey: string, batch: Batch): string {
    for (const session of this.sessions.get(name) ?? []) {
      if (envelope.type === 0 && !this.engine.matches(session.pickle, envelope.body)) continue;
      const opened = this.engine.decrypt(session.pickle, envelope.type, envelope.body);
      if (opened) {
        this.keep(name, opened.session, batch);
        return opened.plain;
      }
      if (envelope.type === 0) throw new CannotOpen('session', 'the session that it began doesn’t open it');
    }
    const begun = envelope.type === 0 ? this.engine.inbound(this.account, identityKey, envelope.body) : null;
    if (!begun) throw new CannotOpen('session', 'no session opens it');
    this.account = begun.account;
    batch.put('state', 'account', this.account);
    this.keep(name, begun.session, batch);
    return begun.plain;
  }

  /** What was used last is used next; the oldest go. */
  private keep(name: string, session: Session, batch: Batch): void {
    this.clock = Math.max(this.clock + 1, Date.now());
    const others = (this.sessions.get(name) ?? []).filter((each) => each.id !== session.id);
    const kept = [{ ...session, used: this.clock }, ...others].slice(0, SESSIONS);
    this.sessions.set(name, kept);
    batch.put('olm', name, kept);
  }

  // In groups.

  sealForGroup(inner: Inner, devices: readonly string[], batch: Batch): { content: string; key: GroupKey; lacking: string[] } {
    let own = this.outbound.get(inner.conversation);
    const stale = own && (own.given.some((id) => !devices.includes(id)) || own.count >= ROTATE_AFTER || Date.now() - own.begun > ROTATE_MS);
    if (!own || stale) {
      const { session, key } = this.engine.createGroup();
      own = { session: session.id, key, pickle: session.pickle, begun: Date.now(), count: 0, given: [] };
    }
    const sealed = this.engine.encryptGroup(own.pickle, JSON.stringify(inner));
    own = { ...own, pickle: sealed.session.pickle, count: own.count + 1 };
    this.outbound.set(inner.conversation, own);
    batch.put('outbound', inner.conversation, own);
    const { given } = own;
    return {
      content: `${own.session}.${sealed.body}`,
      key: { session: own.session, key: own.key },
      lacking: devices.filter((id) => !given.includes(id)),
    };
  }

  /** These were given the key of a session of one's own. */
  gave(conversation: string, session: string, devices: readonly string[], batch: Batch): void {
    const own = this.outbound.get(conversation);
    if (own?.session !== session) return;
    own.given = [...new Set([...own.given, ...devices])];
    const key: OwnKey = { conversation, key: own.key, given: own.given };
    this.ownKeys.set(session, key);
    batch.put('outbound', conversation, own).put('ownkey', session, key);
  }

  /** The key of a session of one's own, for a device that was given it before. */
  keyFor(session: string, conversation: string, device: string): GroupKey | null {
    const own = this.ownKeys.get(session);
    return own?.conversation === conversation && own.given.includes(device) ? { session, key: own.key } : null;
  }

  takeKey(key: GroupKey, place: Place, batch: Batch): void {
    const session = this.engine.importGroup(key.key);
    if (session?.id !== key.session) throw new CannotOpen('forged', 'it is no key of this group');
    const name = `${place.conversation} ${place.device} ${key.session}`;
    if (this.inbound.has(name)) return;
    this.inbound.set(name, session.pickle);
    batch.put('inbound', name, session.pickle);
  }

  /** Names of the group sessions of other devices; `exported` is what a backup keeps of one. */
  get groupSessions(): string[] {
    return [...this.inbound.keys()];
  }

  exported(name: string): KeptSession | null {
    const [conversation = '', device = '', session = ''] = name.split(' ');
    const pickle = this.inbound.get(name);
    return pickle ? { conversation, device, session, key: this.engine.exportGroup(pickle) } : null;
  }

  /** A key out of one's own backup; false where it was here already. */
  takeExported({ conversation, device, session, key }: KeptSession, batch: Batch): boolean {
    const name = `${conversation} ${device} ${session}`;
    const found = this.engine.importExported(key);
    if (found?.id !== session) throw new CannotOpen('forged', 'the backup holds a key of another session');
    if (this.inbound.has(name)) return false;
    this.inbound.set(name, found.pickle);
    batch.put('inbound', name, found.pickle);
    return true;
  }

  openContent(sealed: string, place: Place, batch: Batch): Inner {
    const at = sealed.indexOf('.');
    const session = sealed.slice(0, at);
    const pickle = this.inbound.get(`${place.conversation} ${place.device} ${session}`);
    if (!pickle) throw new CannotOpen('key', session);
    const opened = this.engine.decryptGroup(pickle, sealed.slice(at + 1));
    if (!opened) throw new CannotOpen('forged', 'its session doesn’t open it');
    const name = `${session} ${opened.index}`;
    const before = this.used.get(name);
    if (before !== undefined && before !== place.id) throw new CannotOpen('forged', 'it was said before');
    const inner = read(opened.plain, place);
    this.used.set(name, place.id);
    batch.put('used', name, place.id);
    return inner;
  }
}

function read(plain: string, place: Place): Inner {
  let inner: Inner;
  try {
    inner = JSON.parse(plain) as Inner;
  } catch {
    throw new CannotOpen('forged', 'its plaintext can’t be read');
  }
  if (inner.v !== 1 || inner.from !== place.account || inner.device !== place.device || inner.conversation !== place.conversation || inner.id !== place.id)
    throw new CannotOpen('forged', 'it was sealed for another place');
  return inner;
}
