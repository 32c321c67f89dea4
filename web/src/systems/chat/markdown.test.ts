import { describe, expect, it } from 'vitest';
import { mended, Reader, readMarkdown, spoken, webAddress, type Block, type Inline } from './markdown';

const ANSWER = `# A heading with \`code\`

Some *words*, **strong ones** and ~~old ones~~; a [link](https://example.org/a?b=c&d=e "title") and https://example.com/.
A second line  
after a break.

- one
- two
  - inner **item**

  a paragraph of two

- [x] done
- [ ] open

1. first

2. second

   \`\`\`python
   print("in a list")
   \`\`\`

10. tenth

> quoted
> - list

| a | b |
|:--|--:|
| 1 | \`|\` |
| <br> | x&amp;y |

\`\`\`js
const a = "<b>";

\`\`\`

Setext
------

    indented

    code

***

<div onclick="alert(1)">html</div>

The end`;

describe('readMarkdown', () => {
  it('knows the blocks', () => {
    expect(readMarkdown(ANSWER).map(({ kind }) => kind)).toEqual(['heading', 'paragraph', 'list', 'list', 'quote', 'table', 'code', 'heading', 'code', 'rule', 'paragraph', 'paragraph']);
  });
  it('reads a list with tasks, numbers and code', () => {
    const [list] = readMarkdown('3. a\n4. b\n   ```py\n   x\n   ```');
    expect(list).toMatchObject({ kind: 'list', start: 3, items: [{ checked: null }, { blocks: [{ kind: 'text' }, { kind: 'code', language: 'py', text: 'x', open: false }] }] });
    expect(readMarkdown('- [x] a\n- [ ] b')).toMatchObject([{ start: null, items: [{ checked: true, blocks: [{ inside: ['a'] }] }, { checked: false }] }]);
  });
  it('decodes entities outside of code', () => {
    expect(readMarkdown('1 &lt; 2 &amp;&#33; `&lt;`')).toEqual([{ kind: 'paragraph', inside: ['1 < 2 &! ', { kind: 'code', text: '&lt;' }] }]);
  });
  it('names a code block’s language and whether it is finished', () => {
    expect(readMarkdown('```C++ title=x\na')).toEqual([{ kind: 'code', language: 'c++', text: 'a', open: true }]);
    expect(readMarkdown('~~~\n```\n~~~')).toEqual([{ kind: 'code', language: '', text: '```', open: false }]);
  });
});

const every = (all: readonly Block[]): Inline[] =>
  all.flatMap((block): Inline[] => {
    const deep = (inside: readonly Inline[]): Inline[] => inside.flatMap((one) => (typeof one !== 'string' && 'inside' in one ? [one, ...deep(one.inside)] : [one]));
    if ('inside' in block) return deep(block.inside);
    if (block.kind === 'quote') return every(block.blocks);
    if (block.kind === 'list') return block.items.flatMap((item) => every(item.blocks));
    return block.kind === 'table' ? [...block.head, ...block.rows.flat()].flatMap(deep) : [];
  });

describe('what a model may not do', () => {
  it('keeps HTML as text', () => {
    for (const html of ['<script>alert(1)</script>', '<img src=x onerror=alert(1)>', 'a <b onclick="x()">b</b>', '<svg/onload=alert(1)>', '<!-- x -->', '<iframe src="//evil.example"></iframe>'])
      for (const one of every(readMarkdown(html))) expect(one).toBeTypeOf('string');
    expect(every(readMarkdown('a <i>b</i>')).join('')).toBe('a <i>b</i>');
  });
  it('links only to the web', () => {
    for (const href of ['javascript:alert(1)', 'JaVaScRiPt:alert(1)', 'java&#10;script:alert(1)', '&#106;avascript:alert(1)', 'data:text/html,x', 'vbscript:x', 'file:///etc/passwd', '/account', '//evil.example', '#x', 'blob:x']) {
      const links = every(readMarkdown(`[words](${href}) ![picture](${href}) <${href}>`)).filter((one) => typeof one !== 'string');
      expect(links, href).toEqual([]);
    }
    expect(webAddress('https://example.org/a b')?.href).toBe('https://example.org/a%20b');
    expect(webAddress('mailto:a@example.org')?.protocol).toBe('mailto:');
  });
  it('makes pictures of others links', () => {
    expect(readMarkdown('![A cat](https://tracker.example/x.png?who=me)')).toEqual([
      { kind: 'paragraph', inside: [{ kind: 'image', href: 'https://tracker.example/x.png?who=me', alt: 'A cat', host: 'tracker.example' }] },
    ]);
  });
  it('survives what is nested without end', () => {
    for (const text of ['>'.repeat(20_000), `${'*a '.repeat(3000)}`, '[['.repeat(3000), '- '.repeat(400), `${'`'.repeat(5001)}x`]) expect(readMarkdown(text).length).toBeGreaterThan(0);
  });
});

describe('Reader', () => {
  it('reads what grows as if it had come at once, wherever it is cut', () => {
    let seed = 1;
    const dice = (most: number): number => 1 + ((seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 1) % most);
    for (const most of [1, 3, 8, 40]) {
      const reader = new Reader();
      for (let at = dice(most); at < ANSWER.length; at += dice(most)) {
        reader.read(ANSWER.slice(0, at), true);
        // The same state, read as finished from here.
        expect(new Reader().read(ANSWER.slice(0, at), true)).toEqual(reader.read(ANSWER.slice(0, at), true));
      }
      expect(reader.read(ANSWER)).toEqual(readMarkdown(ANSWER));
    }
  });
  it('leaves finished blocks alone', () => {
    const reader = new Reader();
    const before = reader.read('# One\n\nTwo\n\nThree\n\nFour', true);
    const after = reader.read('# One\n\nTwo\n\nThree\n\nFour and more', true);
    expect(after.slice(0, 3).every((block, i) => block === before[i])).toBe(true);
    expect(after[3]).toEqual({ kind: 'paragraph', inside: ['Four and more'] });
  });
  it('starts over when the text became another', () => {
    const reader = new Reader();
    reader.read('Some text', true);
    expect(reader.read('Other *text*', true)).toEqual(readMarkdown('Other *text*'));
  });
});

describe('mended', () => {
  it.each([
    ['a **strong', 'a **strong**'],
    ['a **strong*', 'a **strong**'],
    ['a **', 'a '],
    ['a `cod', 'a `cod`'],
    ['a `', 'a '],
    ['see [the docs](https://exa', 'see the docs'],
    ['see [the do', 'see the do'],
    ['Title\n--', 'Title\n'],
    ['a **b** and `c` *d*', 'a **b** and `c` *d*'],
    ['plain', 'plain'],
    ['one **done**\n\ntwo **op', 'one **done**\n\ntwo **op**'],
  ])('%j', (text, expected) => expect(mended(text)).toBe(expected));
});

describe('spoken', () => {
  it('reads words and names code', () => {
    expect(spoken(readMarkdown('# Hi\n\nUse `x`, **now**.\n\n```py\nx = 1\n```\n\n- a\n- b'))).toBe('Hi Use x, now. Code. a b');
  });
});
