import { describe, expect, it } from 'vitest';
import { heard, joined, lengthOf, type Heard } from './pieces';

const TEXT = 'Grüße 👋🏽 from 東京: naïve café, 🇫🇮 and “quotes” 𝒙.';

describe('lengthOf', () => {
  it('counts code points, also of broken pairs', () => {
    for (const text of ['', 'abc', TEXT, '👋', '\ud83d', '\udc4b\ud83d', 'a\ud83db']) expect(lengthOf(text)).toBe([...text].length);
  });
});

describe('joined', () => {
  it('appends what follows', () => {
    expect(joined(heard('Hello'), 5, ' you')).toEqual(heard('Hello you'));
  });
  it('leaves out what is known already', () => {
    expect(joined(heard('Hello 👋'), 6, '👋 you')).toEqual(heard('Hello 👋 you'));
    expect(joined(heard('Hello'), 0, 'Hell')).toEqual(heard('Hello'));
  });
  it('notices a gap', () => {
    expect(joined(heard('Hello'), 6, 'you')).toBeNull();
  });
  it('has each character once, however often the connection drops', () => {
    const points = [...TEXT];
    for (let from = 0; from <= points.length; from += 1) {
      // Cut after `cut` characters, then told again from `from` on, in pieces of three.
      for (const cut of [0, 1, 7, 11, points.length]) {
        if (from > cut) continue;
        let known: Heard | null = joined(heard(''), 0, points.slice(0, cut).join(''));
        for (let at = from; at < points.length; at += 3) known = known && joined(known, at, points.slice(at, at + 3).join(''));
        expect(known?.text).toBe(TEXT);
      }
    }
  });
});
