import { describe, expect, it } from 'vitest';
import { byModel, lastDays, rows, total } from './usage';

const day = (date: string, model: string, tokens: number) => ({ day: date, model, requests: 1, tokens_in: tokens, tokens_out: tokens, cost: tokens / 1000 });
const DAYS = [day('2026-11-22', 'fast', 10), day('2026-11-23', 'fast', 20), day('2026-11-23', 'smart', 100), day('2026-11-23T00:00:00Z', 'code', 1)];

describe('byModel', () => {
  it('adds up days, the most used model first', () => {
    expect(byModel(DAYS).map(({ model, requests, tokens_in }) => [model, requests, tokens_in])).toEqual([['smart', 1, 100], ['fast', 2, 30], ['code', 1, 1]]);
    expect(total(byModel(DAYS))).toMatchObject({ requests: 4, tokens_in: 131, tokens_out: 131 });
    expect(total([])).toMatchObject({ requests: 0, cost: 0 });
  });
});

describe('rows', () => {
  const at = lastDays(3, new Date('2026-11-23T10:00:00Z'));
  it('has a value for each day', () => {
    expect(at).toEqual(['2026-11-21', '2026-11-22', '2026-11-23']);
    expect(rows(DAYS.slice(0, 3), at, 'tokens', (model) => model)).toEqual([{ name: 'smart', values: [0, 0, 200] }, { name: 'fast', values: [0, 20, 40] }]);
  });
  it('puts the rest together', () => {
    expect(rows(DAYS, at, 'requests', (model) => model)).toEqual([{ name: 'smart', values: [0, 0, 1] }, { name: 'Other models', values: [0, 1, 2] }]);
  });
});
