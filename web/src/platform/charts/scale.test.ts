import { describe, expect, it } from 'vitest';
import { labelled, linePath, scale, shade, ticks } from './scale';

describe('ticks', () => {
  it('begin at zero, are whole, evenly spaced, few, and reach the largest value', () => {
    for (const max of [0, 1, 2, 3, 4, 5, 7, 9, 10, 11, 24, 25, 26, 99, 101, 130, 999, 1001, 12_345, 9_999_999]) {
      const marks = ticks(max);
      const step = (marks[1] ?? 0) - (marks[0] ?? 0);
      expect(marks[0]).toBe(0);
      expect(marks.length).toBeLessThanOrEqual(5);
      expect(marks.every((mark, i) => Number.isInteger(mark) && mark === i * step)).toBe(true);
      expect(marks.at(-1)).toBeGreaterThanOrEqual(Math.max(1, max));
    }
  });
  it('are round', () => {
    expect(ticks(130)).toEqual([0, 50, 100, 150]);
    expect(ticks(3)).toEqual([0, 1, 2, 3]);
    expect(ticks(0)).toEqual([0, 1]);
  });
});

describe('scale', () => {
  it('places values, and doesn’t divide by nothing', () => {
    expect(scale(5, [0, 10], [100, 0])).toBe(50);
    expect(scale(5, [5, 5], [7, 9])).toBe(7);
  });
});

describe('labelled', () => {
  it('always labels the newest, and no two too close', () => {
    for (const [points, space] of [[24, 300], [7, 900], [90, 320], [1, 10]] as const) {
      const indices = labelled(points, space, 60);
      const gaps = indices.slice(1).map((index, i) => ((index - (indices[i] ?? 0)) * space) / points);
      expect(indices.at(-1)).toBe(points - 1);
      expect(gaps.every((gap) => gap >= 60)).toBe(true);
    }
    expect(labelled(0, 100, 60)).toEqual([]);
  });
});

describe('linePath', () => {
  it('spans the box from the lower left', () => {
    expect(linePath([0, 5, 10], 100, 20, 10)).toBe('M0 20L50 10L100 0');
    expect(linePath([], 100, 20, 1)).toBe('');
  });
});

describe('shade', () => {
  it('shows the smallest count and keeps the largest on top', () => {
    expect([0, 1, 250, 1000].map((value) => shade(value, 1000, 5))).toEqual([0, 1, 3, 5]);
    expect(shade(0, 0, 5)).toBe(0);
  });
});
