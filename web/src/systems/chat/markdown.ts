/**
 * What a model writes, from Markdown to a tree of few kinds of block that the page builds by itself. HTML in it stays
 * text, links lead only to the web, and pictures are links: nothing a model writes runs or loads. Pure.
 */
import { Lexer, type MarkedToken, type Token, type Tokens } from 'marked';

export type Inline =
  | string
  | { kind: 'strong' | 'em' | 'del'; inside: Inline[] }
  | { kind: 'code'; text: string }
  | { kind: 'link'; href: string; inside: Inline[] }
  | { kind: 'image'; href: string; alt: string; host: string }
  | { kind: 'br' };

export interface Item {
  checked: boolean | null;
  blocks: Block[];
}

export type Block =
  | { kind: 'paragraph' | 'text'; inside: Inline[] }
  | { kind: 'heading'; depth: number; inside: Inline[] }
  | { kind: 'code'; language: string; text: string; open: boolean }
  | { kind: 'quote'; blocks: Block[] }
  | { kind: 'list'; start: number | null; items: Item[] }
  | { kind: 'table'; align: (string | null)[]; head: Inline[][]; rows: Inline[][][] }
  | { kind: 'rule' };

/** Deeper than any honest answer; what is nested further is shown as it was written. */
const DEEPEST = 16;

const NAMED: Readonly<Record<string, string>> = {
  amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0', copy: '©', reg: '®', hellip: '…', mdash: '—', ndash: '–',
  rarr: '→', larr: '←', times: '×', deg: '°', middot: '·', bull: '•', euro: '€', pound: '£', le: '≤', ge: '≥', ne: '≠',
};

const decoded = (text: string): string =>
  text.includes('&')
    ? text.replace(/&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|([a-zA-Z]{2,8}));/g, (whole, decimal?: string, hex?: string, name?: string) => {
        if (name) return NAMED[name] ?? whole;
        const code = decimal ? Number(decimal) : parseInt(hex ?? '', 16);
        return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
      })
    : text;

/** An address of the web as the browser's own parser understands it, or null: no script, no data, nothing of this site. */
export function webAddress(href: string): URL | null {
  try {
    const url = new URL(decoded(href));
    return url.protocol === 'https:' || url.protocol === 'http:' || url.protocol === 'mailto:' ? url : null;
  } catch {
    return null;
  }
}

const known = (tokens: readonly Token[] | undefined): MarkedToken[] => (tokens ?? []) as MarkedToken[];

function inlines(tokens: readonly Token[] | undefined, deep: number): Inline[] {
  const all: Inline[] = [];
  // Text in one piece, so that a growing paragraph changes one node.
  const say = (text: string): void => {
    const last = all.at(-1);
    if (typeof last === 'string') all[all.length - 1] = last + text;
    else if (text) all.push(text);
  };
  for (const token of known(tokens)) {
    if (deep > DEEPEST) say(token.raw);
    else if (token.type === 'strong' || token.type === 'em' || token.type === 'del') all.push({ kind: token.type, inside: inlines(token.tokens, deep + 1) });
    else if (token.type === 'codespan') all.push({ kind: 'code', text: token.text });
    else if (token.type === 'br' || (token.type === 'html' && /^<br\s*\/?>$/i.test(token.raw))) all.push({ kind: 'br' });
    else if (token.type === 'link') {
      const url = webAddress(token.href);
      const inside = inlines(token.tokens, deep + 1);
      if (url) all.push({ kind: 'link', href: url.href, inside });
      else for (const one of inside) typeof one === 'string' ? say(one) : all.push(one);
    } else if (token.type === 'image') {
      const url = webAddress(token.href);
      if (url) all.push({ kind: 'image', href: url.href, alt: decoded(token.text), host: url.host });
      else say(decoded(token.text));
    } else if (token.type === 'escape') say(token.text);
    else if (token.type === 'text' && token.tokens) for (const one of inlines(token.tokens, deep + 1)) typeof one === 'string' ? say(one) : all.push(one);
    else if (token.type === 'text') say(decoded(token.text));
    else if (token.type !== 'checkbox') say(token.raw);
  }
  return all;
}

const isClosed = (raw: string): boolean => /^[ \t>]*(`{3,}|~{3,})[^\n]*\n(?:[\s\S]*\n)?[ \t>]*(`{3,}|~{3,})\s*$/.test(raw);

function cell({ tokens }: Tokens.TableCell): Inline[] {
  return inlines(tokens, 0);
}

function blockOf(token: MarkedToken, deep: number): Block | null {
  if (token.type === 'space' || token.type === 'def' || token.type === 'checkbox') return null;
  if (deep > DEEPEST) return { kind: 'paragraph', inside: [token.raw] };
  switch (token.type) {
    case 'heading':
      return { kind: 'heading', depth: token.depth, inside: inlines(token.tokens, 0) };
    case 'code':
      return { kind: 'code', language: /^[\w+#.-]+/.exec(token.lang ?? '')?.[0].toLowerCase() ?? '', text: token.text, open: token.codeBlockStyle !== 'indented' && !isClosed(token.raw) };
    case 'blockquote':
      return { kind: 'quote', blocks: blocks(token.tokens, deep + 1) };
    case 'list':
      return {
        kind: 'list',
        start: token.ordered ? Number(token.start) || 0 : null,
        items: token.items.map((item: Tokens.ListItem) => ({ checked: item.task ? Boolean(item.checked) : null, blocks: blocks(item.tokens, deep + 1) })),
      };
    case 'table':
      return { kind: 'table', align: token.align, head: token.header.map(cell), rows: token.rows.map((row: Tokens.TableCell[]) => row.map(cell)) };
    case 'hr':
      return { kind: 'rule' };
    case 'paragraph':
    case 'text':
      return { kind: token.type, inside: token.tokens ? inlines(token.tokens, 0) : [decoded(token.text)] };
    default:
      return { kind: 'paragraph', inside: [token.raw.trimEnd()] };
  }
}

const blocks = (tokens: readonly Token[] | undefined, deep: number): Block[] => known(tokens).flatMap((token) => blockOf(token, deep) ?? []);

function lexed(text: string): MarkedToken[] {
  try {
    return known(new Lexer({ gfm: true }).lex(text));
  } catch {
    // Nested beyond what the parser's stack holds: shown as it was written.
    return [{ type: 'paragraph', raw: text, text, tokens: [{ type: 'escape', raw: text, text }] }];
  }
}

/** Closes what the end of a text leaves open, so that markers don't show for a moment and then vanish. */
export function mended(text: string): string {
  const at = Math.max(text.lastIndexOf('\n\n') + 2, 0);
  let end = text.slice(text.indexOf('\n\n') < 0 ? 0 : at);
  const before = text.slice(0, text.length - end.length);
  // A line that isn't yet what it will be: a rule or an underline, a list's or a table's first character.
  end = end.replace(/(^|\n)[ \t]*(?:[-=*_+|]{1,3}|#{1,6}|\d{1,3}[.)]?|`{1,2}|:?-+:?)[ \t]*$/, '$1');
  // A link whose address is still coming is its words.
  end = end.replace(/!?\[([^\]\n]*)\]\([^)\s]*$/, '$1').replace(/!?\[([^\]\n]*)\]?$/, '$1');
  if ((end.match(/`/g)?.length ?? 0) % 2) return before + (end.endsWith('`') ? end.slice(0, -1) : `${end}\``);
  const plain = end.replace(/`[^`]*`/g, '');
  if ((plain.match(/\*\*/g)?.length ?? 0) % 2) {
    if (/\*\*\s*$/.test(end)) end = end.replace(/\*\*\s*$/, '');
    else if (/[^*]\*$/.test(end)) end += '*';
    else end = `${end.trimEnd()}**`;
  } else if (/(^|\s)\*{1,2}$/.test(end)) end = end.replace(/\*+$/, '');
  return before + end;
}

interface Piece {
  raw: string;
  block: Block | null;
}

/** Reads a text that grows: only its last two blocks are read again, and blocks that stay the same stay the same object. */
export class Reader {
  #text = '';
  #pieces: Piece[] = [];

  /** The blocks of `text`. While it is `growing`, its end is shown mended. */
  read(text: string, growing = false): Block[] {
    const source = text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text;
    const kept = growing && this.#text && source.startsWith(this.#text) ? this.#settled() : [];
    const from = kept.reduce((sum, { raw }) => sum + raw.length, 0);
    const old = this.#pieces;
    const tokens = lexed(source.slice(from));
    this.#pieces = [...kept, ...tokens.map(({ raw }) => ({ raw, block: null }))];
    tokens.forEach((token, i) => {
      const at = kept.length + i;
      const same = old[at]?.raw === token.raw && old[at].block;
      const piece = this.#pieces[at];
      if (piece) piece.block = same || blockOf(token, 0);
    });
    // A parser that changed what it read gives no place to go on from.
    const isWhole = this.#pieces.reduce((sum, { raw }) => sum + raw.length, 0) === source.length;
    this.#text = isWhole ? source : '';
    const shown = this.#pieces.flatMap(({ block }) => block ?? []);
    const last = tokens.at(-1);
    if (growing && last && last.type !== 'code' && last.type !== 'space') {
      const better = mended(last.raw);
      if (better !== last.raw) {
        if (this.#pieces.at(-1)?.block) shown.pop();
        shown.push(...blocks(lexed(better), 0));
      }
    }
    return shown;
  }

  /** All pieces before the last two that aren't space: what is appended can't change them. */
  #settled(): Piece[] {
    let open = 2;
    for (let i = this.#pieces.length - 1; i >= 0; i -= 1) if (this.#pieces[i]?.raw.trim() && (open -= 1) === 0) return this.#pieces.slice(0, i);
    return [];
  }
}

export const readMarkdown = (text: string): Block[] => new Reader().read(text);

const inlineText = (all: readonly Inline[]): string =>
  all.map((one) => (typeof one === 'string' ? one : one.kind === 'code' ? one.text : one.kind === 'br' ? ' ' : one.kind === 'image' ? one.alt : inlineText(one.inside))).join('');

/** The words of an answer, to be read out. Code is only named. */
export const spoken = (all: readonly Block[]): string =>
  all
    .map((block) => {
      if (block.kind === 'code') return 'Code.';
      if (block.kind === 'rule') return '';
      if (block.kind === 'quote') return spoken(block.blocks);
      if (block.kind === 'list') return block.items.map((item) => spoken(item.blocks)).join(' ');
      if (block.kind === 'table') return [block.head, ...block.rows].map((row) => row.map(inlineText).join(', ')).join('. ');
      return inlineText(block.inside);
    })
    .filter(Boolean)
    .join(' ');
