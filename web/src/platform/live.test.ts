import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { EventParser, listen, type LiveEvent, type LiveState } from './live';

describe('EventParser', () => {
  const parse = (...chunks: string[]): LiveEvent[] => {
    const parser = new EventParser();
    return chunks.flatMap((chunk) => parser.push(chunk));
  };
  it('reads events wherever the network cuts them', () => {
    const text = ': hello\nid: 7\nevent: click\ndata: {"a":1}\n\ndata: one\ndata:two\n\n';
    const expected = [
      { id: '7', event: 'click', data: '{"a":1}' },
      { id: '7', event: 'message', data: 'one\ntwo' },
    ];
    expect(parse(text)).toEqual(expected);
    expect(parse(...text)).toEqual(expected);
  });
  it('takes each kind of line ending, also across a cut', () => {
    expect(parse('data: a\r', '\n\r\ndata: b\r\rx')).toEqual([
      { id: '', event: 'message', data: 'a' },
      { id: '', event: 'message', data: 'b' },
    ]);
  });
  it('leaves out what has no data, and what isn’t finished', () => {
    expect(parse('id: 3\n\nevent: click\n\ndata: late\n')).toEqual([]);
  });
  it('remembers how long to wait', () => {
    const parser = new EventParser();
    parser.push('retry: 1500\nretry: soon\n\n');
    expect(parser.retry).toBe(1500);
  });
});

describe('listen', () => {
  let server: Server;
  let url = '';
  let stop = (): void => undefined;
  const requests: (string | undefined)[] = [];
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  const page = Object.assign(new EventTarget(), { hidden: false });

  beforeEach(async () => {
    requests.length = 0;
    page.hidden = false;
    vi.stubGlobal('document', page);
    vi.stubGlobal('window', new EventTarget());
    server = createServer((request, response) => {
      requests.push(request.headers['last-event-id'] as string | undefined);
      answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/live`;
  });
  afterEach(async () => {
    stop();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    vi.unstubAllGlobals();
  });

  it('comes back after the last event when the connection ends', async () => {
    answer = (_, response) => response.end(`retry: 10\nid: ${requests.length}\ndata: ${requests.length}\n\n`);
    const heard: string[] = [];
    await new Promise<void>((resolve) => {
      stop = listen(url, { onEvent: ({ data }) => heard.push(data) === 3 && resolve() });
    });
    expect(heard).toEqual(['1', '2', '3']);
    expect(requests.slice(0, 3)).toEqual([undefined, '1', '2']);
  });
  it('stops where it isn’t let in', async () => {
    answer = (_, response) => response.writeHead(403).end();
    const states: LiveState[] = [];
    await new Promise<void>((resolve) => {
      stop = listen(url, { onEvent: () => undefined, onState: (state) => states.push(state) && state === 'refused' && resolve() });
    });
    expect(states).toEqual(['connecting', 'refused']);
  });
  it('rests while the page is hidden and resumes when it is shown', async () => {
    let closed = (): void => undefined;
    const gone = new Promise<void>((resolve) => (closed = resolve));
    answer = (_, response) => {
      response.write(`id: ${requests.length}\ndata: ${requests.length}\n\n`);
      response.on('close', () => closed());
    };
    const heard: string[] = [];
    let hear = (): void => undefined;
    stop = listen(url, { onEvent: ({ data }) => (heard.push(data), hear()) });
    await new Promise<void>((resolve) => (hear = resolve));
    page.hidden = true;
    page.dispatchEvent(new Event('visibilitychange'));
    await gone;
    page.hidden = false;
    page.dispatchEvent(new Event('visibilitychange'));
    await new Promise<void>((resolve) => (hear = resolve));
    expect(heard).toEqual(['1', '2']);
    expect(requests).toEqual([undefined, '1']);
  });
});
