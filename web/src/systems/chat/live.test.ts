import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Message, StreamEvent } from './api';
import { Live } from './live.svelte';
import { readMarkdown } from './markdown';

const TEXT = '# Naïve 👋🏽\n\nA **first** paragraph about 東京, then `code`:\n\n```python\nprint("🐍")\n```\n\n- one\n- two';
const POINTS = [...TEXT];
const message: Message = { id: '2', thread_id: '1', parent_id: '1', role: 'assistant', text: '', status: 'queued', model: null, tokens_in: 0, tokens_out: 0, error: null, flagged: false, attachments: [], created_at: '' };

/** Whose place is `at`, as the server would tell it: an event's id is how many characters it completes. */
const event = (response: ServerResponse, data: StreamEvent): void =>
  void response.write(`${data.type === 'text' ? `id: ${data.at + [...data.text].length}\n` : ''}data: ${JSON.stringify(data)}\n\n`);
const piece = (response: ServerResponse, from: number, to: number): void => event(response, { type: 'text', at: from, text: POINTS.slice(from, to).join('') });
const done = (response: ServerResponse): void => {
  event(response, { type: 'done', message: { ...message, text: TEXT, status: 'complete' } });
  response.end();
};

describe('Live', () => {
  let server: Server;
  let url = '';
  let live: Live | undefined;
  const asked: (string | undefined)[] = [];
  let answer: (response: ServerResponse, after: number) => void;

  beforeEach(async () => {
    asked.length = 0;
    vi.stubGlobal('document', Object.assign(new EventTarget(), { hidden: false }));
    vi.stubGlobal('window', new EventTarget());
    vi.stubGlobal('requestAnimationFrame', (draw: () => void) => (queueMicrotask(draw), 1));
    vi.stubGlobal('cancelAnimationFrame', () => undefined);
    server = createServer((request, response) => {
      const last = request.headers['last-event-id'] as string | undefined;
      asked.push(last);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('retry: 1\n\n');
      answer(response, Number(last ?? 0));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/stream`;
  });
  afterEach(async () => {
    live?.stop();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    vi.unstubAllGlobals();
  });

  /** What is known just before the finished message arrives. */
  const followed = (begun = message): Promise<{ text: string; ended: Message | null }> =>
    new Promise((resolve) => {
      const one = new Live(url, begun, (ended) => resolve({ text: one.text, ended }));
      live = one;
      one.start();
    });

  it('goes on after the last event when the connection drops, without a character twice', async () => {
    answer = (response, after) => {
      piece(response, after, Math.min(after + 9, POINTS.length));
      if (after + 9 < POINTS.length) response.end();
      else done(response);
    };
    const { text, ended } = await followed();
    expect(text).toBe(TEXT);
    expect(ended?.status).toBe('complete');
    expect(asked.slice(0, 3)).toEqual([undefined, '9', '18']);
  });

  it('leaves out what it is told again, and what the page knew when it was opened', async () => {
    answer = (response) => {
      for (let at = 0; at < POINTS.length; at += 5) piece(response, Math.max(0, at - 3), at + 5);
      done(response);
    };
    expect((await followed()).text).toBe(TEXT);
    expect((await followed({ ...message, text: POINTS.slice(0, 11).join(''), status: 'streaming' })).text).toBe(TEXT);
  });

  it('starts over when something is missing', async () => {
    answer = (response) => {
      if (asked.length === 1) piece(response, 20, 30);
      else {
        piece(response, 0, POINTS.length);
        done(response);
      }
    };
    expect((await followed()).text).toBe(TEXT);
    expect(asked).toEqual([undefined, undefined]);
  });

  it('shows its place in the queue, then blocks', async () => {
    const seen: unknown[] = [];
    answer = (response) => {
      event(response, { type: 'queued', place: 3 });
      event(response, { type: 'start', model: 'smart' });
      piece(response, 0, POINTS.length);
      done(response);
    };
    await new Promise<void>((resolve) => {
      const one = new Live(url, message, () => resolve());
      const hear = one.hear.bind(one);
      one.hear = (told) => {
        hear(told);
        seen.push([one.phase, one.place, one.model]);
      };
      live = one;
      one.start();
    });
    expect(seen.slice(0, 3)).toEqual([['queued', 3, null], ['started', 3, 'smart'], ['started', 3, 'smart']]);
    await vi.waitFor(() => expect(live?.blocks).toEqual(readMarkdown(TEXT)));
  });

  it('ends with nothing when it may not listen', async () => {
    server.removeAllListeners('request');
    server.on('request', (_, response) => response.writeHead(404).end());
    expect((await followed()).ended).toBeNull();
  });
});
