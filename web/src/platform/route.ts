/** Where an address leads: which system, under which base, to which page. Pure, so that it can be tested. */

/** Pages that every host has; they belong to the platform. */
export const SHARED = ['signin', 'signup', 'account', 'oauth/authorize'] as const;
export type Shared = (typeof SHARED)[number];
/** Under a system's prefix as well, because that is where its clients begin. */
const CONSENT: Shared = 'oauth/authorize';

export interface Place {
  /** The system whose host or prefix the address is under, or null on the bare host. */
  system: string | null;
  /** `/links/` under the prefix, `/` on the system's own host and on the bare host. */
  base: string;
  /** The rest of the path after the base, without a leading slash. */
  path: string;
  shared: Shared | null;
}

/** The host's first label names the system (`links.localhost`), else the path's first segment does (`/links/`). */
export function locate(host: string, pathname: string, systems: readonly string[]): Place {
  const label = host.split('.', 1)[0] ?? '';
  const rest = pathname.replace(/^\/+/, '');
  const shared = SHARED.find((name) => rest === name) ?? null;
  if (systems.includes(label)) return { system: label, base: '/', path: rest, shared };
  const [first = '', ...others] = rest.split('/');
  if (systems.includes(first)) {
    const path = others.join('/');
    return { system: first, base: `/${first}/`, path, shared: path === CONSENT ? CONSENT : null };
  }
  return { system: null, base: '/', path: rest, shared };
}

/** The host that shows all systems: `links.localhost:8080` belongs to `localhost:8080`. */
export function bareHost(host: string, systems: readonly string[]): string {
  const dot = host.indexOf('.');
  return dot > 0 && systems.includes(host.slice(0, dot)) ? host.slice(dot + 1) : host;
}

export interface Match<T> {
  page: T;
  params: Record<string, string>;
}

/** The first pattern that fits: `app/:code` fits `app/x7Yz` and gives `{code: 'x7Yz'}`, `@:name` fits `@ada`. */
export function match<T>(pages: Readonly<Record<string, T>>, path: string): Match<T> | null {
  const parts = path.replace(/\/+$/, '').split('/');
  for (const [pattern, page] of Object.entries(pages)) {
    const wanted = pattern.split('/');
    if (wanted.length !== parts.length) continue;
    const params: Record<string, string> = {};
    const fits = wanted.every((want, i) => {
      const part = parts[i] ?? '';
      const colon = want.indexOf(':');
      if (colon < 0) return want === part;
      const value = part.slice(colon);
      if (!part.startsWith(want.slice(0, colon)) || value === '') return false;
      try {
        params[want.slice(colon + 1)] = decodeURIComponent(value);
      } catch {
        return false;
      }
      return true;
    });
    if (fits) return { page, params };
  }
  return null;
}

/** A path of this site to go to after signing in; anything that could lead elsewhere becomes the fallback. */
export function safeNext(next: string | null, fallback: string): string {
  if (!next) return fallback;
  try {
    // The browser's own parser decides, so that `//evil`, `/\evil` and tabs inside can't slip through.
    const url = new URL(next, 'http://site.invalid');
    return next.startsWith('/') && url.origin === 'http://site.invalid' ? url.pathname + url.search + url.hash : fallback;
  } catch {
    return fallback;
  }
}
