import { describe, expect, it } from 'vitest';
import { lengthOf, nameOf, since } from './text';

const length = (text: string): number => lengthOf(text, 23);

describe('lengthOf', () => {
  it('counts what people see as one character as one', () => {
    expect([length('abc'), length('é'), length('👨‍👩‍👧‍👦'), length('🇩🇪🇫🇷'), length('한국어'), length('a\r\nb')]).toEqual([3, 1, 1, 2, 3, 3]);
  });
  it('counts an address the same, however long it is', () => {
    expect(length('https://a.example')).toBe(23);
    expect(length(`see https://a.example/${'x'.repeat(300)}?q=1#top now`)).toBe(4 + 23 + 4);
    expect(length('http://localhost/a and http://127.0.0.1:8080/b')).toBe(23 + 5 + 23);
  });
  it('leaves the punctuation of the sentence to the sentence', () => {
    expect(length('(https://a.example/b).')).toBe(1 + 23 + 2);
    expect(length('https://a.example/b_(c)')).toBe(23);
    expect(length('https://a.example!')).toBe(24);
  });
  it('takes for an address only what can be one', () => {
    expect(length('https://')).toBe(8);
    expect(length('https://me@a.example')).toBe(20);
    expect(length('a@https://b.example')).toBe(19);
  });
  it('doesn’t count the server of a mention', () => {
    expect(length('@ann@social.example hi')).toBe(7);
    expect(length('ann@social.example')).toBe(18);
  });
  it('doesn’t count white space around the text, which isn’t kept', () => {
    expect(length('  a  ')).toBe(1);
  });
});

describe('since', () => {
  const now = Date.parse('2026-11-22T12:00:00Z');
  const at = (seconds: number): string => since(new Date(now - seconds * 1000).toISOString(), now);
  it('is short for what is new, and a date for what is old', () => {
    expect([at(-5), at(59), at(60), at(3 * 3600 + 59), at(6 * 86_400), at(8 * 86_400)]).toEqual(['now', 'now', '1m', '3h', '6d', 'Nov 14, 2026']);
  });
});

describe('nameOf', () => {
  it('is the username for who gave no other', () => {
    expect([nameOf({ display_name: 'Ann B', username: 'ann' }), nameOf({ display_name: '', username: 'ann' })]).toEqual(['Ann B', 'ann']);
  });
});
