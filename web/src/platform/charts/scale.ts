/** The arithmetic of charts. Pure, so that it can be tested. */

/** Ticks from 0 to a round number at or above `max`, at most `most` steps; whole numbers only, because we count. */
export function ticks(max: number, most = 4): number[] {
  const rough = Math.max(max, 1) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, ([1, 2, 2.5, 5, 10].find((nice) => nice * power >= rough && (nice * power) % 1 === 0) ?? 10) * power);
  const steps = Math.max(1, Math.ceil(max / step));
  return Array.from({ length: steps + 1 }, (_, i) => i * step);
}

/** Places `value` of [from, to] on [start, end]; a domain without extent lands on the start. */
export function scale(value: number, [from, to]: readonly [number, number], [start, end]: readonly [number, number]): number {
  return to === from ? start : start + ((value - from) / (to - from)) * (end - start);
}

/** Indices to label so that labels of `width` don't touch; counted from the newest, which always has one. */
export function labelled(points: number, space: number, width: number): number[] {
  const every = Math.max(1, Math.ceil((points * width) / Math.max(space, 1)));
  const indices: number[] = [];
  for (let i = points - 1; i >= 0; i -= every) indices.unshift(i);
  return indices;
}

/** An SVG path through evenly spaced values in a box of `width` x `height`, zero at the bottom. */
export function linePath(values: readonly number[], width: number, height: number, top: number): string {
  return values
    .map((value, i) => {
      const x = values.length === 1 ? width : (i / (values.length - 1)) * width;
      return `${i ? 'L' : 'M'}${round(x)} ${round(scale(value, [0, top], [height, 0]))}`;
    })
    .join('');
}

/** The shade of a count among others, 0 (none) to `steps`: by square root, so that a giant leaves the small ones visible. */
export function shade(value: number, max: number, steps: number): number {
  if (value <= 0 || max <= 0) return 0;
  return Math.max(1, Math.min(steps, Math.ceil(Math.sqrt(value / max) * steps)));
}

const round = (value: number): number => Math.round(value * 100) / 100;
