/** Adds up what was used, by day and by model. Pure. */
import type { UsageDay } from './api';

export type Measure = 'tokens' | 'requests';

export interface Sum {
  model: string;
  requests: number;
  tokens_in: number;
  tokens_out: number;
  cost: number;
}

const DAY = 86_400_000;
const empty = (model: string): Sum => ({ model, requests: 0, tokens_in: 0, tokens_out: 0, cost: 0 });

function add(sum: Sum, { requests, tokens_in, tokens_out, cost }: Omit<Sum, 'model'>): void {
  sum.requests += requests;
  sum.tokens_in += tokens_in;
  sum.tokens_out += tokens_out;
  sum.cost += cost;
}

export const amount = (sum: Omit<Sum, 'model'>, measure: Measure): number => (measure === 'tokens' ? sum.tokens_in + sum.tokens_out : sum.requests);

/** What each model came to, the most used first. */
export function byModel(days: readonly UsageDay[]): Sum[] {
  const sums = new Map<string, Sum>();
  for (const day of days) {
    const sum = sums.get(day.model) ?? empty(day.model);
    add(sum, day);
    sums.set(day.model, sum);
  }
  return [...sums.values()].sort((a, b) => amount(b, 'tokens') - amount(a, 'tokens') || (a.model < b.model ? -1 : 1));
}

export function total(sums: readonly Sum[]): Sum {
  const all = empty('');
  for (const sum of sums) add(all, sum);
  return all;
}

/** The last `length` days of UTC, oldest first, as `2026-11-23`. */
export function lastDays(length: number, now = new Date()): string[] {
  return Array.from({ length }, (_, i) => new Date(now.getTime() - (length - 1 - i) * DAY).toISOString().slice(0, 10));
}

/** A row of values a model over `at`; beyond the first, models share a row, because two looks are what a chart has. */
export function rows(days: readonly UsageDay[], at: readonly string[], measure: Measure, nameOf: (model: string) => string): { name: string; values: number[] }[] {
  const models = byModel(days).map(({ model }) => model);
  const parts: [string, string[]][] = models.length > 2 ? [[nameOf(models[0] ?? ''), models.slice(0, 1)], ['Other models', models.slice(1)]] : models.map((model) => [nameOf(model), [model]]);
  return parts.map(([name, of]) => ({
    name,
    values: at.map((day) => days.filter((one) => one.day.slice(0, 10) === day && of.includes(one.model)).reduce((sum, one) => sum + amount(one, measure), 0)),
  }));
}
