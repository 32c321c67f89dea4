/** The threads API of chat, as its pages use it. */
import { http, type Query } from '../../platform/api';
import { upload } from '../../platform/upload';

export const MODELS = ['auto', 'fast', 'smart'] as const;
export type Model = (typeof MODELS)[number];

export interface Thread {
  id: string;
  /** Empty until it has one. */
  title: string;
  model: Model;
  created_at: string;
  updated_at: string;
  /** The message that the reader last stood on. */
  head_id: string | null;
}

export interface Attached {
  id: string;
  name: string;
  type: string;
  /** Bytes. */
  size: number;
  url: string;
}

export const UNFINISHED = ['queued', 'streaming'] as const;
export type Status = (typeof UNFINISHED)[number] | 'complete' | 'stopped' | 'failed';

export interface Message {
  id: string;
  thread_id: string;
  parent_id: string | null;
  role: 'user' | 'assistant';
  text: string;
  status: Status;
  /** The tier that answered. */
  model: string | null;
  tokens_in: number;
  tokens_out: number;
  error: string | null;
  /** Its topic asks for care; it was looked at. */
  flagged: boolean;
  attachments: Attached[];
  created_at: string;
}

/** What the stream of an answer says. */
export type StreamEvent =
  | { type: 'queued'; place: number }
  | { type: 'start'; model: string }
  /** `at`: characters (code points) before this piece. */
  | { type: 'text'; at: number; text: string }
  | { type: 'done'; message: Message };

export interface Page<T> {
  items: T[];
  next: string | null;
}

export interface Run {
  output: string;
  error: string | null;
  seconds: number;
  truncated: boolean;
}

export interface UsageDay {
  day: string;
  model: string;
  requests: number;
  tokens_in: number;
  tokens_out: number;
  /** US dollars. */
  cost: number;
}

export interface Usage {
  days: UsageDay[];
  tier: string;
  limit: { per_minute: number; remaining: number };
}

export type TierState = 'ready' | 'pulling' | 'starting' | 'down';

export interface Tier {
  name: string;
  title: string;
  model: string;
  state: TierState;
  /** Bytes that are here, of how many. */
  done: number;
  size: number;
  replicas: { state: string; outstanding: number }[];
}

/** Bytes of one attachment. */
export const LARGEST = 10_000_000;
/** Attachments of one question. */
export const MOST_FILES = 8;
/** Characters of one question. */
export const LONGEST = 32_000;

export const isUnfinished = ({ status }: Message): boolean => status === 'queued' || status === 'streaming';

export function chatApi(api: string) {
  const thread = (id: string, rest = ''): string => `${api}threads/${encodeURIComponent(id)}${rest}`;
  const message = (id: string, rest: string): string => `${api}messages/${encodeURIComponent(id)}${rest}`;
  return {
    threads: (query: Query, signal?: AbortSignal) => http.get<Page<Thread>>(`${api}threads`, { query, ...(signal && { signal }) }),
    start: (model: Model) => http.post<Thread>(`${api}threads`, { model }),
    read: (id: string) => http.get<{ thread: Thread; messages: Message[] }>(thread(id)),
    change: (id: string, change: { title?: string; model?: Model; head_id?: string }) => http.patch<Thread>(thread(id), change),
    remove: (id: string) => http.delete(thread(id)),
    /** With the same key again it is what was asked before, and nothing is asked twice. */
    ask: (id: string, question: { text: string; parent_id: string | null; attachments?: string[] }, key: string) =>
      http.post<{ question: Message; answer: Message }>(thread(id, '/messages'), question, { headers: { 'idempotency-key': key } }),
    regenerate: (id: string, model: Model) => http.post<Message>(message(id, '/regenerate'), { model }),
    stop: (id: string) => http.post(message(id, '/stop')),
    streamUrl: (id: string) => message(id, '/stream'),
    upload: (file: File, onProgress: (share: number) => void, signal: AbortSignal) =>
      upload<Attached>(`${api}files?name=${encodeURIComponent(file.name)}`, file, onProgress, signal),
    run: (code: string, signal: AbortSignal) => http.post<Run>(`${api}run`, { code }, { timeout: 60, signal }),
    usage: () => http.get<Usage>(`${api}usage`),
    models: (signal?: AbortSignal) => http.get<{ tiers: Tier[] }>(`${api}models`, { ...(signal && { signal }) }),
  };
}

export type ChatApi = ReturnType<typeof chatApi>;
