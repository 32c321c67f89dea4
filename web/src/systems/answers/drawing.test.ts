import { describe, expect, it } from 'vitest';
import { amount, chance, daysOf, milliseconds, points, quantile, stagesOf, topOf, trend, verdict } from './drawing';

it('says times, shares and numbers', () => {
  expect([2.34, 80.2, 1400].map(milliseconds)).toEqual(['2.3 ms', '80 ms', '1.4 s']);
  expect([amount('acceptance', 0.724, ''), amount('error_rate', 0.013, ''), amount('mrr', 0.8333, ''), amount('latency_p95', 2500, 'ms')]).toEqual(['72 %', '1.3 %', '0.833', '2.5 s']);
  expect([points(0.032), points(-0.01), chance(0.00001), chance(0.04)]).toEqual(['+3.2', '−1.0', 'p < 0.001', 'p = 0.040']);
});

it('has what is measured and what is wanted on one gauge', () => {
  expect(topOf('acceptance', 0.2, 0.7, false)).toBe(1);
  expect(topOf('error_rate', 0, 0.01, true)).toBe(0.02);
  expect(topOf('no_answer_rate', 0.9, 0.1, true)).toBe(1);
  expect(topOf('latency_p95', 4000, 3000, true)).toBe(5000);
  expect(topOf('questions_per_user', 0, 0, false)).toBe(1);
});

describe('trend', () => {
  it('is broken where a day has nothing', () => expect(trend([0, 1, null, 1, 0], 100, 10, 1)).toBe('M0 10L25 0M75 0L100 10'));
  it('draws a day alone as a dot', () => expect(trend([null, 1, null], 100, 10, 1)).toBe('M50 0h0'));
  it('takes a single day, and none', () => expect([trend([1], 100, 10, 2), trend([], 100, 10, 1)]).toEqual(['M0 5h0', '']));
});

it('has every day, also those without a question', () => {
  const found = daysOf([{ name: '2025-02-28', n: 1 }], 3, new Date('2025-03-01T23:00:00Z'));
  expect(found.map(({ day, found: each }) => [day, each?.n])).toEqual([['2025-02-27', undefined], ['2025-02-28', 1], ['2025-03-01', undefined]]);
});

it('takes stages of answers that were made', () => {
  expect([quantile([4, 1, 3, 2], 0.5), quantile([4, 1, 3, 2], 0.95), quantile([], 0.5)]).toEqual([2, 4, 0]);
  const answers = [
    { took: { retrieval: 10, query: 12 }, cached: false, done: true },
    { took: { retrieval: 30, query: 40 }, cached: false, done: true },
    { took: { query: 1 }, cached: true, done: true },
  ];
  expect(stagesOf(answers).map(({ name, p50, p95 }) => [name, p50, p95])).toEqual([['retrieval', 10, 30], ['query', 12, 40]]);
});

it('believes a difference only under the bound', () => {
  expect(verdict({ difference: 0.1, p_value: 0.04 }, 0.01)).toBe('open');
  expect(verdict({ difference: 0.1, p_value: 0.001 }, 0.01)).toBe('better');
  expect(verdict({ difference: -0.1, p_value: 0.001 }, 0.01)).toBe('worse');
  expect(verdict(null, 0.01)).toBe('open');
});
