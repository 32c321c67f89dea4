import { describe, expect, it } from 'vitest';
import type { Account, Status } from './entities';
import { appended, edited, marked, merged, newerFirst, revised, threaded, without, withoutAuthor } from './posts';

const account = (id: string): Account => ({ id, username: id, acct: id, display_name: '' }) as Account;
const post = (id: string, more: Partial<Status> = {}): Status =>
  ({ id, account: account('ann'), reblog: null, in_reply_to_id: null, favourites_count: 0, reblogs_count: 0, content: id, ...more }) as Status;
const ids = (list: readonly { id: string }[]): string[] => list.map((entry) => entry.id);

describe('newerFirst', () => {
  it('compares ids as numbers, beyond what a double holds', () => {
    expect(['9', '10', '115000000000000001', '115000000000000002'].map((id) => ({ id })).sort(newerFirst).map(({ id }) => id)).toEqual([
      '115000000000000002',
      '115000000000000001',
      '10',
      '9',
    ]);
  });
});

describe('merged', () => {
  it('puts arrivals where they belong, each once', () => {
    const list = [post('30'), post('10')];
    expect(ids(merged(list, [post('20'), post('40'), post('40'), post('30')]))).toEqual(['40', '30', '20', '10']);
  });
  it('is the same list when nothing is new', () => {
    const list = [post('30')];
    expect(merged(list, [post('30')])).toBe(list);
  });
});

describe('appended', () => {
  it('adds a page, also one that overlaps', () => {
    expect(ids(appended([post('30'), post('20')], [post('20'), post('10')]))).toEqual(['30', '20', '10']);
  });
  it('keeps an order that isn’t that of the ids', () => {
    expect(ids(appended([post('10')], [post('30'), post('20')]))).toEqual(['10', '30', '20']);
  });
});

describe('without', () => {
  const list = [post('40', { reblog: post('10') }), post('30'), post('10')];
  it('takes a post away with its reposts', () => {
    expect(ids(without(list, '10'))).toEqual(['30']);
    expect(ids(without(list, '40'))).toEqual(['30', '10']);
  });
  it('is the same list when the post isn’t in it', () => {
    expect(without(list, '99')).toBe(list);
  });
  it('takes away what somebody wrote or reposted', () => {
    const bob = account('bob');
    expect(ids(withoutAuthor([post('4', { account: bob }), post('3', { reblog: post('1', { account: bob }) }), post('2')], 'bob'))).toEqual(['2']);
  });
});

describe('revised', () => {
  it('changes a post wherever it is shown', () => {
    const list = revised([post('40', { reblog: post('10') }), post('30'), post('10')], '10', (one) => ({ ...one, content: 'new' }));
    expect([list[0]?.reblog?.content, list[1]?.content, list[2]?.content]).toEqual(['new', '30', 'new']);
  });
  it('is the same list when the post isn’t in it', () => {
    const list = [post('30')];
    expect(revised(list, '10', () => post('10'))).toBe(list);
  });
  it('keeps what the reader did when an edit is announced', () => {
    const [now] = revised([post('10', { favourited: true, bookmarked: true })], '10', edited(post('10', { content: 'new', favourited: false })));
    expect(now).toMatchObject({ content: 'new', favourited: true, reblogged: false, bookmarked: true });
  });
});

describe('marked', () => {
  it('counts a like once, and takes it back', () => {
    const liked = marked(post('1', { favourites_count: 4 }), 'favourite', true);
    expect(liked).toMatchObject({ favourited: true, favourites_count: 5 });
    expect(marked(liked, 'favourite', true)).toBe(liked);
    expect(marked(liked, 'favourite', false)).toMatchObject({ favourited: false, favourites_count: 4 });
  });
  it('counts no bookmarks', () => {
    expect(marked(post('1'), 'bookmark', true)).toMatchObject({ bookmarked: true, favourites_count: 0 });
  });
});

describe('threaded', () => {
  const reply = (id: string, to: string): Status => post(id, { in_reply_to_id: to });
  const shape = (replies: readonly Status[]): [string, number][] => threaded('1', replies).map((placed) => [placed.post.id, placed.depth]);
  it('puts each reply below what it answers, oldest first', () => {
    expect(shape([reply('2', '1'), reply('5', '1'), reply('4', '2'), reply('3', '2'), reply('6', '4')])).toEqual([
      ['2', 0],
      ['3', 1],
      ['4', 1],
      ['6', 2],
      ['5', 0],
    ]);
  });
  it('keeps answers to what is gone, and ends in a circle', () => {
    expect(shape([reply('3', '99'), reply('2', '1')])).toEqual([
      ['2', 0],
      ['3', 0],
    ]);
    expect(shape([reply('2', '3'), reply('3', '2')]).map(([id]) => id).sort()).toEqual(['2', '3']);
  });
  it('takes a long conversation', () => {
    const long = Array.from({ length: 20_000 }, (_, i) => reply(String(i + 2), String(i + 1)));
    expect(threaded('1', long).at(-1)).toMatchObject({ depth: 19_999 });
  });
});
