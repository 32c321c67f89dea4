/** Which models can be asked, and when the others can. Pure. */
import type { Model, Tier } from './api';

export const CHOICES: Readonly<Record<Model, { label: string; hint: string }>> = {
  auto: { label: 'Auto', hint: 'Decides for each question' },
  fast: { label: 'Fast', hint: 'Answers at once, for everyday questions' },
  smart: { label: 'Smart', hint: 'Thinks harder, takes longer' },
};

/** The tiers that a choice can lead to. */
const tiersOf = (model: Model, tiers: readonly Tier[]): Tier[] => tiers.filter(({ name }) => (model === 'auto' ? name === 'fast' || name === 'smart' : name === model));

/** What a choice waits for: the tier that will be there first, or null when it can be asked now, or nobody knows. */
export function awaited(model: Model, tiers: readonly Tier[]): Tier | null {
  const possible = tiersOf(model, tiers);
  if (possible.some(({ state }) => state === 'ready')) return null;
  const order = ['starting', 'pulling', 'down', 'ready'];
  return possible.sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || left(a) - left(b))[0] ?? null;
}

const left = ({ size, done }: Tier): number => Math.max(0, size - done);

/** `212 of 491 MB`: both in the unit of the larger one. */
export function progressOf({ done, size }: Pick<Tier, 'done' | 'size'>): string {
  const [unit, by] = size >= 1e9 ? ['GB', 1e9] : ['MB', 1e6];
  const shown = (bytes: number): string => (unit === 'GB' ? (bytes / by).toFixed(2) : String(Math.round(bytes / by)));
  return `${shown(Math.min(done, size))} of ${shown(size)} ${unit}`;
}

export interface Sample {
  /** Milliseconds. */
  at: number;
  done: number;
}

/** Seconds until all is here at the pace of the samples, or null while nobody can say. */
export function secondsLeft({ done, size }: Pick<Tier, 'done' | 'size'>, samples: readonly Sample[]): number | null {
  const first = samples[0];
  const last = samples.at(-1);
  if (!first || !last || last.at - first.at < 1000 || last.done <= first.done) return null;
  return Math.ceil(Math.max(0, size - done) / ((last.done - first.done) / ((last.at - first.at) / 1000)));
}

/** `about 40 seconds`, `about 3 minutes` */
export function span(seconds: number): string {
  if (seconds < 8) return 'a few seconds';
  if (seconds < 55) return `about ${Math.ceil(seconds / 5) * 5} seconds`;
  const minutes = Math.ceil(seconds / 60);
  return minutes === 1 ? 'about a minute' : `about ${minutes} minutes`;
}

/** Why a choice can't be asked yet, and from when it can. */
export function waitingFor(tier: Tier, seconds: number | null): string {
  if (tier.state === 'starting') return `${tier.title} is starting. You can ask in a few seconds.`;
  if (tier.state === 'down') return `${tier.title} doesn’t run at the moment. Choose another model, or try again later.`;
  return seconds === null ? 'You can ask as soon as it is here.' : `You can ask in ${span(seconds)}.`;
}
