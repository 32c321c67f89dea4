/**
 * The contract of chat with threads in memory. Words in a question lead to what is rare: `queue`, `drop` (the
 * connection), `fail`, `limit` (too much at once), `long`. TENFOLD_DEV_PULL=1 starts with models on their way.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Attached, Message, Model, StreamEvent, Thread, Tier, UsageDay } from '../src/systems/chat/api.ts';
import { bodyOf, Refused } from './refused.ts';

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
/** Milliseconds between two pieces of an answer, and characters of one. */
const PACE = 28;
const PIECE = 7;

let lastId = 7_301_000_000_000_000_000n;
const nextId = (): string => String((lastId += 4096n));
const begun = Date.now();

const threads = new Map<string, { thread: Thread; owner: string; messages: Message[] }>();
const files = new Map<string, { file: Attached; body: Buffer }>();
const streams = new Map<string, { hear: Set<(event: StreamEvent) => void>; stop: () => void }>();
let asked: number[] = [];

const PRIMES = `A number is prime when no smaller prime up to its square root divides it, so it is enough to try those:

\`\`\`python
def primes(n: int) -> list[int]:
    """The first n primes."""
    found: list[int] = []
    candidate = 2
    while len(found) < n:
        if all(candidate % p for p in found if p * p <= candidate):
            found.append(candidate)
        candidate += 1
    return found

print(primes(20))
\`\`\`

Run it to see the list. Two things to know:

1. **It is quick enough** for a few thousand primes. Beyond that, use a sieve.
2. \`all(...)\` of nothing is true, so \`2\` is found without a special case.`;

const TABLE = `Here is how the three compare for a **small web service**:

| | Python | Go | Rust |
|---|---|---|---|
| Speed | slowest of the three | fast | fastest |
| Memory | 60–120 MB | 15–30 MB | 5–15 MB |
| Libraries | very many | many | many, some young |
| Time to learn | days | a week | months |

### What I would take

- **Python** if it mostly waits for a database, and people should change it quickly.
- **Go** if it has to hold many connections and be one file to deploy.
- **Rust** if every millisecond or megabyte counts.

> For most small services the database is the slow part, whatever the language.

I recommend **Go** here: see [the tour](https://go.dev/tour/) for a first evening.`;

const HASH = `Think of a cloakroom with a hundred numbered hooks.

Instead of walking along all hooks, the attendant computes a number **from your name** and goes straight to that hook. That is all a hash table does: a function turns a key into a position, and the value is there.

## When it gets slow

- **Collisions:** two names lead to one hook, and the coats have to be looked through.
- **It gets too full:** the more hooks are taken, the more collisions. So it grows and moves everything at about 70 %.

\`\`\`python
position = hash(name) % len(hooks)
\`\`\`

On average a look-up takes the same time however many coats there are; at worst, when all share one hook, it takes as long as a list.`;

const SHORT = 'Certainly. The short answer is **yes**: it is the same in both cases, because the order of the two steps doesn’t matter.';

const reply = (text: string, turn: number): string => {
  if (/prime|python/i.test(text)) return PRIMES;
  if (/table|compare/i.test(text) && !/hash/i.test(text)) return TABLE;
  if (/hash|explain/i.test(text)) return HASH;
  if (/long/i.test(text)) return Array.from({ length: 12 }, (_, i) => `## Part ${i + 1}\n\n${HASH}`).join('\n\n');
  return turn % 2 ? SHORT : `${SHORT}\n\n- First one, then the other.\n- Or the other way round.`;
};

function message(thread_id: string, parent_id: string | null, role: Message['role'], text: string, more: Partial<Message> = {}): Message {
  const model = role === 'assistant' ? 'fast' : null;
  return { id: nextId(), thread_id, parent_id, role, text, status: 'complete', model, tokens_in: 40, tokens_out: role === 'assistant' ? Math.ceil(text.length / 4) : 0, error: null, flagged: false, attachments: [], created_at: new Date().toISOString(), ...more };
}

function begin(owner: string, title: string, age: number, model: Model = 'auto'): { thread: Thread; owner: string; messages: Message[] } {
  const at = new Date(Date.now() - age).toISOString();
  const thread: Thread = { id: nextId(), title, model, created_at: at, updated_at: at, head_id: null };
  const one = { thread, owner, messages: [] as Message[] };
  threads.set(thread.id, one);
  return one;
}

export function seedChat(): void {
  const talk = (title: string, age: number, ...texts: string[]): Message[] => {
    const { thread, messages } = begin('ada', title, age);
    texts.forEach((text, i) => messages.push(message(thread.id, messages.at(-1)?.id ?? null, i % 2 ? 'assistant' : 'user', text)));
    return messages;
  };
  const primes = talk('The first 20 primes', 9 * MINUTE, 'Write a Python function that returns the first n prime numbers, and print the first 20.', PRIMES, 'And which of the three languages would you take for a small service that answers this?', TABLE);
  const [question, answer, again] = primes;
  if (question && answer && again) {
    primes.push(message(question.thread_id, question.id, 'assistant', SHORT, { model: 'smart' }));
    primes.push(message(question.thread_id, answer.id, 'user', 'Is a sieve quicker?'));
    primes.push(message(question.thread_id, primes.at(-1)?.id ?? null, 'assistant', SHORT));
    const kept = threads.get(question.thread_id);
    if (kept) kept.thread.head_id = primes[3]?.id ?? null;
  }
  const broken = talk('What went wrong', 50 * MINUTE, 'Explain how a hash table finds a value so quickly.');
  broken.push(message(broken[0]?.thread_id ?? '', broken[0]?.id ?? null, 'assistant', HASH.slice(0, 330), { status: 'failed', error: 'The model stopped answering.' }));
  const stopped = talk('Cloakrooms and hash tables', 5 * 60 * MINUTE, 'Explain how a hash table works.');
  stopped.push(message(stopped[0]?.thread_id ?? '', stopped[0]?.id ?? null, 'assistant', HASH.slice(0, 210), { status: 'stopped', flagged: true }));
  talk('Five hundred messages', DAY, ...Array.from({ length: 500 }, (_, i) => (i % 2 ? [PRIMES, TABLE, HASH, SHORT][(i >> 1) % 4] ?? '' : `Question ${i / 2 + 1}: how does this go on?`)));
  const titles = ['Dice and sevens', 'A letter to the landlord', 'Regular expressions for dates', 'Packing list for Lapland', 'Why is the sky blue?', 'Names for a sourdough starter', 'SQL window functions', 'Refactoring the invoice parser, step by step, without breaking the tests', 'Bash: rename many files', 'Summary of the meeting notes', 'Learning Finnish in a year', 'A birthday speech', 'Sorting algorithms compared', 'Recipe: lentil soup', 'CSS grid or flexbox', 'Unit tests for a date parser'];
  titles.forEach((title, i) => talk(title, (i + 1.4) * (i < 6 ? 0.9 : 5) * DAY, title, SHORT));
}

function tiers(): Tier[] {
  const isPulling = process.env['TENFOLD_DEV_PULL'] === '1';
  const done = isPulling ? Math.min(1, (Date.now() - begun) / 240_000 + 0.35) : 1;
  const tier = (name: string, title: string, model: string, size: number, share: number): Tier => {
    const state = share >= 1 ? 'ready' : 'pulling';
    return { name, title, model, state, done: Math.round(size * share), size, replicas: state === 'ready' ? [{ state: 'ready', outstanding: 0 }] : [] };
  };
  return [tier('fast', 'Qwen2.5 0.5B', 'qwen2.5-coder-0.5b', 491_400_064, done), tier('smart', 'Qwen2.5 1.5B', 'qwen2.5-coder-1.5b', 1_117_320_768, done ** 2), tier('embed', 'MiniLM', 'minilm', 22_000_000, 1)];
}

/** Writes an answer in the background, whoever listens. */
function write(answer: Message, question: string, turn: number): void {
  const whole = [...reply(question, turn)];
  const hear = new Set<(event: StreamEvent) => void>();
  const tell = (event: StreamEvent): void => hear.forEach((one) => one(event));
  let timer: ReturnType<typeof setTimeout>;
  const end = (status: Message['status'], error: string | null = null): void => {
    clearTimeout(timer);
    Object.assign(answer, { status, error, tokens_in: 61, tokens_out: Math.ceil(answer.text.length / 4) });
    tell({ type: 'done', message: { ...answer } });
    streams.delete(answer.id);
  };
  let place = /queue/i.test(question) ? 4 : 1;
  let at = 0;
  const step = (): void => {
    if (place > 0 && /queue/i.test(question)) {
      tell({ type: 'queued', place });
      place -= 1;
      timer = setTimeout(step, 1100);
      return;
    }
    if (at === 0) {
      answer.status = 'streaming';
      tell({ type: 'start', model: answer.model ?? 'fast' });
    }
    if (/fail/i.test(question) && at > 180) return end('failed', 'The model stopped answering.');
    const piece = whole.slice(at, at + PIECE).join('');
    if (!piece) return end('complete');
    tell({ type: 'text', at, text: piece });
    answer.text += piece;
    at += PIECE;
    timer = setTimeout(step, PACE);
  };
  timer = setTimeout(step, 500);
  streams.set(answer.id, { hear, stop: () => end('stopped') });
}

function usage(): UsageDay[] {
  return Array.from({ length: 26 }, (_, i) => i).flatMap((i) => {
    const day = new Date(Date.now() - i * DAY).toISOString().slice(0, 10);
    const busy = 0.4 + Math.abs(Math.sin(i * 1.7)) * (i % 7 > 4 ? 0.3 : 1);
    return [
      { day, model: 'fast', requests: Math.round(42 * busy), tokens_in: Math.round(21_000 * busy), tokens_out: Math.round(13_500 * busy), cost: 0.0061 * busy },
      ...(i % 3 ? [{ day, model: 'smart', requests: Math.round(9 * busy), tokens_in: Math.round(9_400 * busy), tokens_out: Math.round(7_800 * busy), cost: 0.0212 * busy }] : []),
    ];
  });
}

/** Answers `path` below the API's base. */
export async function answerChat(request: IncomingMessage, response: ServerResponse, path: string, query: URLSearchParams, me: string, base: string): Promise<void> {
  const method = request.method ?? 'GET';
  const json = (status: number, value?: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(value === undefined ? '' : JSON.stringify(value));
  };
  const [what = '', id = '', rest] = path.split('/');
  const body = async <T>(): Promise<T> => JSON.parse((await bodyOf(request)) || '{}') as T;
  const found = (): { thread: Thread; owner: string; messages: Message[] } => {
    const one = what === 'threads' ? threads.get(id) : [...threads.values()].find(({ messages }) => messages.some((each) => each.id === id));
    if (one?.owner !== me) throw new Refused(404, 'not_found', 'There is nothing here.');
    return one;
  };

  if (what === 'models') return json(200, { tiers: tiers() });
  if (what === 'usage') return json(200, { days: usage(), tier: 'plus', limit: { per_minute: 20, remaining: 20 - asked.length } });
  if (what === 'run') {
    const { code } = await body<{ code: string }>();
    await new Promise((resolve) => setTimeout(resolve, 700));
    if (/primes/.test(code)) return json(200, { output: '[2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71]\n', error: null, seconds: 0.04, truncated: false });
    return json(200, { output: '', error: 'Traceback (most recent call last):\n  File "main.py", line 1, in <module>\nNameError: name \'name\' is not defined', seconds: 0.01, truncated: false });
  }
  if (what === 'files' && method === 'POST') {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const content = Buffer.concat(chunks);
    const file: Attached = { id: nextId(), name: query.get('name') ?? 'file', type: request.headers['content-type'] ?? '', size: content.length, url: '' };
    file.url = `${base}files/${file.id}`;
    files.set(file.id, { file, body: content });
    await new Promise((resolve) => setTimeout(resolve, 600));
    return json(201, file);
  }
  if (what === 'files') {
    const kept = files.get(id);
    if (!kept) throw new Refused(404, 'not_found', 'There is no such file.');
    response.writeHead(200, { 'content-type': kept.file.type }).end(kept.body);
    return;
  }
  if (what === 'threads' && !id) {
    if (method === 'POST') {
      const { model } = await body<{ model?: Model }>();
      return json(201, begin(me, '', 0, model).thread);
    }
    const q = (query.get('q') ?? '').toLowerCase();
    const all = [...threads.values()]
      .filter(({ owner, thread, messages }) => owner === me && (!q || `${thread.title} ${messages.map(({ text }) => text).join(' ')}`.toLowerCase().includes(q)))
      .map(({ thread }) => thread)
      .sort((a, b) => b.updated_at.localeCompare(a.updated_at));
    const start = Number(query.get('cursor') ?? 0);
    const limit = Number(query.get('limit') ?? 30);
    return json(200, { items: all.slice(start, start + limit), next: start + limit < all.length ? String(start + limit) : null });
  }
  if (what === 'threads' && rest === 'messages') {
    const { thread, messages } = found();
    const wish = await body<{ text: string; parent_id: string | null; attachments?: string[] }>();
    asked = asked.filter((at) => at > Date.now() - MINUTE);
    if (/limit/i.test(wish.text) && Date.now() % 2 >= 0 && asked.length < 99) {
      asked = Array.from({ length: 99 }, () => Date.now());
      throw new Refused(429, 'too_many_requests', 'That was too much at once. Try again in 12 seconds.');
    }
    if (asked.length >= 99) asked = [];
    asked.push(Date.now());
    const question = message(thread.id, wish.parent_id, 'user', wish.text, { attachments: (wish.attachments ?? []).flatMap((one) => files.get(one)?.file ?? []) });
    const answer = message(thread.id, question.id, 'assistant', '', { status: 'queued', model: thread.model === 'smart' ? 'smart' : 'fast', tokens_out: 0 });
    messages.push(question, answer);
    write(answer, wish.text, messages.length);
    thread.title ||= wish.text.slice(0, 40);
    thread.head_id = answer.id;
    thread.updated_at = new Date().toISOString();
    return json(201, { question: { ...question }, answer: { ...answer } });
  }
  if (what === 'threads') {
    const one = found();
    if (method === 'DELETE') {
      threads.delete(id);
      return json(204);
    }
    if (method === 'PATCH') return json(200, Object.assign(one.thread, await body<Partial<Thread>>()));
    return json(200, { thread: one.thread, messages: one.messages });
  }
  if (what === 'messages') {
    const { messages } = found();
    const answer = messages.find((each) => each.id === id);
    if (!answer) throw new Refused(404, 'not_found', 'There is nothing here.');
    const question = messages.find((each) => each.id === answer.parent_id)?.text ?? '';
    if (rest === 'stop') {
      streams.get(id)?.stop();
      return json(204);
    }
    if (rest === 'regenerate') {
      const { model } = await body<{ model?: Model }>();
      const fresh = message(answer.thread_id, answer.parent_id, 'assistant', '', { status: 'queued', model: model === 'smart' ? 'smart' : 'fast', tokens_out: 0 });
      messages.push(fresh);
      write(fresh, question.replace(/fail/gi, ''), messages.length);
      return json(201, { ...fresh });
    }
    if (rest === 'stream') return stream(request, response, answer, /drop/i.test(question));
  }
  throw new Refused(404, 'not_found', 'There is nothing here.');
}

/** The events of an answer after the last one that was seen; an event's id is how many characters it completes. */
function stream(request: IncomingMessage, response: ServerResponse, answer: Message, drops: boolean): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  response.write('retry: 300\n\n');
  const send = (event: StreamEvent): void => {
    const seen = event.type === 'text' ? `id: ${event.at + [...event.text].length}\n` : '';
    response.write(`${seen}data: ${JSON.stringify(event)}\n\n`);
    if (event.type === 'done') response.end();
  };
  const kept = streams.get(answer.id);
  if (!kept) return send({ type: 'done', message: answer });
  const seen = Number(request.headers['last-event-id'] ?? 0);
  const missed = [...answer.text].slice(seen).join('');
  if (missed) send({ type: 'text', at: seen, text: missed });
  kept.hear.add(send);
  request.on('close', () => kept.hear.delete(send));
  if (drops) setTimeout(() => response.destroy(), 900);
}
