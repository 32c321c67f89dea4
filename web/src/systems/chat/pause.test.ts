import { describe, expect, it } from 'vitest';
import { ApiError } from '../../platform/api';
import { countdown, pauseOf } from './pause';

const error = (status: number, code: string, retryAfter: number | null = null): ApiError => new ApiError({ status, title: 'No', code }, retryAfter);

describe('pauseOf', () => {
  it('is what the server says, within bounds', () => {
    expect(pauseOf(error(429, 'too_many_requests', 42))).toBe(42);
    expect(pauseOf(error(503, 'inference_busy', 0))).toBe(1);
    expect(pauseOf(error(429, 'too_many_requests', 99999))).toBe(3600);
  });
  it('has a usual pause, and none where waiting doesn’t help', () => {
    expect([pauseOf(error(429, 'too_many_answers')), pauseOf(error(429, 'budget_spent')), pauseOf(error(503, 'unavailable', 2)), pauseOf(error(500, 'error', 5))]).toEqual([10, null, null, null]);
  });
});

describe('countdown', () => {
  it('is short', () => expect([countdown(9), countdown(59), countdown(60), countdown(125)]).toEqual(['9 s', '59 s', '1:00', '2:05']));
});
