/** The API of answers, as its pages use it. */
import { ApiError, asApiError, http, type Query } from '../../platform/api';
import { EventParser } from '../../platform/live';
import { refusalOf, upload } from '../../platform/upload';

export interface Page<T> {
  items: T[];
  next: string | null;
}

export interface Collection {
  id: string;
  name: string;
  description: string;
  documents: number;
  chunks: number;
  failed: number;
  reading: number;
  bytes: number;
  created_at: string;
  updated_at: string;
}

export type State = 'waiting' | 'reading' | 'ready' | 'failed';

export interface Doc {
  id: string;
  name: string;
  title: string;
  kind: string;
  source: string;
  size: number;
  pages: number;
  chunks: number;
  version: number;
  state: State;
  progress: number | null;
  reason: string;
  tags: string[];
  created_at: string;
  updated_at: string;
}

export interface Received {
  items: Doc[];
  job_ids: string[];
  duplicates: { name: string; document_id: string }[];
  skipped: string[];
}

/** What a collection's live feed tells. */
export interface Changed {
  document?: Doc;
  removed?: string;
}

export interface Block {
  kind: 'heading' | 'paragraph' | 'list' | 'table' | 'code';
  /** Characters (code points) of the text. */
  start: number;
  end: number;
  level: number;
  page: number | null;
}

export interface Text {
  title: string;
  kind: string;
  text: string;
  blocks: Block[];
  pages: number;
  version: number;
}

export interface Found {
  chunk_id: string;
  document_id: string;
  title: string;
  source: string;
  kind: string;
  headings: string[];
  page: number | null;
  begins: number;
  ends: number;
  text: string;
  score: number;
  dense: number | null;
  bm25: number | null;
  fused: number | null;
  reranked: number | null;
}

export interface Sentence {
  begins: number;
  ends: number;
  citations: number[];
  supported: boolean;
}

export interface Answer {
  id: string;
  conversation_id: string;
  question: string;
  rewritten: string;
  text: string;
  known: boolean;
  confidence: number;
  sentences: Sentence[];
  passages: Found[];
  conflicts: [number, number][];
  faithfulness: number | null;
  cached: boolean;
  took: Record<string, number>;
  model: string;
  good: boolean | null;
  done: boolean;
  /** Why there is no answer, when something went wrong. */
  reason: string;
  created_at: string;
}

export interface Conversation {
  id: string;
  title: string;
  updated_at: string;
}

export type AnswerEvent =
  | { type: 'passages'; id: string; conversation_id: string; rewritten: string; confidence: number; items: Found[]; conflicts: [number, number][] }
  | { type: 'text'; text: string }
  | { type: 'done'; answer: Answer }
  | { type: 'failed'; detail: string };

export interface Beside {
  name: string;
  value: number | null;
  unit: string;
  wanted: number | null;
  below: boolean;
  met: boolean | null;
}

export interface Figures {
  days: number;
  questions: number;
  items: Beside[];
  by_day: { name: string; questions: number; figures: Record<string, number | null> }[];
}

export interface Interval {
  mean: number;
  low: number;
  high: number;
}

export interface Evaluation {
  id: string;
  name: string;
  documents: number;
  questions: number;
  variants: { variant: string; figures: Record<string, Interval> }[];
  created_at: string;
}

export function answersApi(api: string) {
  const collection = (id: string, rest = ''): string => `${api}collections/${encodeURIComponent(id)}${rest}`;
  const document = (id: string, doc: string, rest = ''): string => collection(id, `/documents/${encodeURIComponent(doc)}${rest}`);
  const answer = (id: string, rest: string): string => `${api}answers/${encodeURIComponent(id)}${rest}`;
  return {
    collections: () => http.get<Page<Collection>>(`${api}collections`),
    create: (name: string, description: string) => http.post<Collection>(`${api}collections`, { name, description }),
    collection: (id: string) => http.get<Collection>(collection(id)),
    change: (id: string, change: { name?: string; description?: string }) => http.patch<Collection>(collection(id), change),
    remove: (id: string) => http.delete(collection(id)),
    documents: (id: string, query: Query) => http.get<Page<Doc>>(collection(id, '/documents'), { query }),
    document: (id: string, doc: string) => http.get<Doc>(document(id, doc)),
    removeDocument: (id: string, doc: string) => http.delete(document(id, doc)),
    retry: (id: string, doc: string) => http.post<Doc>(document(id, doc, '/retry')),
    text: (id: string, doc: string) => http.get<Text>(document(id, doc, '/text')),
    fileUrl: (id: string, doc: string) => document(id, doc, '/file'),
    fetchUrl: (id: string, url: string) => http.post<Received>(collection(id, '/documents/url'), { url }),
    send: (id: string, name: string, file: File, onProgress: (share: number) => void, signal: AbortSignal) =>
      upload<Received>(`${collection(id, '/documents')}?name=${encodeURIComponent(name)}`, file, onProgress, signal),
    liveUrl: (id: string) => collection(id, '/live'),
    conversations: (id: string) => http.get<Page<Conversation>>(`${api}conversations`, { query: { collection_id: id } }),
    conversation: (id: string) => http.get<{ id: string; title: string; answers: Answer[] }>(`${api}conversations/${encodeURIComponent(id)}`),
    removeConversation: (id: string) => http.delete(`${api}conversations/${encodeURIComponent(id)}`),
    ask: (id: string, question: { question: string; conversation_id?: string }, onEvent: (event: AnswerEvent) => void, signal: AbortSignal) =>
      ask(collection(id, '/ask'), question, onEvent, signal),
    judge: (id: string, good: boolean) => http.post(answer(id, '/feedback'), { good }),
    click: (id: string, passage: number) => http.post(answer(id, '/clicks'), { passage }),
    accept: (id: string) => http.post(answer(id, '/accepted')),
    figures: (id: string, days: number) => http.get<Figures>(collection(id, '/figures'), { query: { days } }),
    evaluations: () => http.get<{ items: Evaluation[] }>(`${api}evaluations`),
  };
}

export type AnswersApi = ReturnType<typeof answersApi>;

/** Asks, and hears the answer grow. Rejects with an ApiError; a lost connection is one. */
async function ask(path: string, body: unknown, onEvent: (event: AnswerEvent) => void, signal: AbortSignal): Promise<void> {
  let response: Response;
  try {
    response = await fetch(path, {
      method: 'POST',
      headers: { accept: 'text/event-stream', 'content-type': 'application/json' },
      body: JSON.stringify(body),
      credentials: 'same-origin',
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError({ title: 'Tenfold can’t be reached. Check that it is running, then ask again.', status: 0, code: 'unreachable' });
  }
  if (!response.ok || !response.body) throw refusalOf(response.status, await response.text());
  const parser = new EventParser();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      for (const { data } of parser.push(value)) {
        const event = JSON.parse(data) as AnswerEvent;
        ended ||= event.type === 'done' || event.type === 'failed';
        onEvent(event);
      }
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw asApiError(error);
  }
  if (!ended) throw new ApiError({ title: 'The connection was lost. The answer is being kept: reload to see it.', status: 0, code: 'lost' });
}
