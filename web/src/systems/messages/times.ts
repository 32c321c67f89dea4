/** Times as a conversation shows them. */
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'long' });
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const short = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });

export const time = (at: number): string => clock.format(at);

const midnight = (at: number): number => new Date(at).setHours(0, 0, 0, 0);
const daysBetween = (from: number, to: number): number => Math.round((midnight(to) - midnight(from)) / 86_400_000);

/** A heading between two days. */
export function dayOf(at: number, now = Date.now()): string {
  const days = daysBetween(at, now);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return days > 0 && days < 7 ? weekday.format(at) : day.format(at);
}

/** When something last happened, in a few letters. */
export function when(at: number, now = Date.now()): string {
  const days = daysBetween(at, now);
  if (days === 0) return clock.format(at);
  if (days === 1) return 'Yesterday';
  return days > 0 && days < 7 ? weekday.format(at) : short.format(at);
}

export const sameDay = (one: number, other: number): boolean => midnight(one) === midnight(other);
