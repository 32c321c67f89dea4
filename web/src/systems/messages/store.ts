/**
 * What this browser keeps: keys, sessions, messages, and what is still to be sent, in IndexedDB.
 *
 * A step of a conversation is one `Batch`: a session that has moved on and the message it was moved by are written
 * together, and only then is anything acknowledged.
 */
import type { Content, MessageFrame } from './protocol';

/** The number of a message that has none yet. */
export const UNSENT = Number.MAX_SAFE_INTEGER;

export interface Kept {
  n?: number;
  conversation: string;
  seq: number;
  id: string;
  account: string;
  device: string;
  at: number;
  content: Content | null;
  /** Why there is no content. */
  why: string;
  /** The frame, to be opened when its key has come. */
  sealed: MessageFrame | null;
  /** When it disappears, in milliseconds since 1970. */
  ends_at?: number;
}

export interface Queued {
  n?: number;
  conversation: string;
  id: string;
  content: Content;
  at: number;
  /** Seconds after which it disappears; 0: it stays. */
  expires?: number;
}

export const unsent = ({ conversation, id, content, at }: Queued, account: string, device: string): Kept => ({
  conversation, seq: UNSENT, id, account, device, at, content, why: '', sealed: null,
});

/** When a message disappears that was sent at some time, if it does. */
export const ending = (at: number, expires: number | undefined): Pick<Kept, 'ends_at'> => (expires ? { ends_at: at + 1000 * expires } : {});

const MAPS = ['state', 'device', 'olm', 'inbound', 'used', 'outbound', 'ownkey', 'position', 'note', 'draft'] as const;
export type MapName = (typeof MAPS)[number];
const ALL = [...MAPS, 'message', 'outbox'];

function wait<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('The browser’s storage failed.'));
  });
}

export class Store {
  private constructor(private readonly db: IDBDatabase) {}

  static async open(account: string): Promise<Store> {
    const request = indexedDB.open(`tenfold-messages-${account}`, 1);
    request.onupgradeneeded = () => {
      for (const name of MAPS) request.result.createObjectStore(name);
      const messages = request.result.createObjectStore('message', { keyPath: 'n', autoIncrement: true });
      messages.createIndex('conversation', ['conversation', 'seq']);
      messages.createIndex('kind', ['conversation', 'content.kind', 'seq']);
      messages.createIndex('name', ['conversation', 'device', 'id'], { unique: true });
      messages.createIndex('ends_at', 'ends_at');
      request.result.createObjectStore('outbox', { keyPath: 'n', autoIncrement: true }).createIndex('id', 'id', { unique: true });
    };
    const db = await wait(request);
    void navigator.storage?.persist?.();
    return new Store(db);
  }

  close(): void {
    this.db.close();
  }

  async all<T>(name: MapName): Promise<Map<string, T>> {
    const store = this.db.transaction(name).objectStore(name);
    const [keys, values] = await Promise.all([wait(store.getAllKeys()), wait(store.getAll())]);
    return new Map(keys.map((key, index) => [String(key), values[index] as T]));
  }

  async get<T>(name: MapName, key: string): Promise<T | undefined> {
    return (await wait(this.db.transaction(name).objectStore(name).get(key))) as T | undefined;
  }

  /** What was ever said of a conversation itself, oldest first: its name, and how long its messages stay. */
  async abouts(conversation: string): Promise<Kept[]> {
    const index = this.db.transaction('message').objectStore('message').index('kind');
    return (await wait(index.getAll(IDBKeyRange.bound([conversation, 'about'], [conversation, 'about', []])))) as Kept[];
  }

  /** The newest messages of a conversation, oldest first. */
  async newest(conversation: string, most: number): Promise<Kept[]> {
    const index = this.db.transaction('message').objectStore('message').index('conversation');
    const range = IDBKeyRange.bound([conversation, 0], [conversation, Number.MAX_SAFE_INTEGER]);
    return new Promise((resolve, reject) => {
      const found: Kept[] = [];
      const request = index.openCursor(range, 'prev');
      request.onerror = () => reject(request.error ?? new Error('The browser’s storage failed.'));
      request.onsuccess = () => {
        const cursor = request.result;
        if (!cursor || found.length >= most) resolve(found.reverse());
        else {
          found.push(cursor.value as Kept);
          cursor.continue();
        }
      };
    });
  }

  async find(conversation: string, device: string, id: string): Promise<Kept | undefined> {
    const index = this.db.transaction('message').objectStore('message').index('name');
    return (await wait(index.get([conversation, device, id]))) as Kept | undefined;
  }

  /** So many messages after a number of this browser's own, in the order in which they came. */
  async after(n: number, most: number): Promise<Kept[]> {
    const messages = this.db.transaction('message').objectStore('message');
    return (await wait(messages.getAll(IDBKeyRange.lowerBound(n, true), most))) as Kept[];
  }

  /** Messages that wait for a key. */
  async waiting(conversation: string, device: string): Promise<Kept[]> {
    const index = this.db.transaction('message').objectStore('message').index('name');
    const range = IDBKeyRange.bound([conversation, device], [conversation, device, []]);
    return ((await wait(index.getAll(range))) as Kept[]).filter((kept) => kept.sealed);
  }

  /** Remove messages whose time is over. When the next one goes, in milliseconds since 1970; null: none does. */
  async expire(now: number): Promise<number | null> {
    const transaction = this.db.transaction('message', 'readwrite');
    const messages = transaction.objectStore('message');
    const index = messages.index('ends_at');
    for (const key of await wait(index.getAllKeys(IDBKeyRange.upperBound(now)))) messages.delete(key);
    const next = await wait(index.openCursor());
    return next ? Number(next.key) : null;
  }

  async queued(): Promise<Queued[]> {
    return (await wait(this.db.transaction('outbox').objectStore('outbox').getAll())) as Queued[];
  }

  /** Write all or nothing. */
  async commit(batch: Batch): Promise<void> {
    if (!batch.steps.length) return;
    const transaction = this.db.transaction(ALL, 'readwrite', { durability: 'strict' });
    const done = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error('The browser’s storage failed.'));
    });
    for (const step of batch.steps) step(transaction);
    await done;
  }

  async erase(): Promise<void> {
    const { name } = this.db;
    this.db.close();
    await wait(indexedDB.deleteDatabase(name));
  }
}

/** What is to be written together. */
export class Batch {
  readonly steps: ((transaction: IDBTransaction) => void)[] = [];

  put(name: MapName, key: string, value: unknown): this {
    this.steps.push((transaction) => transaction.objectStore(name).put(value, key));
    return this;
  }
  remove(name: MapName, key: string): this {
    this.steps.push((transaction) => transaction.objectStore(name).delete(key));
    return this;
  }
  /** A message; one that is there already stays as it is, unless it has a number. */
  message(kept: Kept): this {
    this.steps.push((transaction) => {
      const request = transaction.objectStore('message').put(kept);
      request.onsuccess = () => (kept.n = Number(request.result));
      request.onerror = (event) => {
        event.preventDefault();
        event.stopPropagation();
      };
    });
    return this;
  }
  /** A message that is opened at last: it comes anew, so that whoever goes by numbers meets it. */
  opened({ n, ...kept }: Kept): this {
    this.steps.push((transaction) => {
      if (n !== undefined) transaction.objectStore('message').delete(n);
    });
    return this.message(kept);
  }
  queue(queued: Queued): this {
    this.steps.push((transaction) => {
      const request = transaction.objectStore('outbox').add(queued);
      request.onsuccess = () => (queued.n = Number(request.result));
    });
    return this;
  }
  unqueue(n: number): this {
    this.steps.push((transaction) => transaction.objectStore('outbox').delete(n));
    return this;
  }
}
