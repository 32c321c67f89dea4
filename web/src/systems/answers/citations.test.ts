import { describe, expect, it } from 'vitest';
import type { Block } from './api';
import { blocksWith, bytes, cells, runs } from './citations';

const sentence = (begins: number, ends: number, citations: number[] = [], supported = true) => ({ begins, ends, citations, supported });

describe('runs', () => {
  it('is the text again, whatever is cited', () => {
    const text = '🦉 owls hunt. They weigh 450 g.';
    const found = runs(text, [sentence(0, 12, [1]), sentence(13, 31, [2], false)]);
    expect(found.map((run) => run.text).join('')).toBe(text);
    expect(found.map((run) => [run.text, run.citations, run.supported])).toEqual([
      ['🦉 owls hunt.', [1], true],
      [' ', [], true],
      ['They weigh 450 g.', [2], false],
    ]);
  });
  it('takes a text without sentences', () => expect(runs('I don’t know.', [])).toEqual([{ text: 'I don’t know.', citations: [], supported: true }]));
});

describe('blocksWith', () => {
  const block = (start: number, end: number): Block => ({ kind: 'paragraph', start, end, level: 0, page: null });
  it('sets the passage apart, over several blocks', () => {
    const shown = blocksWith('one two\n\nthree four', [block(0, 7), block(9, 19)], 4, 14);
    expect(shown.map(({ parts }) => parts)).toEqual([
      ['one ', 'two', ''],
      ['', 'three', ' four'],
    ]);
  });
  it('leaves other blocks whole', () => expect(blocksWith('one two', [block(0, 7)], 100, 120)[0]?.parts).toEqual(['one two', '', '']));
});

it('reads rows of tables', () => expect(cells('| a | b\\|c |\n| 1 | 2 |')).toEqual([['a', 'b|c'], ['1', '2']]));

it('says sizes', () => expect([12, 1400, 12_300_000, 2e9].map(bytes)).toEqual(['12 B', '1.4 KB', '12 MB', '2.0 GB']));
