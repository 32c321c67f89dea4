/** The API of answers, as its pages use it. */
import { ApiError, asApiError, http, withQuery, type Query } from '../../platform/api';
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

export interface Version {
  version: number;
  size: number;
  chunks: number;
  created_at: string;
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

export interface Question {
  question: string;
  conversation_id?: string;
  filters?: { tags: readonly string[] };
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
  users: number;
  items: Beside[];
  by_day: { name: string; questions: number; figures: Record<string, number | null> }[];
}

/** A mean, and within what it lies with 95 %; null of nothing. */
export interface Interval {
  mean: number | null;
  low: number | null;
  high: number | null;
}

export interface Difference {
  difference: number;
  low: number;
  high: number;
  p_value: number;
}

export interface Evaluation {
  id: string;
  name: string;
  documents: number;
  questions: number;
  variants: {
    variant: string;
    figures: Record<string, Interval>;
    /** Milliseconds of each stage: p50 and p95. */
    took: Record<string, [number, number]>;
  }[];
  created_at: string;
}

export interface Evaluations {
  items: Evaluation[];
  /** What the case study says, by variant: nDCG@10 and milliseconds. */
  claims: Record<string, [number, number]>;
  next: string | null;
}

export type Mode = 'reranked' | 'hybrid' | 'dense' | 'bm25';

export interface Variant {
  name: string;
  weight: number;
  pipeline: { mode: Mode; top_k: number; threshold?: number | null; answerer?: 'model' | 'quoted' | null };
}

export interface BeginExperiment {
  collection_id: string;
  name: string;
  /** The first is what the others are compared with. */
  variants: Variant[];
  unit: 'conversation' | 'account';
  metric: 'acceptance' | 'clicks';
  base: number;
  change: number;
}

export interface Experiment {
  id: string;
  name: string;
  unit: 'conversation' | 'account';
  metric: 'acceptance' | 'clicks';
  variants: Variant[];
  /** Questions that each variant is to have. */
  needed: number;
  begun_at: string;
  ended_at: string | null;
}

export interface Arm {
  variant: string;
  units: number;
  questions: number;
  rate: { mean: number; low: number; high: number };
  latency_mean: number | null;
  difference: Difference | null;
  slower: Difference | null;
}

export interface Analysis {
  experiment: Experiment;
  arms: Arm[];
  progress: number;
  bound: number;
  winner: string | null;
  warnings: string[];
}

export function answersApi(api: string) {
  const collection = (id: string, rest = ''): string => `${api}collections/${encodeURIComponent(id)}${rest}`;
  const document = (id: string, doc: string, rest = ''): string => collection(id, `/documents/${encodeURIComponent(doc)}${rest}`);
  const answer = (id: string, rest: string): string => `${api}answers/${encodeURIComponent(id)}${rest}`;
  return {
    collections: (signal?: AbortSignal) => http.get<Page<Collection>>(`${api}collections`, signal ? { signal } : {}),
    create: (name: string, description: string) => http.post<Collection>(`${api}collections`, { name, description }),
    collection: (id: string, signal: AbortSignal) => http.get<Collection>(collection(id), { signal }),
    change: (id: string, change: { name?: string; description?: string }) => http.patch<Collection>(collection(id), change),
    remove: (id: string) => http.delete(collection(id)),
    documents: (id: string, query: Query, signal: AbortSignal) => http.get<Page<Doc>>(collection(id, '/documents'), { query, signal }),
    document: (id: string, doc: string) => http.get<Doc>(document(id, doc)),
    removeDocument: (id: string, doc: string) => http.delete(document(id, doc)),
    retry: (id: string, doc: string) => http.post<Doc>(document(id, doc, '/retry')),
    text: (id: string, doc: string, signal: AbortSignal) => http.get<Text>(document(id, doc, '/text'), { signal }),
    versions: (id: string, doc: string) => http.get<Page<Version>>(document(id, doc, '/versions')),
    fileUrl: (id: string, doc: string, version?: number) => withQuery(document(id, doc, '/file'), { version }),
    fetchUrl: (id: string, url: string, tags: readonly string[]) => http.post<Received>(collection(id, '/documents/url'), { url, tags }),
    send: (id: string, name: string, tags: readonly string[], file: File, onProgress: (share: number) => void, signal: AbortSignal) =>
      upload<Received>(withQuery(collection(id, '/documents'), { name, tags: tags.join(',') }), file, onProgress, signal),
    liveUrl: (id: string) => collection(id, '/live'),
    conversations: (id: string, signal?: AbortSignal) =>
      http.get<Page<Conversation>>(`${api}conversations`, { query: { collection_id: id }, ...(signal && { signal }) }),
    conversation: (id: string, signal?: AbortSignal) =>
      http.get<{ id: string; title: string; answers: Answer[] }>(`${api}conversations/${encodeURIComponent(id)}`, signal ? { signal } : {}),
    removeConversation: (id: string) => http.delete(`${api}conversations/${encodeURIComponent(id)}`),
    ask: (id: string, question: Question, onEvent: (event: AnswerEvent) => void, signal: AbortSignal) =>
      ask(collection(id, '/ask'), question, onEvent, signal),
    judge: (id: string, good: boolean) => http.post(answer(id, '/feedback'), { good }),
    click: (id: string, passage: number) => http.post(answer(id, '/clicks'), { passage }),
    accept: (id: string) => http.post(answer(id, '/accepted')),
    figures: (id: string, days: number, signal: AbortSignal) => http.get<Figures>(collection(id, '/figures'), { query: { days }, signal }),
    evaluations: (signal: AbortSignal) => http.get<Evaluations>(`${api}evaluations`, { query: { limit: 5 }, signal }),
    experiments: (id: string, before?: string | null) => http.get<Page<Experiment>>(`${api}experiments`, { query: { collection_id: id, before } }),
    begin: (experiment: BeginExperiment) => http.post<Experiment>(`${api}experiments`, experiment),
    analysis: (id: string, experiment: string) => http.get<Analysis>(`${api}experiments/${encodeURIComponent(experiment)}`, { query: { collection_id: id } }),
    end: (id: string, experiment: string) => http.post<Experiment>(`${api}experiments/${encodeURIComponent(experiment)}/end`, undefined, { query: { collection_id: id } }),
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
