/** Numbers, times and names as people read them. */

const LOCALE = 'en';
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(LOCALE, { notation: 'compact', maximumSignificantDigits: 3 });
const small = new Intl.NumberFormat(LOCALE, { maximumSignificantDigits: 3 });
const percent = new Intl.NumberFormat(LOCALE, { style: 'percent', maximumFractionDigits: 0 });
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: 'auto', style: 'long' });
const regions = new Intl.DisplayNames(LOCALE, { type: 'region', fallback: 'code' });

/** 12345 -> 12,345 */
export const count = (value: number): string => whole.format(value);

/** 12345 -> 12.3K; small fractions keep three digits. */
export const compact = (value: number): string =>
  Math.abs(value) < 10_000 ? (Number.isInteger(value) ? whole : small).format(value) : short.format(value);

export const share = (part: number, total: number): string => (total > 0 ? percent.format(part / total) : '0%');

/** `3 links`, `1 link` */
export const plural = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)} ${value === 1 ? one : many}`;

const STEPS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_557_600],
  ['month', 2_629_800],
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** `3 minutes ago`, `in 2 days`; under ten seconds `just now`. */
export function ago(when: string | Date, now: Date = new Date()): string {
  const seconds = (new Date(when).getTime() - now.getTime()) / 1000;
  if (Math.abs(seconds) < 10) return 'just now';
  for (const [unit, size] of STEPS)
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  return relative.format(Math.trunc(seconds), 'second');
}

const dayAndTime = new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const dayOnly = new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short', year: 'numeric' });

export const dateTime = (when: string | Date): string => dayAndTime.format(new Date(when));
export const date = (when: string | Date): string => dayOnly.format(new Date(when));

export type Interval = 'hour' | 'day';

const bucketFormats = {
  // A day's bucket is a day of UTC wherever the reader is; an hour's bucket is shown on the reader's clock.
  hour: new Intl.DateTimeFormat(LOCALE, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }),
  day: new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short', timeZone: 'UTC' }),
};
const hourLong = new Intl.DateTimeFormat(LOCALE, { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const dayLong = new Intl.DateTimeFormat(LOCALE, { weekday: 'short', day: 'numeric', month: 'short', timeZone: 'UTC' });

/** A label for the axis of a time series. */
export const bucket = (at: string, interval: Interval): string => bucketFormats[interval].format(new Date(at));

/** The same for the read-out, with the weekday. */
export const bucketLong = (at: string, interval: Interval): string =>
  (interval === 'hour' ? hourLong : dayLong).format(new Date(at));

/** `DE` -> `Germany`; empty or unassigned codes are unknown. */
export function country(code: string): string {
  if (!/^[A-Z]{2}$/.test(code)) return 'Unknown';
  return regions.of(code) ?? code;
}

/** An address without its scheme and a trailing slash, as people write it. */
export const bareUrl = (url: string): string => url.replace(/^https?:\/\//, '').replace(/\/$/, '');

/** What was typed as an address that a server accepts: `example.com/x` gets its scheme. */
export function withScheme(typed: string): string {
  const text = typed.trim();
  return text === '' || /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`;
}

/** The value of a `datetime-local` field for a moment, on the reader's clock. */
export function toLocalInput(when: string | Date): string {
  const moment = new Date(when);
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
