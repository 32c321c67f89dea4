/** Puts the pieces of an answer together, though some come twice and a connection may have lost some. Pure. */

/** What is known of an answer: its text, and its length in characters as the server counts them (code points). */
export interface Heard {
  text: string;
  length: number;
}

export const lengthOf = (text: string): number => {
  let length = text.length;
  // A pair of surrogates is one character.
  for (let i = 0; i < text.length - 1; i += 1) if (isHigh(text, i) && isLow(text, i + 1)) (length -= 1), (i += 1);
  return length;
};
const isHigh = (text: string, i: number): boolean => (text.charCodeAt(i) & 0xfc00) === 0xd800;
const isLow = (text: string, i: number): boolean => (text.charCodeAt(i) & 0xfc00) === 0xdc00;

export const heard = (text: string): Heard => ({ text, length: lengthOf(text) });

/** Adds the piece that begins after `at` characters. null when something between is missing: start over then. */
export function joined(known: Heard, at: number, text: string): Heard | null {
  if (at > known.length) return null;
  const fresh = at === known.length ? text : [...text].slice(known.length - at).join('');
  return fresh === '' ? known : { text: known.text + fresh, length: known.length + lengthOf(fresh) };
}
