/** What the values of the statistics are called. */
import { country } from '../../platform/format';
import type { Bar } from '../../platform/charts/Bars.svelte';
import type { Click, Share } from './api';

type Kind = 'country' | 'referrer' | 'device' | 'browser' | 'system';

const EMPTY: Record<Kind, string> = {
  country: 'Unknown',
  referrer: 'Direct, mail or an app',
  device: 'Unknown',
  browser: 'Unknown',
  system: 'Unknown',
};

export function nameOf(kind: Kind, value: string): string {
  if (value === '') return EMPTY[kind];
  if (value === '~') return 'All others';
  if (kind === 'country') return country(value);
  return kind === 'device' ? value.charAt(0).toUpperCase() + value.slice(1) : value;
}

export const barsOf = (kind: Kind, shares: readonly Share[]): Bar[] =>
  shares.map(({ value, clicks }) => ({
    key: value || '-',
    label: nameOf(kind, value),
    count: clicks,
    ...(kind === 'country' && { chip: /^[A-Z]{2}$/.test(value) ? value : '··' }),
  }));

/** What it was opened with: `Firefox on Linux`. */
export function agentOf(click: Click): string {
  if (click.bot) return click.browser || 'Bot';
  const browser = nameOf('browser', click.browser);
  return click.system ? `${browser} on ${click.system}` : browser;
}
