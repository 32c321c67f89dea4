import { describe, expect, it } from 'vitest';
import { decodeBlurhash } from './blurhash';

const pixel = (pixels: Uint8ClampedArray | null, i: number): number[] => [...(pixels ?? []).slice(4 * i, 4 * i + 4)];

describe('decodeBlurhash', () => {
  it('is one colour for one component', () => {
    const value = 0xff8000; // the colour, in four digits of base 83
    const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~';
    const coded = [3, 2, 1, 0].map((power) => digits.charAt(Math.floor(value / 83 ** power) % 83)).join('');
    const pixels = decodeBlurhash(`00${coded}`, 2, 2);
    expect([pixel(pixels, 0), pixel(pixels, 3)]).toEqual([
      [255, 128, 0, 255],
      [255, 128, 0, 255],
    ]);
  });
  it('changes across and down with more', () => {
    const pixels = decodeBlurhash('LEHV6nWB2yk8pyo0adR*.7kCMdnj', 8, 8);
    expect(pixels).toHaveLength(256);
    expect(new Set(Array.from({ length: 64 }, (_, i) => pixel(pixels, i).join())).size).toBeGreaterThan(32);
  });
  it('refuses what isn’t one', () => {
    for (const bad of ['', 'LEHV6n', 'LEHV6nWB2yk8pyo0adR*.7kCMdn', '"EHV6nWB2yk8pyo0adR*.7kCMdnj'])
      expect(decodeBlurhash(bad, 4, 4)).toBeNull();
  });
});
