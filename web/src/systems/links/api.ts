/** The public API of the link shortener, as its pages use it. */
import { http } from '../../platform/api';
import type { Problem } from '../../platform/api';
import type { Interval } from '../../platform/format';

export const STATES = ['active', 'disabled', 'expired', 'exhausted'] as const;
export type LinkState = (typeof STATES)[number];

export const REDIRECTS = [301, 302, 303, 307, 308] as const;
export type Redirect = (typeof REDIRECTS)[number];

export interface Link {
  code: string;
  short_url: string;
  url: string;
  title: string | null;
  tags: string[];
  status: Redirect;
  created_at: string;
  expires_at: string | null;
  max_clicks: number | null;
  clicks_left: number | null;
  has_password: boolean;
  enabled: boolean;
  state: LinkState;
  anonymous: boolean;
}

export interface ListedLink extends Link {
  clicks: number;
  /** Clicks by day, the last fourteen days, oldest first. */
  series: number[];
}

export interface NewLink {
  url: string;
  alias?: string;
  expires_at?: string;
  /** Seconds. */
  ttl?: number;
  title?: string;
  tags?: string[];
  status?: Redirect;
  password?: string;
  max_clicks?: number;
  /** Answers with the link that already leads there, if there is one. */
  reuse?: boolean;
}

/** What changes; null takes the value away. */
export interface LinkChange {
  url?: string;
  title?: string | null;
  tags?: string[];
  expires_at?: string | null;
  enabled?: boolean;
  max_clicks?: number | null;
  password?: string | null;
  status?: Redirect;
}

export interface Results {
  results: { link: Link | null; error: Problem | null }[];
}

export const PERIODS = ['24h', '7d', '30d', '90d'] as const;
export type Period = (typeof PERIODS)[number];

export interface Totals {
  clicks: number;
  visitors: number;
  bots: number;
}

export interface Bucket extends Totals {
  at: string;
}

export interface Share {
  /** Empty when it is unknown, or for a referrer: when there was none. */
  value: string;
  clicks: number;
}

export interface Stats {
  period: Period;
  interval: Interval;
  from: string;
  to: string;
  totals: Totals;
  series: Bucket[];
  countries: Share[];
  referrers: Share[];
  devices: Share[];
  browsers: Share[];
  systems: Share[];
}

export interface Click {
  at: string;
  country: string;
  referrer: string;
  device: string;
  browser: string;
  system: string;
  bot: boolean;
}

export interface Overview extends Totals {
  links: number;
  series: Bucket[];
}

export interface ListQuery {
  q?: string;
  tag?: string;
  state?: string;
  cursor?: string;
  limit?: number;
}

/** Rows that one bulk call takes. */
export const BULK_LIMIT = 10_000;

export function linksApi(api: string) {
  const at = (code: string, rest = ''): string => `${api}links/${encodeURIComponent(code)}${rest}`;
  return {
    shorten: (link: NewLink) => http.post<Link>(`${api}links`, link),
    list: (query: ListQuery, signal?: AbortSignal) =>
      http.get<{ items: ListedLink[]; next: string | null }>(`${api}links`, {
        query: { ...query },
        ...(signal && { signal }),
      }),
    read: (code: string) => http.get<Link>(at(code)),
    change: (code: string, change: LinkChange) => http.patch<Link>(at(code), change),
    remove: (code: string) => http.delete(at(code)),
    bulk: (links: NewLink[]) => http.post<Results>(`${api}links/bulk`, { links }, { timeout: 120 }),
    importCsv: (csv: Blob) =>
      http.post<Results>(`${api}links/import`, new Blob([csv], { type: 'text/csv' }), { timeout: 120 }),
    stats: (code: string, period: Period, signal?: AbortSignal) =>
      http.get<Stats>(at(code, '/stats'), { query: { period }, ...(signal && { signal }) }),
    overview: (signal?: AbortSignal) => http.get<Overview>(`${api}links/overview`, { ...(signal && { signal }) }),
    exportUrl: `${api}links/export.csv`,
    liveUrl: (code: string) => at(code, '/live'),
    qrUrl: (code: string, format: 'svg' | 'png', size: number) => at(code, `/qr?format=${format}&size=${size}`),
  };
}

export type LinksApi = ReturnType<typeof linksApi>;
