/**
 * The cryptography behind one small interface: Olm between devices, Megolm in groups. `@matrix-org/olm` fills it; its
 * successor can take its place without anything else changing.
 */
import Olm from '@matrix-org/olm';
import wasm from '@matrix-org/olm/olm.wasm?url';

export interface OneTimeKey {
  id: string;
  key: string;
}

/** Everything is text: pickles (state to keep), keys and messages in base64 without padding. */
export interface Engine {
  createAccount(): string;
  identityKeys(account: string): { identity: string; signing: string };
  sign(account: string, text: string): string;
  verify(signingKey: string, text: string, signature: string): boolean;
  /** New keys to publish, and the account that has them. */
  prekeys(account: string, count: number, fallback: boolean): { account: string; keys: OneTimeKey[]; fallback: OneTimeKey | null };
  outbound(account: string, identityKey: string, oneTimeKey: string): Session;
  /** A session from its first message; null where the message doesn't begin one here. */
  inbound(account: string, identityKey: string, body: string): { account: string; session: Session; plain: string } | null;
  matches(session: string, body: string): boolean;
  encrypt(session: string, plain: string): { session: Session; type: 0 | 1; body: string };
  decrypt(session: string, type: 0 | 1, body: string): { session: Session; plain: string } | null;
  createGroup(): { session: Session; key: string };
  encryptGroup(session: string, plain: string): { session: Session; body: string };
  importGroup(key: string): Session | null;
  /** A group's key from the first index that is known, for a backup; and the session out of one. */
  exportGroup(session: string): string;
  importExported(key: string): Session | null;
  decryptGroup(session: string, body: string): { plain: string; index: number } | null;
}

export interface Session {
  id: string;
  pickle: string;
}

interface Freed {
  free(): void;
}

function using<T extends Freed, R>(thing: T, work: (thing: T) => R): R {
  try {
    return work(thing);
  } finally {
    thing.free();
  }
}

/** The engine, once its WebAssembly is there. Pickles are encrypted under `key`. */
export async function openEngine(key: string): Promise<Engine> {
  // The library assigns this without declaring it, which modules forbid unless it is there.
  Object.assign(globalThis, { OLM_OPTIONS: undefined });
  await Olm.init({ locateFile: () => wasm });
  const account = <R>(pickle: string, work: (account: Olm.Account) => R): R =>
    using(new Olm.Account(), (it) => {
      it.unpickle(key, pickle);
      return work(it);
    });
  const session = <R>(pickle: string, work: (session: Olm.Session) => R): R =>
    using(new Olm.Session(), (it) => {
      it.unpickle(key, pickle);
      return work(it);
    });
  const kept = (it: Olm.Session | Olm.OutboundGroupSession | Olm.InboundGroupSession): Session => ({
    id: it.session_id(),
    pickle: it.pickle(key),
  });
  const named = (json: string): OneTimeKey[] =>
    Object.entries((JSON.parse(json) as { curve25519: Record<string, string> }).curve25519).map(([id, one]) => ({ id, key: one }));

  return {
    createAccount: () =>
      using(new Olm.Account(), (it) => {
        it.create();
        return it.pickle(key);
      }),
    identityKeys: (pickle) =>
      account(pickle, (it) => {
        const keys = JSON.parse(it.identity_keys()) as { curve25519: string; ed25519: string };
        return { identity: keys.curve25519, signing: keys.ed25519 };
      }),
    sign: (pickle, text) => account(pickle, (it) => it.sign(text)),
    verify: (signingKey, text, signature) =>
      using(new Olm.Utility(), (it) => {
        try {
          it.ed25519_verify(signingKey, text, signature);
          return true;
        } catch {
          return false;
        }
      }),
    prekeys: (pickle, count, fallback) =>
      account(pickle, (it) => {
        it.generate_one_time_keys(count);
        const keys = named(it.one_time_keys());
        if (fallback) it.generate_fallback_key();
        const last = fallback ? (named(it.unpublished_fallback_key())[0] ?? null) : null;
        it.mark_keys_as_published();
        return { account: it.pickle(key), keys, fallback: last };
      }),
    outbound: (pickle, identityKey, oneTimeKey) =>
      account(pickle, (own) =>
        using(new Olm.Session(), (it) => {
          it.create_outbound(own, identityKey, oneTimeKey);
          return kept(it);
        }),
      ),
    inbound: (pickle, identityKey, body) =>
      account(pickle, (own) =>
        using(new Olm.Session(), (it) => {
          try {
            it.create_inbound_from(own, identityKey, body);
            const plain = it.decrypt(0, body);
            own.remove_one_time_keys(it);
            return { account: own.pickle(key), session: kept(it), plain };
          } catch {
            return null;
          }
        }),
      ),
    matches: (pickle, body) => session(pickle, (it) => it.matches_inbound(body)),
    encrypt: (pickle, plain) =>
      session(pickle, (it) => {
        const { type, body } = it.encrypt(plain);
        return { session: kept(it), type, body };
      }),
    decrypt: (pickle, type, body) =>
      session(pickle, (it) => {
        try {
          const plain = it.decrypt(type, body);
          return { session: kept(it), plain };
        } catch {
          return null;
        }
      }),
    createGroup: () =>
      using(new Olm.OutboundGroupSession(), (it) => {
        it.create();
        return { session: kept(it), key: it.session_key() };
      }),
    encryptGroup: (pickle, plain) =>
      using(new Olm.OutboundGroupSession(), (it) => {
        it.unpickle(key, pickle);
        const body = it.encrypt(plain);
        return { session: kept(it), body };
      }),
    importGroup: (sessionKey) =>
      using(new Olm.InboundGroupSession(), (it) => {
        try {
          it.create(sessionKey);
          return kept(it);
        } catch {
          return null;
        }
      }),
    exportGroup: (pickle) =>
      using(new Olm.InboundGroupSession(), (it) => {
        it.unpickle(key, pickle);
        return it.export_session(it.first_known_index());
      }),
    importExported: (exported) =>
      using(new Olm.InboundGroupSession(), (it) => {
        try {
          it.import_session(exported);
          return kept(it);
        } catch {
          return null;
        }
      }),
    decryptGroup: (pickle, body) =>
      using(new Olm.InboundGroupSession(), (it) => {
        try {
          it.unpickle(key, pickle);
          const { plaintext, message_index: index } = it.decrypt(body);
          return { plain: plaintext, index };
        } catch {
          return null;
        }
      }),
  };
}
