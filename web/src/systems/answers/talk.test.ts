import { describe, expect, it, vi } from 'vitest';
import { ApiError } from '../../platform/api';
import type { Answer, AnswerEvent, AnswersApi } from './api';
import { Talk } from './talk.svelte';

const answer = (id: string, more: Partial<Answer> = {}): Answer => ({
  id, conversation_id: '1', question: `${id}?`, rewritten: '', text: `${id}.`, known: true, confidence: 1, sentences: [], passages: [], conflicts: [],
  faithfulness: 1, cached: false, took: {}, model: 'quoted', good: null, done: true, reason: '', created_at: '2025-01-01T00:00:00Z', ...more,
});

/** An API whose answers come when the test says so. */
function slow() {
  const waiting = new Map<string, { resolve: (value: unknown) => void; reject: (error: unknown) => void; onEvent?: (event: AnswerEvent) => void; signal?: AbortSignal | undefined }>();
  const later = (key: string, more = {}): Promise<never> => new Promise((resolve, reject) => waiting.set(key, { resolve: resolve as (value: unknown) => void, reject, ...more }));
  const api = {
    conversation: (id: string) => later(`read ${id}`),
    conversations: () => Promise.resolve({ items: [{ id: '1', title: 'One', updated_at: '' }], next: null }),
    removeConversation: (id: string) => later(`remove ${id}`),
    judge: (id: string) => later(`judge ${id}`),
    ask: (_: string, { question }: { question: string }, onEvent: (event: AnswerEvent) => void, signal: AbortSignal) => later(`ask ${question}`, { onEvent, signal }),
  } as unknown as AnswersApi;
  return { talk: new Talk(api, '7'), of: (key: string) => waiting.get(key)! };
}
const refusal = new ApiError({ title: 'Not now.', status: 503, code: 'unavailable' });

describe('a conversation', () => {
  it('isn’t overwritten by one that was opened before it', async () => {
    const { talk, of } = slow();
    const first = talk.open('1');
    const second = talk.open('2');
    of('read 2').resolve({ answers: [answer('new')] });
    await second;
    of('read 1').resolve({ answers: [answer('old')] });
    await first;
    expect([talk.conversation, talk.answers.map(({ id }) => id), talk.loading]).toEqual(['2', ['new'], false]);
  });

  it('hears nothing of an answer to another one', async () => {
    const { talk, of } = slow();
    talk.question = 'Why?';
    const asked = talk.ask();
    const { onEvent, signal, reject } = of('ask Why?');
    onEvent!({ type: 'text', text: 'Because' });
    expect(talk.answers.at(-1)?.text).toBe('Because');
    void talk.open(null);
    expect([signal!.aborted, talk.asking]).toEqual([true, false]);
    onEvent!({ type: 'text', text: ' of it' });
    reject(new DOMException('', 'AbortError'));
    await asked;
    expect([talk.answers, talk.error]).toEqual([[], null]);
  });

  it('gives a refused question back', async () => {
    const { talk, of } = slow();
    talk.question = 'Why?';
    const asked = talk.ask();
    expect([talk.question, talk.answers.length]).toEqual(['', 1]);
    of('ask Why?').reject(refusal);
    await asked;
    expect([talk.question, talk.answers, talk.error, talk.asking]).toEqual(['Why?', [], refusal, false]);
  });

  it('is back in the list when it couldn’t be deleted', async () => {
    vi.useFakeTimers();
    const { talk, of } = slow();
    await talk.list();
    const gone = talk.forget('1');
    expect(talk.conversations).toEqual([]);
    of('remove 1').reject(refusal);
    await gone;
    expect(talk.conversations?.map(({ id }) => id)).toEqual(['1']);
    vi.useRealTimers();
  });

  it('takes a judgement back that wasn’t noted', async () => {
    vi.useFakeTimers();
    const { talk, of } = slow();
    const read = talk.open('1');
    of('read 1').resolve({ answers: [answer('a')] });
    await read;
    const judged = talk.judge(talk.answers[0]!, true);
    expect(talk.answers[0]?.good).toBe(true);
    of('judge a').reject(refusal);
    await judged;
    expect(talk.answers[0]?.good).toBeNull();
    vi.useRealTimers();
  });
});
