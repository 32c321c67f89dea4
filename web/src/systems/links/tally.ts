/** How statistics move when a click arrives, before the server has counted it. Pure, so that it can be tested. */
import type { Bucket, Click, Share, Stats } from './api';

const SPAN = { hour: 3_600_000, day: 86_400_000 } as const;
/** Milliseconds that the server's counts may be behind; what is older has been counted. */
const BEHIND = 5_000;

/** True when the server had counted this click when it made these statistics: a resumed feed repeats such clicks. */
export const isCounted = (stats: Stats, click: Click): boolean => Date.parse(click.at) < Date.parse(stats.to) - BEHIND;

function raised(shares: readonly Share[], value: string): Share[] {
  const found = shares.some((share) => share.value === value);
  const next = found
    ? shares.map((share) => (share.value === value ? { ...share, clicks: share.clicks + 1 } : share))
    : [...shares, { value, clicks: 1 }];
  return next.sort((a, b) => b.clicks - a.clicks);
}

/** The series with a bucket for `at`: time goes on while the page is open. */
function reaching(series: readonly Bucket[], span: number, at: number): Bucket[] {
  const next = [...series];
  for (let last = Date.parse(next.at(-1)?.at ?? ''); at >= last + span && next.length < 1000; last += span) {
    next.push({ at: new Date(last + span).toISOString(), clicks: 0, visitors: 0, bots: 0 });
    next.shift();
  }
  return next;
}

/** The statistics one click later. Whether its visitor is new only the server can tell. */
export function withClick(stats: Stats, click: Click): Stats {
  const span = SPAN[stats.interval];
  const at = Date.parse(click.at);
  const counter = click.bot ? 'bots' : 'clicks';
  const series = reaching(stats.series, span, at).map((bucket) => {
    const begins = Date.parse(bucket.at);
    return at >= begins && at < begins + span ? { ...bucket, [counter]: bucket[counter] + 1 } : bucket;
  });
  const next = { ...stats, series, totals: { ...stats.totals, [counter]: stats.totals[counter] + 1 } };
  if (click.bot) return next;
  return {
    ...next,
    countries: raised(stats.countries, click.country),
    referrers: raised(stats.referrers, click.referrer),
    devices: raised(stats.devices, click.device),
    browsers: raised(stats.browsers, click.browser),
    systems: raised(stats.systems, click.system),
  };
}

function higher(shown: readonly Share[], server: readonly Share[]): Share[] {
  const seen = new Map(shown.map((share) => [share.value, share.clicks]));
  const both = server.map((share) => ({ ...share, clicks: Math.max(share.clicks, seen.get(share.value) ?? 0) }));
  const known = new Set(server.map((share) => share.value));
  return [...both, ...shown.filter((share) => !known.has(share.value))].sort((a, b) => b.clicks - a.clicks);
}

/**
 * The server's statistics, but nothing lower than what is shown: while clicks arrive the server is a moment behind, and
 * counters that jump back look broken. Once it is quiet the server's statistics are taken as they are.
 */
export function caughtUp(shown: Stats, server: Stats): Stats {
  if (shown.period !== server.period || shown.series[0]?.at !== server.series[0]?.at) return server;
  const seen = new Map(shown.series.map((bucket) => [bucket.at, bucket]));
  const totals = { ...server.totals };
  const series = server.series.map((bucket) => {
    const clicks = Math.max(bucket.clicks, seen.get(bucket.at)?.clicks ?? 0);
    const bots = Math.max(bucket.bots, seen.get(bucket.at)?.bots ?? 0);
    totals.clicks += clicks - bucket.clicks;
    totals.bots += bots - bucket.bots;
    return { ...bucket, clicks, bots };
  });
  return {
    ...server,
    totals,
    series,
    countries: higher(shown.countries, server.countries),
    referrers: higher(shown.referrers, server.referrers),
    devices: higher(shown.devices, server.devices),
    browsers: higher(shown.browsers, server.browsers),
    systems: higher(shown.systems, server.systems),
  };
}
