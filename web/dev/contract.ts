/**
 * The servers' HTTP contract with believable data in memory, for working on the pages without the servers
 * (`npm run dev`). It never reaches a build.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Plugin } from 'vite';
import type { Account, ApiKey } from '../src/platform/identity/identity.svelte.ts';
import type { Click, Link, LinkChange, NewLink, Share, Stats } from '../src/systems/links/api.ts';
import { locate, type Place } from '../src/platform/route.ts';
import { answerChat, seedChat } from './chat.ts';
import { bodyOf, Refused } from './refused.ts';

interface Kept extends Link {
  owner: string | null;
  password: string | null;
  /** Mean clicks an hour. */
  rate: number;
  extra: Click[];
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const CODE = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';

/** A generator of its own, so that screenshots of two runs can be compared. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
const hash = (text: string): number => [...text].reduce((sum, letter) => (Math.imul(sum, 31) + letter.charCodeAt(0)) | 0, 7);
const dice = random(10);

const accounts = new Map<string, { account: Account; password: string }>();
const keys: ApiKey[] = [];
const sessions = [
  { id: 's1', agent: 'Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0', created_at: new Date(Date.now() - 3 * DAY).toISOString(), seen_at: new Date().toISOString(), current: true },
  { id: 's2', agent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 Version/19.1 Mobile Safari/604.1', created_at: new Date(Date.now() - 21 * DAY).toISOString(), seen_at: new Date(Date.now() - 5 * HOUR).toISOString(), current: false },
];
const links = new Map<string, Kept>();
const listeners = new Map<string, Set<(click: Click, id: number) => void>>();
let lastId = 1;

const WEIGHTS: Record<'countries' | 'referrers' | 'devices' | 'browsers' | 'systems', [string, number][]> = {
  countries: [['DE', 21], ['US', 19], ['FR', 9], ['GB', 8], ['IN', 7], ['BR', 5], ['JP', 4], ['NL', 4], ['PL', 3], ['CA', 3], ['ES', 3], ['IT', 2], ['SE', 2], ['AU', 2], ['MX', 1.4], ['ZA', 1.2], ['KR', 1], ['NG', 1], ['AR', 0.8], ['ID', 0.8], ['TR', 0.7], ['UA', 0.7], ['KE', 0.4], ['NZ', 0.4], ['IS', 0.2], ['', 1.5]],
  referrers: [['', 34], ['news.ycombinator.com', 22], ['t.co', 12], ['github.com', 11], ['www.linkedin.com', 8], ['mastodon.social', 6], ['duckduckgo.com', 4], ['old.reddit.com', 3]],
  devices: [['desktop', 52], ['mobile', 43], ['tablet', 5]],
  browsers: [['Chrome', 47], ['Safari', 24], ['Firefox', 17], ['Edge', 8], ['Samsung Internet', 3], ['', 1]],
  systems: [['Windows', 31], ['iOS', 24], ['Android', 22], ['Mac OS X', 14], ['Linux', 9]],
};

function pick(weights: [string, number][]): string {
  let left = dice() * weights.reduce((sum, [, weight]) => sum + weight, 0);
  return weights.find(([, weight]) => (left -= weight) <= 0)?.[0] ?? '';
}

function code(): string {
  return Array.from({ length: 7 }, () => CODE[Math.floor(dice() * 62)]).join('');
}

function stateOf(link: Kept): Link['state'] {
  if (!link.enabled) return 'disabled';
  if (link.expires_at && new Date(link.expires_at) <= new Date()) return 'expired';
  return link.clicks_left === 0 ? 'exhausted' : 'active';
}

function shown(link: Kept): Link {
  const { owner: _owner, password: _password, rate: _rate, extra: _extra, ...rest } = link;
  return { ...rest, state: stateOf(link) };
}

function shorten(wish: NewLink, owner: string | null, origin: string): { link: Kept; made: boolean } {
  let url: URL;
  try {
    url = new URL(wish.url);
    if (!/^https?:$/.test(url.protocol) || !url.hostname.includes('.')) throw new TypeError();
  } catch {
    throw new Refused(422, 'invalid', 'Some of it isn’t valid.', { url: 'This isn’t a web address. It has to begin with http:// or https:// and name a host.' });
  }
  if (wish.alias && !/^[A-Za-z0-9_-]{3,64}$/.test(wish.alias))
    throw new Refused(422, 'invalid', 'Some of it isn’t valid.', { alias: 'Use 3 to 64 letters, digits, - or _.' });
  if (wish.alias && links.has(wish.alias)) throw new Refused(409, 'alias_taken', `The alias ${wish.alias} already leads somewhere.`);
  const reused = wish.reuse && [...links.values()].find((link) => link.url === url.href && link.owner === owner);
  if (reused) return { link: reused, made: false };
  const name = wish.alias ?? code();
  const link: Kept = {
    code: name,
    short_url: `${origin}${name}`,
    url: url.href,
    title: wish.title ?? null,
    tags: wish.tags ?? [],
    status: wish.status ?? 302,
    created_at: new Date().toISOString(),
    expires_at: wish.expires_at ?? (wish.ttl ? new Date(Date.now() + wish.ttl * 1000).toISOString() : null),
    max_clicks: wish.max_clicks ?? null,
    clicks_left: wish.max_clicks ?? null,
    has_password: Boolean(wish.password),
    enabled: true,
    state: 'active',
    anonymous: owner === null,
    owner,
    password: wish.password ?? null,
    rate: 0,
    extra: [],
  };
  links.set(name, link);
  return { link, made: true };
}

function seed(): void {
  const rows: [string, string, string, string[], number, Partial<NewLink>?][] = [
    ['launch', 'https://blog.example.org/2026/tenfold-one-command-ten-systems', 'Launch post', ['launch', 'blog'], 64],
    ['docs', 'https://docs.example.org/tenfold/en/latest/getting-started/index.html?utm_source=short', 'Documentation', ['docs'], 31],
    ['', 'https://www.youtube.com/watch?v=dQw4w9WgXcQ&list=PLx0sYbCqOb8TBPRdmBHs5Iftvv9TPboYG&index=4', 'Talk at PyCon', ['talks', 'launch'], 12],
    ['hiring', 'https://jobs.example.org/openings/systems-engineer-remote-europe', 'Systems engineer', ['jobs'], 6],
    ['', 'https://github.com/example/tenfold/compare/v0.1.0...main', null as unknown as string, ['dev'], 3],
    ['survey', 'https://forms.example.org/d/e/1FAIpQLSf9u3kd83jf/viewform?usp=pp_url&entry.1022=short', 'User survey, November', ['research'], 9, { max_clicks: 500 }],
    ['', 'https://maps.example.org/place/Tempelhofer+Feld/@52.4731,13.4026,15z', 'Meet-up on Thursday', [], 1, { ttl: 3 * 86400 }],
    ['press', 'https://drive.example.org/file/d/0B7l1fbK2/press-kit-2026.zip', 'Press kit', ['launch'], 2, { password: 'x' }],
    ['spring-sale', 'https://shop.example.org/collections/spring-2026?discount=SPRING20', 'Spring sale', ['shop'], 4],
    ['beta', 'https://beta.example.org/join', 'Beta invitations', ['research'], 0.4],
    ...Array.from({ length: 34 }, (_, i): [string, string, string, string[], number] => ['', `https://news.example.org/2026/${String((i % 12) + 1).padStart(2, '0')}/story-${1000 + i * 37}?ref=newsletter-${i}`, `Newsletter ${i + 1}`, ['newsletter'], 2 + dice() * 6]),
  ];
  accounts.set('ada', { account: { id: '81926348172', name: 'ada', display_name: 'Ada', tier: 'plus', created_at: '2026-03-04T10:00:00Z' }, password: 'correct horse' });
  for (const [i, [alias, url, title, tags, rate, more]] of rows.entries()) {
    const { link } = shorten({ url, ...(alias && { alias }), ...(title && { title }), tags, ...more }, 'ada', 'http://links.localhost:5173/');
    link.created_at = new Date(Date.now() - (i + 1.3) * 2.1 * DAY).toISOString();
    link.rate = rate;
    if (link.max_clicks) link.clicks_left = 137;
    if (alias === 'spring-sale') link.expires_at = '2026-06-01T00:00:00Z';
    if (alias === 'beta') link.enabled = false;
  }
}

/** Clicks of a link in the hour or day that begins at `at`: the same each time it is asked. */
function counted(link: Kept, at: number, span: number): { clicks: number; visitors: number; bots: number } {
  const age = at + span - new Date(link.created_at).getTime();
  if (age <= 0) return { clicks: 0, visitors: 0, bots: 0 };
  const own = random(hash(`${link.url}${Math.floor(at / span)}`));
  const daily = span === DAY ? 24 : 0.35 + Math.max(0, Math.sin(((at / HOUR - 5) / 24) * 2 * Math.PI)) * 1.6;
  const hype = 0.35 + 2.6 * Math.exp(-age / (6 * DAY));
  const begun = Math.min(1, (Date.now() - at) / span);
  const clicks = Math.round(link.rate * daily * hype * (0.6 + own() * 0.8) * Math.min(1, age / span) * begun);
  const live = link.extra.filter((click) => new Date(click.at).getTime() >= at && new Date(click.at).getTime() < at + span);
  const people = live.filter((click) => !click.bot).length;
  return { clicks: clicks + people, visitors: Math.round(clicks * 0.78) + people, bots: Math.round(clicks * 0.13 * (0.4 + own())) + live.length - people };
}

function stats(of: Kept[], period: Stats['period']): Stats {
  const interval = period === '24h' ? 'hour' : 'day';
  const span = interval === 'hour' ? HOUR : DAY;
  const buckets = { '24h': 24, '7d': 7, '30d': 30, '90d': 90 }[period];
  const from = Math.floor(Date.now() / span) * span - (buckets - 1) * span;
  const series = Array.from({ length: buckets }, (_, i) => {
    const at = from + i * span;
    const sums = of.map((link) => counted(link, at, span));
    const total = (name: 'clicks' | 'visitors' | 'bots'): number => sums.reduce((sum, one) => sum + one[name], 0);
    return { at: new Date(at).toISOString(), clicks: total('clicks'), visitors: total('visitors'), bots: total('bots') };
  });
  const total = (name: 'clicks' | 'visitors' | 'bots'): number => series.reduce((sum, one) => sum + one[name], 0);
  const live = of.flatMap((link) => link.extra.filter((click) => !click.bot && new Date(click.at).getTime() >= from));
  const split = (name: keyof typeof WEIGHTS, field: 'country' | 'referrer' | 'device' | 'browser' | 'system'): Share[] => {
    const weights = WEIGHTS[name];
    const all = weights.reduce((sum, [, weight]) => sum + weight, 0);
    const settled = total('clicks') - live.length;
    return weights
      .map(([value, weight]) => ({ value, clicks: Math.round((settled * weight) / all) + live.filter((click) => click[field] === value).length }))
      .filter((row) => row.clicks > 0)
      .sort((a, b) => b.clicks - a.clicks);
  };
  return {
    period,
    interval,
    from: new Date(from).toISOString(),
    to: new Date().toISOString(),
    totals: { clicks: total('clicks'), visitors: Math.round(total('visitors') * 0.83), bots: total('bots') },
    series,
    countries: split('countries', 'country'),
    referrers: split('referrers', 'referrer'),
    devices: split('devices', 'device'),
    browsers: split('browsers', 'browser'),
    systems: split('systems', 'system'),
  };
}

function follow(link: Kept): void {
  const bot = dice() < 0.12;
  const click: Click = { at: new Date().toISOString(), country: pick(WEIGHTS.countries), referrer: pick(WEIGHTS.referrers), device: bot ? '' : pick(WEIGHTS.devices), browser: bot ? 'Googlebot' : pick(WEIGHTS.browsers), system: bot ? '' : pick(WEIGHTS.systems), bot };
  link.extra.push(click);
  if (link.clicks_left) link.clicks_left -= 1;
  lastId += 1;
  for (const hear of listeners.get(link.code) ?? []) hear(click, lastId);
}

/** A picture with the look of a QR code; the real ones come from the server. */
function picture(text: string): string {
  const own = random(hash(text));
  const corner = (x: number, y: number): string => `<path fill-rule="evenodd" d="M${x} ${y}h7v7h-7zM${x + 1} ${y + 1}v5h5v-5zM${x + 2} ${y + 2}h3v3h-3z"/>`;
  const inCorner = (x: number, y: number): boolean => (x < 8 && (y < 8 || y > 16)) || (x > 16 && y < 8);
  let path = '';
  for (let y = 0; y < 25; y += 1) for (let x = 0; x < 25; x += 1) if (!inCorner(x, y) && own() < 0.48) path += `M${x} ${y}h1v1h-1z`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-2 -2 29 29" width="512" height="512"><path fill="#fff" d="M-2-2h29v29h-29z"/><path d="${path}"/>${corner(0, 0)}${corner(18, 0)}${corner(0, 18)}</svg>`;
}

function cookie(request: IncomingMessage): string | null {
  const name = /dev_account=([^;]+)/.exec(request.headers.cookie ?? '')?.[1];
  return name && accounts.has(name) ? name : null;
}

async function answer(request: IncomingMessage, response: ServerResponse, path: string, query: URLSearchParams, { base, system }: Place, origin: string): Promise<void> {
  const json = (status: number, value?: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(value === undefined ? '' : JSON.stringify(value));
  };
  const method = request.method ?? 'GET';
  const me = cookie(request);
  const needed = (): string => {
    if (!me) throw new Refused(401, 'unauthorized', 'Sign in to do this.');
    return me;
  };

  if (path === 'readyz') return json(200, { status: 'ready', engines: { postgres: 'ready', valkey: 'ready', nats: 'ready' }, systems: { links: 'ready', chat: 'ready' } });
  if (path === 'api/systems') {
    const day = stats([...links.values()], '24h');
    return json(200, [
      {
        name: 'links', title: 'Links', summary: 'Short links that redirect in a millisecond and tell you who came, live.', state: 'ready', url: '/links/',
        figures: [
          { label: 'Links', value: links.size + 1_004_220, unit: null, series: null },
          { label: 'Clicks, last 24 h', value: day.totals.clicks, unit: null, series: day.series.map((at) => at.clicks) },
          { label: 'Redirects now', value: Math.round(40 + dice() * 30), unit: '/s', series: Array.from({ length: 30 }, () => 40 + dice() * 30) },
          { label: 'Redirect, p99', value: 0.8 + dice() / 5, unit: 'ms', series: Array.from({ length: 30 }, () => 0.8 + dice() / 5) },
        ],
      },
      { name: 'chat', title: 'Chat', summary: 'Language models on your own machine, with an OpenAI-compatible API.', state: 'ready', url: '/chat/', figures: [] },
    ]);
  }

  const identityPath = /^api\/identity\/(.*)$/.exec(path)?.[1];
  if (identityPath !== undefined) {
    const wish = method === 'POST' ? (JSON.parse((await bodyOf(request)) || '{}') as Record<string, string>) : {};
    const enter = (name: string): void => void response.setHeader('set-cookie', `dev_account=${name}; Path=/; SameSite=Lax`);
    if (identityPath === 'me') return json(200, { account: me ? accounts.get(me)?.account : null });
    if (identityPath === 'signup') {
      const { name = '', password = '' } = wish;
      if (!/^[A-Za-z0-9_]{3,30}$/.test(name)) throw new Refused(422, 'invalid', 'Some of it isn’t valid.', { name: 'Use 3 to 30 letters, digits or _.' });
      if (password.length < 8) throw new Refused(422, 'invalid', 'Some of it isn’t valid.', { password: 'Use at least 8 characters.' });
      if (accounts.has(name)) throw new Refused(409, 'name_taken', `The name ${name} is taken.`);
      accounts.set(name, { account: { id: String(Date.now()), name, display_name: name, tier: 'free', created_at: new Date().toISOString() }, password });
      enter(name);
      return json(201, { account: accounts.get(name)?.account });
    }
    if (identityPath === 'signin') {
      if (accounts.get(wish['name'] ?? '')?.password !== wish['password']) throw new Refused(401, 'wrong_password', 'The name or the password is wrong.');
      enter(wish['name'] ?? '');
      return json(200, { account: accounts.get(wish['name'] ?? '')?.account });
    }
    if (identityPath === 'signout') {
      response.setHeader('set-cookie', 'dev_account=; Path=/; Max-Age=0');
      return json(204);
    }
    needed();
    if (identityPath === 'password') return json(204);
    if (identityPath === 'keys' && method === 'GET') return json(200, keys);
    if (identityPath === 'keys') {
      const prefix = `tf_${code()}`;
      const key: ApiKey = { id: String(keys.length + 1), name: wish['name'] ?? '', prefix, created_at: new Date().toISOString(), used_at: null };
      keys.push(key);
      return json(201, { key, secret: `${prefix}_${code()}${code()}${code()}${code()}` });
    }
    if (identityPath.startsWith('keys/')) {
      keys.splice(keys.findIndex((key) => key.id === identityPath.slice(5)), 1);
      return json(204);
    }
    if (identityPath === 'sessions') return json(200, sessions);
    sessions.splice(sessions.findIndex((one) => one.id === identityPath.slice(9)), 1);
    return json(204);
  }

  if (system === 'chat') return answerChat(request, response, path.slice(4), query, needed(), `${base}api/`);
  if (!path.startsWith('api/links')) throw new Refused(404, 'not_found', 'There is nothing here.');
  const [, , name, what] = path.split('/');
  if (!name) {
    if (method === 'POST') {
      const { link, made } = shorten(JSON.parse(await bodyOf(request)) as NewLink, me, origin);
      return json(made ? 201 : 200, shown(link));
    }
    const owner = needed();
    const q = (query.get('q') ?? '').toLowerCase();
    const fitting = [...links.values()]
      .filter((link) => link.owner === owner)
      .filter((link) => !q || `${link.code} ${link.url} ${link.title ?? ''}`.toLowerCase().includes(q))
      .filter((link) => !query.get('tag') || link.tags.includes(query.get('tag') ?? ''))
      .filter((link) => !query.get('state') || stateOf(link) === query.get('state'))
      .sort((a, b) => b.created_at.localeCompare(a.created_at));
    const start = Number(query.get('cursor') ?? 0);
    const limit = Number(query.get('limit') ?? 25);
    const items = fitting.slice(start, start + limit).map((link) => {
      const month = stats([link], '90d');
      return { ...shown(link), clicks: month.totals.clicks, series: month.series.slice(-14).map((at) => at.clicks) };
    });
    return json(200, { items, next: start + limit < fitting.length ? String(start + limit) : null });
  }
  if (name === 'overview') {
    const own = [...links.values()].filter((link) => link.owner === needed());
    const { totals, series } = stats(own, '24h');
    return json(200, { links: own.length, ...totals, series });
  }
  if (name === 'export.csv') {
    response.writeHead(200, { 'content-type': 'text/csv' });
    response.end(['url,alias', ...[...links.values()].map((link) => `${link.url},${link.code}`)].join('\n'));
    return;
  }
  if (name === 'bulk' || name === 'import') {
    const owner = needed();
    const body = await bodyOf(request);
    const wishes =
      name === 'bulk'
        ? (JSON.parse(body) as { links: NewLink[] }).links
        : body.trim().split('\n').slice(1).map((line): NewLink => {
            const [url = '', alias = '', title = '', tags = ''] = line.split(',');
            return { url, ...(alias && { alias }), ...(title && { title }), tags: tags.split(';').filter(Boolean) };
          });
    return json(200, {
      results: wishes.map((wish) => {
        try {
          return { link: shown(shorten(wish, owner, origin).link), error: null };
        } catch (error) {
          return { link: null, error: problemOf(error) };
        }
      }),
    });
  }
  const link = links.get(decodeURIComponent(name));
  if (!link) throw new Refused(404, 'link_not_found', `There is no link ${name}.`);
  if (what === 'qr') {
    response.writeHead(200, { 'content-type': 'image/svg+xml' }).end(picture(link.short_url));
    return;
  }
  if (link.owner && link.owner !== needed()) throw new Refused(404, 'link_not_found', `There is no link ${name}.`);
  if (what === 'stats') return json(200, stats([link], (query.get('period') ?? '24h') as Stats['period']));
  if (what === 'live') {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(': welcome\n\n');
    const hear = (click: Click, id: number): void => void response.write(`id: ${id}\ndata: ${JSON.stringify(click)}\n\n`);
    const own = listeners.get(link.code) ?? new Set();
    listeners.set(link.code, own.add(hear));
    request.on('close', () => own.delete(hear));
    return;
  }
  if (method === 'DELETE') {
    links.delete(link.code);
    return json(204);
  }
  if (method === 'PATCH') {
    const { password, ...change } = JSON.parse(await bodyOf(request)) as LinkChange;
    Object.assign(link, change);
    if (password !== undefined) link.has_password = password !== null;
    if (change.max_clicks !== undefined) link.clicks_left = change.max_clicks;
  }
  json(200, shown(link));
}

function problemOf(error: unknown): object {
  if (!(error instanceof Refused)) throw error;
  return { type: `urn:tenfold:${error.problemCode}`, title: error.message, status: error.status, detail: error.message, code: error.problemCode, ...(error.fields && { fields: error.fields }) };
}

export function contract(): Plugin {
  return {
    name: 'tenfold-contract',
    apply: 'serve',
    configureServer(server) {
      seed();
      seedChat();
      setInterval(() => {
        for (const [name, hearing] of listeners) {
          const link = links.get(name);
          if (link && hearing.size && stateOf(link) === 'active' && dice() < 0.75) follow(link);
        }
      }, 900).unref();
      server.middlewares.use((request, response, next) => {
        const url = new URL(request.url ?? '/', `http://${request.headers.host ?? 'localhost'}`);
        if (/^\/(static|@|node_modules|src|dev)/.test(url.pathname)) return next();
        const place = locate(url.hostname, url.pathname, ['links', 'chat']);
        const path = /^\/api\/(identity|systems)/.test(url.pathname) ? url.pathname.slice(1) : place.path;
        if (path.startsWith('api/') || path === 'readyz') {
          answer(request, response, path, url.searchParams, place, `${url.origin}${place.base}`).catch((error: unknown) => {
            if (response.headersSent) return response.end();
            const status = error instanceof Refused ? error.status : 500;
            const body = error instanceof Refused ? problemOf(error) : { title: String(error), status, code: 'error' };
            return response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(body));
          });
          return undefined;
        }
        if (path === '' || place.shared || path.startsWith('app')) {
          request.url = '/static/index.html';
          return next();
        }
        const link = links.get(path);
        if (link) {
          follow(link);
          response.writeHead(link.status, { location: link.url }).end();
          return undefined;
        }
        return next();
      });
    },
  };
}
