import { describe, expect, it } from 'vitest';
import { bytes, dollars } from './size';

describe('bytes', () => {
  it.each([[0, '0 B'], [999, '999 B'], [1536, '1.5 kB'], [84_000, '84 kB'], [999_499, '999 kB'], [999_500, '1.0 MB'], [10_000_000, '10 MB']])('%d is %s', (size, text) => expect(bytes(size)).toBe(text));
});

describe('dollars', () => {
  it.each([[0, '$0'], [12.345, '$12.35'], [0.5, '$0.50'], [0.0123, '$0.012'], [0.000456, '$0.00046'], [1e-9, '< $0.0000001']])('%d is %s', (cost, text) => expect(dollars(cost)).toBe(text));
});
