/** How long a post is, and how times and names are written in a feed. Pure, so that it can be tested. */
import { date } from '../../platform/format';

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
const ADDRESS =
  /(?<![\p{L}\p{N}_@/=])https?:\/\/(?:(?:[\p{L}\p{N}_-]{1,63}\.){1,10}(?:[a-z][a-z0-9-]{0,61}[a-z0-9]|\p{L}{2,63})|localhost|\d{1,3}(?:\.\d{1,3}){3})(?![\p{L}\p{N}_@-]*@)(?::\d{1,5}(?!\d))?(?:[/?#][^\s<>"\p{Pi}\p{Pf}\p{Cc}\u3001\u3002\u3008-\u3011\uff01\uff08\uff09\uff0c\uff1f]*)?/giu;
/** Of somebody elsewhere: their server isn't the writer's choice, so it isn't counted. */
const ELSEWHERE = /(?<![\p{L}\p{N}_@/=])(@[a-z0-9_]{1,64})@(?:[\p{L}\p{N}_-]{1,63}\.){1,10}[\p{L}\p{N}_-]{2,63}/giu;

/** The punctuation that follows an address and isn't part of it: what ends a sentence, and brackets it doesn't open. */
function trailing(address: string): string {
  let end = address.length;
  for (; end > 0; end -= 1) {
    const last = address.charAt(end - 1);
    const at = ')]}'.indexOf(last);
    const inside = address.slice(0, end);
    const surplus = at >= 0 && inside.split(last).length > inside.split('([{'.charAt(at)).length;
    if (!surplus && !".,:;!?'*_~…`".includes(last)) break;
  }
  return address.slice(end);
}

/** Characters as people count them, graphemes; an address counts `url` however long it is. The server counts the same. */
export function lengthOf(text: string, url: number): number {
  const counted = text
    .trim()
    .replace(ADDRESS, (address) => 'x'.repeat(url) + trailing(address))
    .replace(ELSEWHERE, '$1');
  let length = 0;
  for (const _ of graphemes.segment(counted)) length += 1;
  return length;
}

const STEPS: readonly [seconds: number, letter: string][] = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'm'],
];

/** `now`, `5m`, `3h`, `6d`, and the date after a week. */
export function since(when: string, now: number): string {
  const seconds = (now - new Date(when).getTime()) / 1000;
  if (seconds < 60) return 'now';
  if (seconds >= 7 * 86_400) return date(when);
  for (const [size, letter] of STEPS) if (seconds >= size) return `${Math.floor(seconds / size)}${letter}`;
  return 'now';
}

export const nameOf = (account: { display_name: string; username: string }): string => account.display_name || account.username;
