import { describe, expect, it } from 'vitest';
import { parseContent, placeOf, textOf, type Piece } from './content';

const tags = (pieces: readonly (Piece | string)[]): unknown[] =>
  pieces.map((piece) => (typeof piece === 'string' ? piece : [piece.tag, ...tags(piece.pieces)]));
const first = (html: string): Piece => {
  const find = (pieces: readonly (Piece | string)[]): Piece | undefined =>
    pieces.flatMap((piece) => (typeof piece === 'string' ? [] : [piece.tag === 'a' ? piece : find(piece.pieces)]))[0];
  const found = find(parseContent(html));
  if (!found) throw new Error('There is no link.');
  return found;
};

describe('parseContent', () => {
  it('keeps paragraphs, breaks and links', () => {
    expect(tags(parseContent('<p>One<br />two</p><p>three</p>'))).toEqual([
      ['p', 'One', ['br'], 'two'],
      ['p', 'three'],
    ]);
  });
  it('reads what is escaped', () => {
    expect(textOf(parseContent('a &lt;b&gt; &amp;amp; &quot;c&quot; &#39;d&#x27; &nope; &#0;'))).toBe('a <b> &amp; "c" \'d\' &nope; &#0;');
  });
  it('drops every other element, and what scripts and styles say', () => {
    expect(tags(parseContent('<h1>a</h1><img src=x onerror=alert(1)><b>b</b><script>alert(1)</script ><style>p{}</style>c'))).toEqual(['a', 'b', 'c']);
    expect(tags(parseContent('<svg onload="a>b">x</svg><!-- <p>y</p> -->z'))).toEqual(['x', 'z']);
  });
  it('takes addresses of the web only', () => {
    expect(first('<a href="https://a.example/?a=1&amp;b=2">x</a>').href).toBe('https://a.example/?a=1&b=2');
    for (const href of ['javascript:alert(1)', ' javascript:alert(1)', 'data:text/html,x', '//evil.example', 'jav&#x61;script:alert(1)'])
      expect(first(`<a href="${href}">x</a>`).href).toBe('');
  });
  it('isn’t confused by another attribute or by quotes', () => {
    expect(first(`<a title='href="https://evil.example"' href='https://a.example'>x</a>`).href).toBe('https://a.example');
    expect(first('<a data-href="https://evil.example" href="https://a.example">x</a>').href).toBe('https://a.example');
  });
  it('keeps only the classes that mean something', () => {
    expect(first('<a class="mention x-y hashtag" href="https://a.example">x</a>').classes).toEqual(['mention', 'hashtag']);
  });
  it('closes what is left open, and ignores what was never opened', () => {
    expect(tags(parseContent('</p><p><a href="https://a.example">x</p>y'))).toEqual([['p', ['a', 'x']], 'y']);
    expect(tags(parseContent('a < b <'))).toEqual(['a ', '<', ' b ', '<']);
  });
  it('nests no deeper than anybody writes', () => {
    const depth = (pieces: readonly (Piece | string)[]): number => Math.max(0, ...pieces.map((piece) => (typeof piece === 'string' ? 0 : 1 + depth(piece.pieces))));
    const deep = parseContent('<span>'.repeat(5000) + 'x');
    expect(depth(deep)).toBe(12);
    expect(textOf(deep)).toBe('x');
  });
});

describe('placeOf', () => {
  const base = '/feed/';
  it('keeps people and tags on these pages', () => {
    const mention = first('<span class="h-card"><a href="https://a.example/@ann" class="u-url mention">@<span>ann</span></a></span>');
    expect(placeOf(mention, [{ id: '1', acct: 'ann', url: 'https://a.example/@ann' }], base)).toBe('/feed/@ann');
    const tag = first('<a href="https://a.example/tags/sch%C3%B6n" class="mention hashtag" rel="tag">#<span>Schön</span></a>');
    expect(placeOf(tag, [], base)).toBe('/feed/tags/Sch%C3%B6n');
  });
  it('lets everything else lead where it leads', () => {
    expect(placeOf(first('<a href="https://a.example/@ann" class="mention">@ann</a>'), [], base)).toBe('');
    expect(placeOf(first('<a href="https://a.example">a</a>'), [{ id: '1', acct: 'ann', url: 'https://a.example' }], base)).toBe('');
  });
});

describe('textOf', () => {
  it('has a line for each line', () => {
    expect(textOf(parseContent('<p>One<br>two</p><p>three</p>'))).toBe('One\ntwo\nthree\n');
  });
});
