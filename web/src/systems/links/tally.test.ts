import { describe, expect, it } from 'vitest';
import type { Click, Stats } from './api';
import { caughtUp, isCounted, withClick } from './tally';

const hour = (at: string, clicks = 0, bots = 0): Stats['series'][number] => ({ at: `2026-11-22T${at}:00:00Z`, clicks, visitors: clicks, bots });
const stats: Stats = {
  period: '24h',
  interval: 'hour',
  from: '2026-11-22T09:00:00Z',
  to: '2026-11-22T11:30:00Z',
  totals: { clicks: 9, visitors: 7, bots: 2 },
  series: [hour('09', 2), hour('10', 4, 2), hour('11', 3)],
  countries: [
    { value: 'DE', clicks: 5 },
    { value: 'FR', clicks: 4 },
  ],
  referrers: [{ value: '', clicks: 9 }],
  devices: [{ value: 'desktop', clicks: 9 }],
  browsers: [{ value: 'Firefox', clicks: 9 }],
  systems: [{ value: 'Linux', clicks: 9 }],
};
const click: Click = { at: '2026-11-22T11:30:01Z', country: 'FR', referrer: '', device: 'mobile', browser: 'Firefox', system: 'Linux', bot: false };

describe('withClick', () => {
  it('moves the total, the hour and each ranking', () => {
    const next = withClick(stats, click);
    expect(next.totals).toEqual({ clicks: 10, visitors: 7, bots: 2 });
    expect(next.series.map((bucket) => bucket.clicks)).toEqual([2, 4, 4]);
    expect(next.countries).toEqual([
      { value: 'DE', clicks: 5 },
      { value: 'FR', clicks: 5 },
    ]);
    expect(next.devices).toContainEqual({ value: 'mobile', clicks: 1 });
    expect(stats.totals.clicks).toBe(9);
  });
  it('keeps a bot out of every other number', () => {
    const next = withClick(stats, { ...click, bot: true });
    expect(next.totals).toEqual({ clicks: 9, visitors: 7, bots: 3 });
    expect(next.countries).toBe(stats.countries);
    expect(next.series.map((bucket) => bucket.bots)).toEqual([0, 2, 1]);
  });
  it('opens a new hour and lets the oldest go', () => {
    const next = withClick(stats, { ...click, at: '2026-11-22T12:00:00Z' });
    expect(next.series.map((bucket) => [bucket.at.slice(11, 13), bucket.clicks])).toEqual([
      ['10', 4],
      ['11', 3],
      ['12', 1],
    ]);
  });
});

describe('isCounted', () => {
  it('tells clicks that the server had seen from those that may be ahead of it', () => {
    expect(isCounted(stats, { ...click, at: '2026-11-22T11:29:00Z' })).toBe(true);
    expect(isCounted(stats, { ...click, at: '2026-11-22T11:29:58Z' })).toBe(false);
  });
});

describe('caughtUp', () => {
  it('lowers nothing that is shown', () => {
    const shown = withClick(stats, click);
    const next = caughtUp(shown, { ...stats, totals: { ...stats.totals, visitors: 8 } });
    expect(next.totals).toEqual({ clicks: 10, visitors: 8, bots: 2 });
    expect(next.series.map((bucket) => bucket.clicks)).toEqual([2, 4, 4]);
    expect(next.devices).toContainEqual({ value: 'mobile', clicks: 1 });
  });
  it('takes what the server has more of', () => {
    const server = withClick(withClick(stats, click), click);
    expect(caughtUp(withClick(stats, click), server)).toMatchObject({ totals: server.totals, series: server.series });
  });
  it('takes another period as it is', () => {
    const server: Stats = { ...stats, period: '7d' };
    expect(caughtUp(withClick(stats, click), server)).toBe(server);
  });
});
