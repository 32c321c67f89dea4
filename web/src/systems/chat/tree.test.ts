import { describe, expect, it } from 'vitest';
import type { Message } from './api';
import { branchOf, byId, grown, leafOf, pathTo } from './tree';

function message(id: string, parent_id: string | null): Message {
  const role = id.startsWith('1') ? 'user' : 'assistant';
  return { id, thread_id: '1', parent_id, role, text: id, status: 'complete', model: null, tokens_in: 0, tokens_out: 0, error: null, flagged: false, attachments: [], created_at: '' };
}
const ids = (path: readonly Message[]): string[] => path.map(({ id }) => id);

//  1 - 2 - 3 - 4
//    \ 5 - 6 - 8
//        \ 7
const tree = grown(
  ([['4', '3'], ['1', null], ['3', '2'], ['2', '1'], ['5', '1'], ['7', '5'], ['6', '5'], ['8', '6']] as const).map(([id, parent]) => message(id, parent)),
);

describe('byId', () => {
  it('orders numbers that a double can’t tell apart', () => {
    const some = ['9007199254740993', '9007199254740992', '10', '9', '18446744073709551615'];
    expect(some.sort(byId)).toEqual(['9', '10', '9007199254740992', '9007199254740993', '18446744073709551615']);
  });
});

describe('pathTo', () => {
  it('leads from the root through the head to the newest leaf below it', () => {
    expect(ids(pathTo(tree, '8'))).toEqual(['1', '5', '6', '8']);
    expect(ids(pathTo(tree, '2'))).toEqual(['1', '2', '3', '4']);
    expect(ids(pathTo(tree, '7'))).toEqual(['1', '5', '7']);
  });
  it('takes the newest way where no head is known', () => {
    expect(ids(pathTo(tree, null))).toEqual(['1', '5', '7']);
    expect(ids(pathTo(tree, '99'))).toEqual(['1', '5', '7']);
  });
  it('is empty for an empty thread', () => {
    expect(pathTo(grown([]), null)).toEqual([]);
    expect(leafOf(grown([]), '')).toBe('');
  });
  it('survives lost parents and circles', () => {
    expect(ids(pathTo(grown([message('2', '1'), message('3', '2')]), '3'))).toEqual(['2', '3']);
    expect(ids(pathTo(grown([message('2', '3'), message('3', '2')]), '3'))).toEqual(['2', '3']);
    expect(ids(pathTo(grown([message('2', '2')]), '2'))).toEqual(['2']);
  });
  it('walks each tree: every message is on the path to itself, in the order of parents', () => {
    let seed = 7;
    const dice = (most: number): number => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 1) % most;
    for (let round = 0; round < 100; round += 1) {
      const all = Array.from({ length: 1 + dice(60) }, (_, i) => message(String(i + 1), i && dice(5) ? String(1 + dice(i)) : null));
      const one = grown(all);
      for (const { id } of all) {
        const path = pathTo(one, id);
        expect(ids(path)).toContain(id);
        path.forEach((at, i) => expect(at.parent_id).toBe(path[i - 1]?.id ?? null));
        expect(one.children.get(path.at(-1)?.id ?? '')).toBeUndefined();
      }
    }
  });
});

describe('branchOf', () => {
  const branch = (id: string) => branchOf(tree, tree.messages.get(id) ?? message('0', null));
  it('knows the place among siblings and the leaves on both sides', () => {
    expect(branch('2')).toEqual({ place: 1, count: 2, previous: null, next: '7' });
    expect(branch('5')).toEqual({ place: 2, count: 2, previous: '4', next: null });
    expect(branch('6')).toEqual({ place: 1, count: 2, previous: null, next: '7' });
    expect(branch('7')).toEqual({ place: 2, count: 2, previous: '8', next: null });
  });
  it('is nothing for an only child', () => {
    expect([branch('1'), branch('3'), branch('8')]).toEqual([null, null, null]);
  });
  it('has branches of the first question too', () => {
    const two = grown([message('1', null), message('2', '1'), message('3', null)]);
    expect(branchOf(two, message('1', null))).toEqual({ place: 1, count: 2, previous: null, next: '3' });
  });
});
