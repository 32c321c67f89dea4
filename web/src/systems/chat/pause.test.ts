import { describe, expect, it } from 'vitest';
import { ApiError } from '../../platform/api';
import { countdown, pauseOf } from './pause';

const error = (status: number, title: string): ApiError => new ApiError({ status, title, code: 'x' });

describe('pauseOf', () => {
  it('reads the seconds of a refusal', () => {
    expect(pauseOf(error(429, 'That was too much at once. Try again in 42 seconds.'))).toBe(42);
    expect(pauseOf(error(503, 'Busy. Try again in 1 second.'))).toBe(1);
    expect(pauseOf(error(429, 'Try again in 99999 seconds.'))).toBe(3600);
  });
  it('has a usual pause, and none for other errors', () => {
    expect([pauseOf(error(429, 'Too much.')), pauseOf(error(503, 'Down.')), pauseOf(error(500, 'Try again in 5 seconds.'))]).toEqual([10, null, null]);
  });
});

describe('countdown', () => {
  it('is short', () => expect([countdown(9), countdown(59), countdown(60), countdown(125)]).toEqual(['9 s', '59 s', '1:00', '2:05']));
});
