import { describe, expect, it } from 'vitest';
import type { Doc } from './api';
import { fitting, merged, newer, put, tagsIn } from './listing';

const doc = (id: string, second = 0, more: Partial<Doc> = {}): Doc => ({
  id, name: id, title: id, kind: 'text', source: id, size: 1, pages: 0, chunks: 0, version: 1, state: 'ready', progress: null, reason: '', tags: [],
  created_at: '2025-01-01T00:00:00Z', updated_at: `2025-01-01T00:00:0${second}Z`, ...more,
});
const ids = (list: readonly Doc[]): string[] => list.map(({ id }) => id);

it('takes the later of two states, and of the same moment what was heard last', () => {
  const [old, now, too] = [doc('1', 1), doc('1', 2), doc('1', 2)];
  expect(newer(old, now)).toBe(now);
  expect(newer(now, old)).toBe(now);
  expect(newer(now, too)).toBe(too);
  expect(newer(now, undefined)).toBe(now);
});

describe('merged', () => {
  it('has what was heard while the page was on its way', () => {
    const heard = new Map([['9', doc('9')], ['5', doc('5', 3)], ['4', null]]);
    const found = merged([doc('5', 1), doc('4')], heard, 'newer');
    expect(ids(found)).toEqual(['9', '5']);
    expect(found[1]?.updated_at).toContain('03Z');
  });
  it('isn’t set back by what is older than the page', () => expect(merged([doc('5', 3)], new Map([['5', doc('5', 1)]]), 'newer')[0]?.updated_at).toContain('03Z'));
  it('leaves older documents to their own page', () => {
    expect(ids(merged([doc('9'), doc('8')], new Map([['3', doc('3')]]), 'newer'))).toEqual(['9', '8']);
    expect(ids(merged([doc('9'), doc('8')], new Map([['10', doc('10')]]), 'none'))).toEqual(['9', '8']);
    expect(ids(merged([], new Map([['3', doc('3')]]), 'all'))).toEqual(['3']);
  });
});

it('puts the newest first, by number and not by letter', () => {
  expect(ids(put([doc('10'), doc('9')], doc('11')))).toEqual(['11', '10', '9']);
  expect(ids(put([doc('100'), doc('9')], doc('10')))).toEqual(['100', '10', '9']);
  expect(put([doc('9', 3)], doc('9', 1))[0]?.updated_at).toContain('03Z');
});

it('finds by state and by all tags', () => {
  const list = [doc('3', 0, { tags: ['a', 'b'] }), doc('2', 0, { tags: ['a'], state: 'failed' }), doc('1')];
  expect(ids(fitting(list, '', ['a']))).toEqual(['3', '2']);
  expect(ids(fitting(list, '', ['a', 'b']))).toEqual(['3']);
  expect(ids(fitting(list, 'failed', []))).toEqual(['2']);
  expect(tagsIn(list)).toEqual(['a', 'b']);
});
