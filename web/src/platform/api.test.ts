import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiError, http, retryAfterOf, withQuery } from './api';

let server: Server;
let root = '';
let answer: (request: IncomingMessage, response: ServerResponse, body: string) => void;

beforeAll(async () => {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () => answer(request, response, body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  root = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());

const failing = async (call: Promise<unknown>): Promise<ApiError> => {
  try {
    await call;
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error('The call was expected to fail.');
};

describe('http', () => {
  it('sends JSON and reads JSON', async () => {
    answer = (request, response, body) => {
      const seen = { method: request.method, url: request.url, type: request.headers['content-type'], body: JSON.parse(body) as unknown };
      response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify(seen));
    };
    expect(await http.post(`${root}/links`, { url: 'https://a.example' })).toEqual({
      method: 'POST',
      url: '/links',
      type: 'application/json',
      body: { url: 'https://a.example' },
    });
  });
  it('sends a file as what it is', async () => {
    answer = (request, response, body) => response.end(JSON.stringify([request.headers['content-type'], body]));
    const csv = new Blob(['url\nhttps://a.example\n'], { type: 'text/csv' });
    expect(await http.post(`${root}/import`, csv)).toEqual(['text/csv', 'url\nhttps://a.example\n']);
  });
  it('takes an empty answer', async () => {
    answer = (_, response) => response.writeHead(204).end();
    expect(await http.delete(`${root}/links/a`)).toBeUndefined();
  });
  it('makes an error of a problem, with the fields', async () => {
    answer = (_, response) => {
      const problem = { type: 'urn:x', title: 'Invalid', status: 422, detail: 'Some of it isn’t valid.', code: 'invalid', fields: { url: 'is too long' } };
      response.writeHead(422, { 'content-type': 'application/problem+json' }).end(JSON.stringify(problem));
    };
    const error = await failing(http.post(`${root}/links`, {}));
    expect(error).toMatchObject({ status: 422, code: 'invalid', message: 'Some of it isn’t valid.', fields: { url: 'is too long' } });
  });
  it('takes the title where there is no detail', async () => {
    answer = (_, response) => response.writeHead(429).end(JSON.stringify({ title: 'Too many requests', status: 429, code: 'too_many_requests' }));
    expect(await failing(http.get(`${root}/links`))).toMatchObject({ status: 429, message: 'Too many requests', fields: {} });
  });
  it('knows when to ask again', async () => {
    answer = (_, response) => response.writeHead(429, { 'retry-after': '7' }).end(JSON.stringify({ title: 'Too much', code: 'x' }));
    expect(await failing(http.get(root))).toMatchObject({ retryAfter: 7 });
    answer = (_, response) => response.writeHead(503, { 'retry-after': '3' }).end('<h1>Busy</h1>');
    expect(await failing(http.get(root))).toMatchObject({ retryAfter: 3 });
    answer = (_, response) => response.writeHead(500).end();
    expect(await failing(http.get(root))).toMatchObject({ retryAfter: null });
  });
  it('reads Retry-After as a number and as a date', () => {
    const now = Date.UTC(2026, 10, 23, 12, 0, 0);
    expect(['0', ' 42 ', 'Mon, 23 Nov 2026 12:01:30 GMT', 'Mon, 23 Nov 2026 11:00:00 GMT'].map((said) => retryAfterOf(said, now))).toEqual([0, 42, 90, 0]);
    expect([null, '', 'soon', '-5', '1.5', 'Friday 13'].map((said) => retryAfterOf(said, now))).toEqual([null, null, null, null, null, null]);
  });
  it('has words for an answer that isn’t ours', async () => {
    answer = (_, response) => response.writeHead(502).end('<h1>Bad gateway</h1>');
    expect(await failing(http.get(root))).toMatchObject({ status: 502, message: expect.stringContaining('502') as string });
  });
  it('has words for no answer', async () => {
    answer = (request) => request.socket.destroy();
    expect(await failing(http.get(root))).toMatchObject({ status: 0, code: 'unreachable' });
  });
  it('gives up after a while', async () => {
    answer = () => undefined;
    expect(await failing(http.get(root, { timeout: 0.02 }))).toMatchObject({ status: 0, code: 'timeout' });
    server.closeAllConnections();
  });
  it('lets the caller give up without an error of ours', async () => {
    answer = () => undefined;
    const abort = new AbortController();
    const call = http.get(root, { signal: abort.signal });
    abort.abort();
    await expect(call).rejects.toMatchObject({ name: 'AbortError' });
    server.closeAllConnections();
  });
});

describe('withQuery', () => {
  it('leaves out what has no value', () => {
    expect(withQuery('/links', { q: 'a b&c', tag: '', state: undefined, cursor: null, limit: 25 })).toBe('/links?q=a+b%26c&limit=25');
    expect(withQuery('/links')).toBe('/links');
  });
});
