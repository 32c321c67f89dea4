/** The arithmetic of the pictures of quality. Pure. */
import { compact } from '../../platform/format';
import type { Answer } from './api';

const SECOND = 1000;

/** `8 ms`, `1.4 s` */
export const milliseconds = (value: number): string =>
  value < 0.05 ? '0 ms' : value < 10 ? `${value.toFixed(1)} ms` : value < SECOND ? `${Math.round(value)} ms` : `${(value / SECOND).toFixed(1)} s`;

const SHARES = /rate$|click_through|acceptance|success|faithfulness/;

/** A figure in its unit: `72 %`, `1.4 s`, `0.83` */
export const amount = (name: string, value: number, unit: string): string =>
  SHARES.test(name) ? `${Number((100 * value).toFixed(Math.abs(value) < 0.1 ? 1 : 0))} %` : unit === 'ms' ? milliseconds(value) : `${compact(value)} ${unit}`.trim();

/** Whether a figure can't be above 1. */
export const bounded = (name: string): boolean => SHARES.test(name) || name === 'mrr';

/** The end of a gauge: what it shows and what is wanted are both on it, with a little air. */
export function topOf(name: string, value: number, wanted: number, below: boolean): number {
  // Where little is wanted, 0 to 1 would squeeze all of it into a corner.
  if (bounded(name) && !below) return 1;
  const top = Math.max(value, wanted) * 1.25 || 1;
  return bounded(name) ? Math.min(1, Math.max(top, wanted * 2)) : top;
}

/** The stages of an answer in their order; inside of `retrieval` are its searches, which run side by side. */
export const STAGES: readonly { name: string; label: string; within: boolean }[] = [
  { name: 'rewriting', label: 'Rewriting the question', within: false },
  { name: 'retrieval', label: 'Finding passages', within: false },
  { name: 'embedding', label: 'its meaning', within: true },
  { name: 'dense', label: 'by meaning', within: true },
  { name: 'bm25', label: 'by words', within: true },
  { name: 'reranking', label: 'ranking again', within: true },
  { name: 'generation', label: 'Writing the answer', within: false },
  { name: 'answer', label: 'Writing the answer', within: false },
  { name: 'query', label: 'All together', within: false },
  { name: 'all', label: 'All together', within: false },
];

export interface Stage {
  name: string;
  label: string;
  within: boolean;
  p50: number;
  p95: number;
}

/** The value below which a share of them lies; of a few the next one above. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? 0;
}

/** Of answers that were made rather than remembered: how long each stage took. */
export function stagesOf(answers: readonly Pick<Answer, 'took' | 'cached' | 'done'>[]): Stage[] {
  const made = answers.filter(({ cached, done }) => done && !cached);
  return STAGES.flatMap((stage) => {
    const values = made.flatMap(({ took }) => took[stage.name] ?? []);
    return values.length ? [{ ...stage, p50: quantile(values, 0.5), p95: quantile(values, 0.95) }] : [];
  });
}

/** The same of what an evaluation has measured. */
export const stagesIn = (took: Readonly<Record<string, readonly [number, number]>>): Stage[] =>
  STAGES.flatMap((stage) => {
    const found = took[stage.name];
    return found ? [{ ...stage, p50: found[0], p95: found[1] }] : [];
  });

/** Lines through values by day, broken where a day has none; a day alone is a dot, drawn as a line of no length. */
export function trend(values: readonly (number | null)[], width: number, height: number, top: number): string {
  const step = values.length > 1 ? width / (values.length - 1) : 0;
  let path = '';
  values.forEach((value, i) => {
    if (value === null) return;
    const at = `${round(i * step)} ${round(height - (Math.min(value, top) / (top || 1)) * height)}`;
    const before = i > 0 ? values[i - 1] : null;
    const after = values[i + 1] ?? null;
    path += before === null || before === undefined ? `M${at}` : `L${at}`;
    if ((before === null || before === undefined) && after === null) path += 'h0';
  });
  return path;
}

const round = (value: number): number => Math.round(value * 100) / 100;

/** Figures by day with the days between them on which nothing was asked. */
export function daysOf<T extends { name: string }>(days: readonly T[], count: number, now: Date): { day: string; found: T | null }[] {
  const there = new Map(days.map((each) => [each.name, each]));
  const midnight = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate());
  return Array.from({ length: count }, (_, i) => {
    const day = new Date(midnight - (count - 1 - i) * 86_400_000).toISOString().slice(0, 10);
    return { day, found: there.get(day) ?? null };
  });
}

/** What may be said of a difference: it counts when its chance is under the bound. */
export function verdict(difference: { difference: number; p_value: number } | null, bound: number): 'better' | 'worse' | 'open' {
  if (!difference || difference.p_value >= bound) return 'open';
  return difference.difference > 0 ? 'better' : 'worse';
}

export const chance = (value: number): string => (value < 0.001 ? 'p < 0.001' : `p = ${value.toFixed(3)}`);

/** `+3.2 points` of a share. */
export const points = (value: number): string => `${value < 0 ? '−' : '+'}${Math.abs(100 * value).toFixed(1)}`;
