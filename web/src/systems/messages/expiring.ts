/** How long messages stay, in seconds: what can be chosen, and how it is said. */
export const CHOICES = [0, 3600, 86_400, 604_800, 2_592_000] as const;

const UNITS = [
  [86_400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
] as const;

/** "1 hour", "30 days" */
export function duration(seconds: number): string {
  const [size, unit] = UNITS.find(([size]) => seconds >= size && seconds % size === 0) ?? ([1, 'second'] as const);
  const count = seconds / size;
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}
