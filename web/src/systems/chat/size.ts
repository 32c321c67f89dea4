/** Sizes and prices as people read them. Pure. */

/** 512 -> `512 B`, 1536 -> `1.5 kB` */
export function bytes(size: number): string {
  if (size < 1000) return `${size} B`;
  const [unit, by] = size < 999_500 ? ['kB', 1e3] : ['MB', 1e6];
  const value = size / by;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

/** US dollars; small sums keep two digits that count. */
export function dollars(cost: number): string {
  if (cost === 0) return '$0';
  if (cost >= 1) return `$${cost.toFixed(2)}`;
  const digits = Math.min(8, Math.max(2, 1 - Math.floor(Math.log10(cost))));
  return cost < 1e-7 ? '< $0.0000001' : `$${cost.toFixed(digits)}`;
}
