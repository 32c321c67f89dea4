/** The frames and entities of docs/messages-protocol.md, version 1, as this page uses them. */

export const PROTOCOL = 1;
export const SUBPROTOCOL = 'tenfold.messages.v1';

export interface Envelope {
  type: 0 | 1;
  body: string;
}

export interface MessageFrame {
  t: 'message';
  conversation: string;
  seq: number;
  id: string;
  account: string;
  device: string;
  at: number;
  content?: string;
  envelope?: Envelope;
  expires?: number;
}

export interface NoteFrame {
  t: 'note';
  note: string;
  conversation: string;
  id: string;
  account: string;
  device: string;
  at: number;
  envelope: Envelope;
}

export type FromServer =
  | { t: 'welcome'; heartbeat: number; silence: number; retry: [number, number] }
  | { t: 'sent'; id: string; at: number; seq?: number }
  | MessageFrame
  | NoteFrame
  | { t: 'caught_up' }
  | { t: 'receipt'; conversation: string; account: string; delivered?: number; read?: number }
  | { t: 'typing'; conversation: string; account: string; on: boolean }
  | { t: 'presence'; account: string; online: boolean; seen?: number | null }
  | { t: 'changed'; what: 'conversation' | 'self'; conversation?: string }
  | { t: 'error'; code: string; detail: string; id?: string; conversation?: string; revision?: number; retry_after?: number }
  | { t: 'bye'; reason: string; after?: number }
  | { t: 'pong'; n?: number };

export interface SendFrame {
  t: 'send';
  id: string;
  conversation: string;
  revision: number;
  content?: string;
  envelopes: Record<string, Envelope>;
  expires?: number;
}

export interface Person {
  id: string;
  name: string;
  display_name: string;
}

export interface Member {
  account: Person;
  role: 'admin' | 'member';
  delivered: number;
  read: number;
}

export interface Device {
  id: string;
  account: string;
  identity_key: string;
  signing_key: string;
  signature: string;
  added_at: number;
}

export interface OwnDevice {
  id: string;
  name: string;
  added_at: number;
  seen_at: number | null;
  online: boolean;
  one_time_keys: number;
  pushed: boolean;
}

export interface Conversation {
  id: string;
  kind: 'direct' | 'group';
  revision: number;
  last: number;
  created_at: number;
  members: Member[];
  devices: Device[];
}

export interface Mine {
  account: Person;
  read_receipts: boolean;
  last_seen: 'everyone' | 'contacts' | 'nobody';
  blocked: Person[];
}

export interface ClaimedKey {
  device: string;
  id: string;
  key: string;
  signature: string;
  fallback: boolean;
}

/** Another message of the same conversation. */
export interface To {
  account: string;
  id: string;
}

export interface FileContent {
  kind: 'file';
  name: string;
  type: string;
  size: number;
  key: string;
  iv: string;
  sha256: string;
  upload: string;
  part: number;
  width?: number;
  height?: number;
  /** A small JPEG, in base64. */
  thumbnail?: string;
  text?: string;
  reply_to?: To;
}

export type Content =
  | { kind: 'text'; text: string; reply_to?: To }
  | FileContent
  | { kind: 'reaction'; to: To; emoji: string }
  | { kind: 'edit'; to: To; text: string }
  | { kind: 'delete'; to: To }
  | { kind: 'about'; name?: string; expires?: number }
  | { kind: 'key_request'; session: string }
  | { kind: 'reset'; ids: string[] }
  | { kind: 'again'; of: string; content: Content };

export interface GroupKey {
  session: string;
  key: string;
}

/** The plaintext of everything that is sealed: what was sealed for one place can't be replayed in another. */
export interface Inner {
  v: 1;
  from: string;
  device: string;
  conversation: string;
  id: string;
  to?: string;
  content?: Content;
  keys?: GroupKey;
}

/** Where a frame says that its message belongs. */
export interface Place {
  account: string;
  device: string;
  conversation: string;
  id: string;
}
