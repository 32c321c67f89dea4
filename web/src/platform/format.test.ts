import { describe, expect, it } from 'vitest';
import { ago, bareUrl, bucket, bucketLong, compact, count, country, plural, share, toLocalInput, withScheme } from './format';

describe('numbers', () => {
  it('are grouped, and shortened from ten thousand on', () => {
    expect(count(1234567)).toBe('1,234,567');
    expect([0, 999, 9999, 12_345, 1_004_220, 0.9137].map(compact)).toEqual(['0', '999', '9,999', '12.3K', '1M', '0.914']);
  });
  it('are shares of something or nothing', () => {
    expect([share(1, 3), share(0, 0)]).toEqual(['33%', '0%']);
  });
  it('agree with their noun', () => {
    expect([plural(1, 'click'), plural(2, 'click'), plural(3, 'country', 'countries')]).toEqual(['1 click', '2 clicks', '3 countries']);
  });
});

describe('times', () => {
  const now = new Date('2026-11-22T12:00:00Z');
  const at = (seconds: number): string => ago(new Date(now.getTime() + seconds * 1000), now);
  it('are told from now', () => {
    expect([at(-3), at(-45), at(-90), at(-7200), at(-86_400), at(2 * 86_400), at(-400 * 86_400)]).toEqual([
      'just now',
      '45 seconds ago',
      '1 minute ago',
      '2 hours ago',
      'yesterday',
      'in 2 days',
      'last year',
    ]);
  });
  it('name a day of UTC as that day, wherever the reader is', () => {
    expect(bucket('2026-11-22T00:00:00Z', 'day')).toBe('Nov 22');
    expect(bucketLong('2026-11-22T00:00:00Z', 'day')).toBe('Sun, Nov 22');
  });
  it('name midnight 00:00', () => {
    const midnight = new Date(2026, 10, 22).toISOString();
    expect(bucket(midnight, 'hour')).toBe('00:00');
  });
  it('fill a field on the reader’s clock', () => {
    expect(toLocalInput(new Date(2026, 0, 5, 9, 7))).toBe('2026-01-05T09:07');
  });
});

describe('names', () => {
  it('of countries', () => {
    expect([country('DE'), country(''), country('xx'), country('ZZZ')]).toEqual(['Germany', 'Unknown', 'Unknown', 'Unknown']);
  });
  it('of addresses', () => {
    expect([bareUrl('https://a.example/'), bareUrl('http://a.example/b/')]).toEqual(['a.example', 'a.example/b']);
    expect(['example.org/x ', 'http://a.example', 'HTTPS://a.example', '', 'mailto:a@b'].map(withScheme)).toEqual([
      'https://example.org/x',
      'http://a.example',
      'HTTPS://a.example',
      '',
      'https://mailto:a@b',
    ]);
  });
});
