/** An answer cut into what is shown: runs of text, each with the passages that say so. */
import type { Block, Sentence } from './api';

export interface Run {
  text: string;
  citations: number[];
  /** Whether a passage says so; runs between sentences need none. */
  supported: boolean;
}

/** Places are counted in code points, as the server counts them. */
export function runs(text: string, sentences: readonly Sentence[]): Run[] {
  const letters = [...text];
  const cut = (from: number, to: number): string => letters.slice(from, to).join('');
  const found: Run[] = [];
  let at = 0;
  for (const { begins, ends, citations, supported } of sentences) {
    if (begins > at) found.push({ text: cut(at, begins), citations: [], supported: true });
    found.push({ text: cut(begins, ends), citations, supported });
    at = ends;
  }
  if (at < letters.length) found.push({ text: cut(at, letters.length), citations: [], supported: true });
  return found;
}

export interface Shown extends Block {
  /** Before, within and behind the passage that is looked for. */
  parts: [string, string, string];
}

/** The blocks of a document with their text, in which what lies from `begins` to `ends` is set apart. */
export function blocksWith(text: string, blocks: readonly Block[], begins: number, ends: number): Shown[] {
  const letters = [...text];
  return blocks.map((block) => {
    const from = Math.min(Math.max(begins, block.start), block.end);
    const to = Math.max(from, Math.min(ends, block.end));
    const cut = (a: number, b: number): string => letters.slice(a, b).join('');
    return { ...block, parts: [cut(block.start, from), cut(from, to), cut(to, block.end)] };
  });
}

/** A table's rows as cells; the text is Markdown. */
export function cells(text: string): string[][] {
  return text.split('\n').map((line) =>
    line
      .replace(/^\|\s?|\s?\|$/g, '')
      .split(/\s\|\s|(?<!\\)\|/)
      .map((cell) => cell.replaceAll('\\|', '|').trim()),
  );
}

/** `512 B`, `1.4 MB` */
export function bytes(size: number): string {
  for (const [unit, value] of [['GB', 1e9], ['MB', 1e6], ['KB', 1e3]] as const)
    if (size >= value) return `${(size / value).toPrecision(size / value >= 100 ? 3 : 2)} ${unit}`;
  return `${size} B`;
}
