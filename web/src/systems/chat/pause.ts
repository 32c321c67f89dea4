/** How long to wait after “too much at once”. Pure. */
import type { ApiError } from '../../platform/api';

/** Longest countdown that is believed, in seconds. */
const LONGEST = 3600;
/** Where the server doesn't say, in seconds. */
const USUAL = 10;

/** Seconds until the same may be tried again, or null when waiting is not what helps. The server's words carry them. */
export function pauseOf({ status, message }: ApiError): number | null {
  if (status !== 429 && status !== 503) return null;
  const said = /\bin (\d{1,6}) ?s(?:ec(?:ond)?s?)?\b/i.exec(message)?.[1];
  if (said === undefined) return status === 429 ? USUAL : null;
  return Math.min(LONGEST, Math.max(1, Number(said)));
}

/** `12 s`, `2:05` */
export const countdown = (seconds: number): string =>
  seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
