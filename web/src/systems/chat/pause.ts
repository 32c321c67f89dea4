/** How long to wait after “too much at once”. Pure. */
import type { ApiError } from '../../platform/api';

/** Longest countdown that is believed, in seconds. */
const LONGEST = 3600;
/** Where the server doesn't say, in seconds. */
const USUAL = 10;

/** Seconds until the same may be tried again, or null when waiting is not what helps: there is no budget before tomorrow. */
export function pauseOf({ status, code, retryAfter }: ApiError): number | null {
  if (code === 'budget_spent') return null;
  if (status !== 429 && code !== 'inference_busy') return null;
  return Math.min(LONGEST, Math.max(1, retryAfter ?? USUAL));
}

/** `12 s`, `2:05` */
export const countdown = (seconds: number): string =>
  seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
