import { describe, expect, it } from 'vitest';
import type { Thread } from './api';
import { grouped, merged, titleOf } from './threads';

const thread = (id: string, updated_at: string, title = id): Thread => ({ id, title, model: 'auto', created_at: updated_at, updated_at, head_id: null });
const NOW = new Date(2026, 10, 23, 9, 30);
const local = (...parts: [number, number, number, number?]): string => new Date(...(parts as [number, number, number])).toISOString();

describe('grouped', () => {
  it('has headings by the reader’s days', () => {
    const threads = [thread('1', local(2026, 10, 23, 1)), thread('2', local(2026, 10, 22, 23)), thread('3', local(2026, 10, 18)), thread('4', local(2026, 10, 17)), thread('5', local(2026, 9, 30)), thread('6', local(2026, 8, 2)), thread('7', local(2026, 8, 1)), thread('8', local(2025, 8, 1))];
    expect(grouped(threads, NOW).map(({ label, threads: of }) => [label, of.map(({ id }) => id).join('')])).toEqual([
      ['Today', '1'], ['Yesterday', '2'], ['This week', '34'], ['Last 30 days', '5'], ['September', '67'], ['September 2025', '8'],
    ]);
  });
  it('is empty without threads', () => expect(grouped([], NOW)).toEqual([]));
});

describe('merged', () => {
  it('has each thread once, in its newest form, newest first', () => {
    const old = [thread('2', local(2026, 1, 2)), thread('1', local(2026, 1, 1))];
    const fresh = [thread('1', local(2026, 1, 3), 'renamed')];
    expect(merged(old, fresh).map(({ id, title }) => `${id} ${title}`)).toEqual(['1 renamed', '2 2']);
  });
});

describe('titleOf', () => {
  it('has a name for what has no title yet', () => {
    expect([titleOf(null), titleOf({ title: ' ' }), titleOf({ title: 'Dice' })]).toEqual(['New chat', 'New chat', 'Dice']);
  });
});
