/** Backups: a random key, sealed by a passphrase, and parts of history under it (docs/messages-protocol.md). */
import { ApiError, http } from '../../platform/api';
import { fromBase64, getPart, putPart, toBase64 } from './files';
import type { Content, MessageFrame } from './protocol';
import type { KeptSession, Sealing } from './sealing';
import { Batch, type Kept, type Store } from './store';

const KDF = 'PBKDF2-SHA256';
const ROUNDS = 600_000;
export const PASSPHRASE = 8;
/** Bytes of a part before it is packed and when it is unpacked at most, messages read at once, parts of a backup. */
const PART = 1024 * 1024;
const MOST = 64 * 1024 * 1024;
const ROWS = 500;
const PARTS = 9_000;

type Bytes = Uint8Array<ArrayBuffer>;

export class WrongPassphrase extends Error {
  override message = 'This passphrase doesn’t open the backup.';
}
export class BackupBroken extends Error {
  override message = 'The backup can’t be read: a part of it is missing, or was changed.';
}

type KeptMessage = Omit<Kept, 'n' | 'content' | 'why' | 'sealed'> & { content: Content };
export interface Line {
  message?: KeptMessage;
  session?: KeptSession;
}
export interface Found {
  version: number;
  sealed: string;
  parts: number[];
  bytes: number;
  changed_at: number;
}
/** What is known of the backup that this browser has made, so that it can add to it. */
interface Own {
  version: number;
  key: string;
  parts: number;
  /** The last message in it, and the sessions. */
  n: number;
  sessions: string[];
}

const encode = (text: string): Bytes => new TextEncoder().encode(text) as Bytes;
const place = (version: number, number: number): Bytes => encode(`${version}/${number}`);

async function derive(passphrase: string, salt: Bytes, rounds: number): Promise<CryptoKey> {
  const base = await crypto.subtle.importKey('raw', encode(passphrase), 'PBKDF2', false, ['deriveKey']);
  const how = { name: 'PBKDF2', hash: 'SHA-256', salt, iterations: rounds };
  return crypto.subtle.deriveKey(how, base, { name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
}

const cipher = (key: Bytes): Promise<CryptoKey> => crypto.subtle.importKey('raw', key, 'AES-GCM', false, ['encrypt', 'decrypt']);

export async function makeHead(passphrase: string, key: Bytes): Promise<string> {
  const salt = crypto.getRandomValues(new Uint8Array(16));
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, await derive(passphrase, salt, ROUNDS), key);
  const head = { kdf: KDF, rounds: ROUNDS, salt: toBase64(salt), iv: toBase64(iv), key: toBase64(new Uint8Array(sealed)) };
  return btoa(JSON.stringify(head));
}

/** The key of a backup. Throws WrongPassphrase, BackupBroken. */
export async function openHead(passphrase: string, sealed: string): Promise<Bytes> {
  let head: { kdf: string; rounds: number; salt: Bytes; iv: Bytes; key: Bytes };
  try {
    const { kdf, rounds, salt, iv, key } = JSON.parse(atob(sealed)) as Record<string, string | number>;
    head = { kdf: String(kdf), rounds: Number(rounds), salt: fromBase64(String(salt)), iv: fromBase64(String(iv)), key: fromBase64(String(key)) };
  } catch {
    throw new BackupBroken();
  }
  if (head.kdf !== KDF || !(head.rounds >= 1 && head.rounds <= 10_000_000)) throw new BackupBroken();
  const by = await derive(passphrase, head.salt, head.rounds);
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-GCM', iv: head.iv }, by, head.key));
  } catch {
    throw new WrongPassphrase();
  }
}

/** A part of lines of JSON. */
export async function sealPart(key: Bytes, version: number, number: number, lines: readonly string[]): Promise<Bytes> {
  const packing = new Blob([lines.join('\n')]).stream().pipeThrough(new CompressionStream('gzip'));
  const packed = await new Response(packing).arrayBuffer();
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const how = { name: 'AES-GCM', iv, additionalData: place(version, number) };
  const sealed = new Uint8Array(await crypto.subtle.encrypt(how, await cipher(key), packed));
  const whole = new Uint8Array(12 + sealed.length);
  whole.set(iv);
  whole.set(sealed, 12);
  return whole;
}

/** The lines of a part. Throws BackupBroken where it isn't that part of that version. */
export async function openPart(key: Bytes, version: number, number: number, sealed: Bytes): Promise<string[]> {
  const how = { name: 'AES-GCM', iv: sealed.subarray(0, 12), additionalData: place(version, number) };
  try {
    const packed = await crypto.subtle.decrypt(how, await cipher(key), sealed.subarray(12));
    const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip')).getReader();
    const pieces: Bytes[] = [];
    let size = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > MOST) throw new BackupBroken();
      pieces.push(value as Bytes);
    }
    return (await new Blob(pieces).text()).split('\n').filter(Boolean);
  } catch {
    throw new BackupBroken();
  }
}

/** The backup of an account, as this browser makes it, adds to it, and reads it. */
export class Past {
  private turn: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly api: string,
    private readonly store: Store,
    private readonly sealing: Sealing,
  ) {}

  async found(): Promise<Found | null> {
    try {
      return await http.get<Found>(`${this.api}/backup`);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return null;
      throw error;
    }
  }

  /** One at a time: what adds to the backup must not take the one for it that is just being replaced. */
  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.turn.then(work);
    this.turn = done.catch(() => undefined);
    return done;
  }

  /** Replace the backup by all that is kept here. How many messages are in it. `told` is how many are sealed. */
  make(passphrase: string, told: (count: number) => void): Promise<number> {
    return this.inTurn(() => this.replace(passphrase, told));
  }

  private async replace(passphrase: string, told: (count: number) => void): Promise<number> {
    const key = crypto.getRandomValues(new Uint8Array(32));
    const before = await this.found();
    const version = before ? before.version + 1 : 1;
    await http.put(`${this.api}/backup`, { version, sealed: await makeHead(passphrase, key) });
    const own: Own = { version, key: toBase64(key), parts: 0, n: 0, sessions: [] };
    return this.add(own, told);
  }

  /** Add what has come since to the backup that this browser has made, if it still is the one that counts. */
  freshen(): Promise<void> {
    return this.inTurn(async () => {
      try {
        const own = await this.store.get<Own>('state', 'backup');
        if (own && own.parts < PARTS) await this.add(own, () => undefined);
      } catch (error) {
        // Another device has made one since, it was removed, or it is full. What is merely away is tried again later.
        if (error instanceof ApiError && [404, 409].includes(error.status)) await this.store.commit(new Batch().remove('state', 'backup'));
      }
    });
  }

  private async add(own: Own, told: (count: number) => void): Promise<number> {
    const key = fromBase64(own.key);
    const there = new Set(own.sessions);
    const fresh = this.sealing.groupSessions.filter((name) => !there.has(name));
    let now = { ...own, sessions: [...own.sessions, ...fresh] };
    let lines = fresh.map((name) => this.sealing.exported(name)).flatMap((session) => (session ? [JSON.stringify({ session } satisfies Line)] : []));
    let size = 0;
    let count = 0;
    const put = async (): Promise<void> => {
      const sealed = await sealPart(key, now.version, now.parts, lines);
      await putPart(`${this.api}/backup/parts/${now.parts}?version=${now.version}`, sealed);
      now = { ...now, parts: now.parts + 1 };
      lines = [];
      size = 0;
      told(count);
    };
    for (;;) {
      const rows = await this.store.after(now.n, ROWS);
      if (!rows.length) break;
      for (const { n, conversation, seq, id, account, device, at, content, ends_at } of rows) {
        now = { ...now, n: n ?? now.n };
        if (!content) continue;
        const message: KeptMessage = { conversation, seq, id, account, device, at, content, ...(ends_at && { ends_at }) };
        const line = JSON.stringify({ message } satisfies Line);
        lines.push(line);
        size += line.length;
        count += 1;
      }
      if (size > PART) await put();
    }
    if (lines.length) await put();
    if (now.parts !== own.parts || !own.parts) await this.store.commit(new Batch().put('state', 'backup', now));
    return count;
  }

  /**
   * Take in what a backup holds that isn't here. How many messages. `open` tries a frame again with the keys that came.
   * Throws WrongPassphrase, BackupBroken.
   */
  async restore(passphrase: string, open: (frame: MessageFrame, batch: Batch) => Content | null, told: (share: number) => void): Promise<number> {
    const found = await this.found();
    if (!found) throw new ApiError({ title: 'There is no backup any more.', status: 404, code: 'backup_not_found' });
    const key = await openHead(passphrase, found.sealed);
    const numbers = [...found.parts].sort((one, other) => one - other);
    if (numbers.some((number, index) => number !== index)) throw new BackupBroken(); // one in the middle was left out
    let count = 0;
    const places = new Set<string>();
    for (const number of numbers) {
      const sealed = await getPart(`${this.api}/backup/parts/${number}`, 'The backup was replaced meanwhile. Try again.');
      const lines = await openPart(key, found.version, number, sealed);
      const batch = new Batch();
      for (const text of lines) {
        const { message, session } = read(text);
        if (message && (await this.take(message, batch))) count += 1;
        if (session && this.sealing.takeExported(session, batch)) places.add(`${session.conversation} ${session.device}`);
      }
      await this.store.commit(batch);
      told((number + 1) / numbers.length);
    }
    for (const name of places) {
      const [conversation = '', device = ''] = name.split(' ');
      const batch = new Batch();
      for (const kept of await this.store.waiting(conversation, device)) {
        if (!kept.sealed?.content) continue;
        const { envelope: _, ...rest } = kept.sealed;
        const content = open(rest, batch);
        if (!content) continue;
        batch.opened({ ...kept, content, why: '', sealed: null });
        count += 1;
      }
      await this.store.commit(batch);
    }
    return count;
  }

  private async take(message: KeptMessage, batch: Batch): Promise<boolean> {
    if (message.ends_at !== undefined && message.ends_at <= Date.now()) return false;
    const there = await this.store.find(message.conversation, message.device, message.id);
    if (there && !there.sealed) return false;
    const kept: Kept = { ...message, why: '', sealed: null };
    batch.opened(there?.n === undefined ? kept : { ...kept, n: there.n });
    return true;
  }
}

/** A line of a part. What isn't known is passed over; what can't be read is broken. */
function read(text: string): Line {
  try {
    const line = JSON.parse(text) as Line;
    if (line.message && (typeof line.message.content.kind !== 'string' || !Number.isInteger(line.message.seq))) throw new BackupBroken();
    return line;
  } catch {
    throw new BackupBroken();
  }
}
