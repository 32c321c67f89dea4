/**
 * What a post says, from the server's HTML to a tree of four kinds of element that the page builds by itself. Nothing
 * of the HTML reaches the document, whatever is in it. Pure, so that it can be tested.
 */
import type { Mention } from './entities';

const KNOWN = ['p', 'br', 'a', 'span'] as const;
/** Elements whose text isn't for people. */
const SILENT = ['script', 'style', 'template', 'title', 'textarea', 'noscript', 'iframe'];
const CLASSES = ['mention', 'hashtag', 'invisible', 'ellipsis'];
/** Deeper than any honest post; what is nested further is shown as plain text. */
const DEEPEST = 12;

export interface Piece {
  tag: (typeof KNOWN)[number];
  classes: string[];
  /** Of links only: an http(s) address. */
  href: string;
  pieces: (Piece | string)[];
}

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0' };

const decode = (text: string): string =>
  text.replace(/&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|([a-z]{2,8}));/g, (whole, decimal?: string, hex?: string, name?: string) => {
    if (name) return NAMED[name] ?? whole;
    const code = decimal ? Number(decimal) : parseInt(hex ?? '', 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });

/** The value of an attribute, or nothing. Values are read as wholes, so that nothing inside one passes for another. */
function attribute(tag: string, wanted: string): string {
  for (const [, name, double, single, bare] of tag.matchAll(/\s([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>=]+)))?/g))
    if (name?.toLowerCase() === wanted) return decode(double ?? single ?? bare ?? '');
  return '';
}

export function parseContent(html: string): (Piece | string)[] {
  const root: (Piece | string)[] = [];
  const open: Piece[] = [];
  const add = (piece: Piece | string): void => void (open.at(-1)?.pieces ?? root).push(piece);
  let silent = '';
  for (const [token] of html.matchAll(/<!--[\s\S]*?(?:-->|$)|<\/?[a-zA-Z](?:"[^"]*"|'[^']*'|[^'">])*>|[^<]+|</g)) {
    const tag = /^<\/?([a-zA-Z][a-zA-Z0-9]*)/.exec(token)?.[1]?.toLowerCase();
    if (silent) {
      if (tag === silent && token.startsWith('</')) silent = '';
    } else if (token.startsWith('<!--')) {
      continue;
    } else if (!tag) {
      add(decode(token));
    } else if (token.startsWith('</')) {
      const at = open.findLastIndex((piece) => piece.tag === tag);
      if (at >= 0) open.length = at;
    } else if (SILENT.includes(tag)) {
      silent = tag;
    } else if (isKnown(tag) && (tag === 'br' || open.length < DEEPEST)) {
      const href = tag === 'a' ? attribute(token, 'href') : '';
      const classes = attribute(token, 'class').split(/\s+/).filter((name) => CLASSES.includes(name));
      const piece: Piece = { tag, classes, href: /^https?:\/\//i.test(href) ? href : '', pieces: [] };
      add(piece);
      if (tag !== 'br') open.push(piece);
    }
  }
  return root;
}

const isKnown = (tag: string): tag is Piece['tag'] => (KNOWN as readonly string[]).includes(tag);

export const textOf = (pieces: readonly (Piece | string)[]): string =>
  pieces.map((piece) => (typeof piece === 'string' ? piece : piece.tag === 'br' ? '\n' : textOf(piece.pieces) + (piece.tag === 'p' ? '\n' : ''))).join('');

/** Where a link of a post leads within these pages: people and tags stay here. Empty for the rest of the web. */
export function placeOf(link: Piece, mentions: readonly Mention[], base: string): string {
  if (link.classes.includes('hashtag')) {
    const tag = textOf(link.pieces).trim().replace(/^#/, '');
    return tag && `${base}tags/${encodeURIComponent(tag)}`;
  }
  const mentioned = link.classes.includes('mention') && mentions.find((mention) => mention.url === link.href);
  return mentioned ? `${base}@${mentioned.acct}` : '';
}
