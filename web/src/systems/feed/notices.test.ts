import { describe, expect, it } from 'vitest';
import type { Account, Notice, Status } from './entities';
import { grouped } from './notices';

const notice = (id: string, type: string, who: string, status?: string): Notice => ({
  id,
  type,
  created_at: '2026-11-22T12:00:00Z',
  account: { id: who } as Account,
  status: status ? ({ id: status } as Status) : null,
});

describe('grouped', () => {
  const shape = (notices: Notice[]): unknown[] => grouped(notices).map((group) => [group.key, group.type, group.accounts.map((account) => account.id)]);
  it('makes one line of likes of the same post in a row', () => {
    expect(shape([notice('4', 'favourite', 'c', 'p'), notice('3', 'favourite', 'b', 'p'), notice('2', 'favourite', 'a', 'q')])).toEqual([
      ['3', 'favourite', ['c', 'b']],
      ['2', 'favourite', ['a']],
    ]);
  });
  it('names everybody once', () => {
    expect(shape([notice('3', 'follow', 'a'), notice('2', 'follow', 'a')])).toEqual([['2', 'follow', ['a']]]);
  });
  it('leaves each mention for itself', () => {
    expect(grouped([notice('3', 'mention', 'a', 'p'), notice('2', 'mention', 'b', 'p')])).toHaveLength(2);
  });
});
