import { describe, expect, it } from 'vitest';
import { bubbles, ticks } from './bubbles';
import { duration } from './expiring';
import type { Content } from './protocol';
import { UNSENT, type Kept } from './store';

const kept = (seq: number, account: string, content: Content | null, id = `m${seq}`): Kept => ({
  conversation: '1', seq, id, account, device: account, at: 1000 * seq, content, why: '', sealed: null,
});
const text = (seq: number, account: string, words: string): Kept => kept(seq, account, { kind: 'text', text: words });
const shown = (messages: Kept[], admins: string[] = []): ReturnType<typeof bubbles> => bubbles(messages, 'ann', new Set(admins));

describe('bubbles', () => {
  it('folds edits, reactions and deletions into what they are about', () => {
    const [one, two, three] = shown([
      text(1, 'ann', 'one'),
      text(2, 'bob', 'two'),
      text(3, 'bob', 'three'),
      kept(4, 'ann', { kind: 'edit', to: { account: 'ann', id: 'm1' }, text: 'won' }),
      kept(5, 'ann', { kind: 'reaction', to: { account: 'bob', id: 'm2' }, emoji: '👍' }),
      kept(6, 'bob', { kind: 'reaction', to: { account: 'bob', id: 'm2' }, emoji: '👍' }),
      kept(7, 'ann', { kind: 'reaction', to: { account: 'bob', id: 'm2' }, emoji: '' }),
      kept(8, 'bob', { kind: 'delete', to: { account: 'bob', id: 'm3' } }),
    ]);
    expect([one?.text, one?.edited]).toEqual(['won', true]);
    expect([...(two?.reactions ?? [])]).toEqual([['👍', ['bob']]]);
    expect([three?.deleted, three?.text]).toEqual([true, '']);
  });

  it('lets nobody change what others have said, but admins delete it', () => {
    const by = (kind: Content): Kept[] => [text(1, 'ann', 'one'), kept(2, 'bob', kind)];
    expect(shown(by({ kind: 'edit', to: { account: 'ann', id: 'm1' }, text: 'x' }))[0]?.text).toBe('one');
    expect(shown(by({ kind: 'delete', to: { account: 'ann', id: 'm1' } }))[0]?.deleted).toBe(false);
    expect(shown(by({ kind: 'delete', to: { account: 'ann', id: 'm1' } }), ['bob'])[0]?.deleted).toBe(true);
  });

  it('says what happened to the conversation, and why something can’t be opened', () => {
    const [named, short, forever, sealed] = shown([
      kept(1, 'ann', { kind: 'about', name: 'Garden' }),
      kept(2, 'ann', { kind: 'about', expires: 86_400 }),
      kept(3, 'ann', { kind: 'about', expires: 0 }),
      { ...kept(4, 'bob', null), why: 'no session opens it' },
    ]);
    expect(named?.notice).toBe('named this “Garden”');
    expect(short?.notice).toBe('made new messages disappear after 1 day');
    expect(forever?.notice).toBe('made new messages stay');
    expect(sealed?.sealed).toBe('no session opens it');
  });
});

it('counts a message as read once everybody has read it', () => {
  const at = (delivered: number, read: number): { delivered: number; read: number } => ({ delivered, read });
  expect(ticks({ seq: UNSENT, waiting: true }, [at(9, 9)])).toBe('waiting');
  expect(ticks({ seq: 5, waiting: false }, [at(4, 4), at(5, 5)])).toBe('sent');
  expect(ticks({ seq: 5, waiting: false }, [at(5, 0), at(5, 5)])).toBe('delivered');
  expect(ticks({ seq: 5, waiting: false }, [at(0, 5), at(5, 5)])).toBe('read');
});

it.each([
  [1, '1 second'],
  [3600, '1 hour'],
  [5400, '90 minutes'],
  [2_592_000, '30 days'],
])('%d seconds are %s', (seconds, words) => expect(duration(seconds)).toBe(words));
