import { describe, expect, it } from 'vitest';
import { highlighted } from './highlight';

describe('highlighted', () => {
  it('tells keywords, strings and the rest apart', () => {
    expect(highlighted('def f():\n    return "a<b"', 'python')).toEqual([
      { text: 'def', kind: 'keyword' }, { text: ' ', kind: '' }, { text: 'f', kind: 'title' }, { text: '():\n    ', kind: '' },
      { text: 'return', kind: 'keyword' }, { text: ' ', kind: '' }, { text: '"a<b"', kind: 'string' },
    ]);
  });
  it('loses and adds nothing', () => {
    const code = `f"{x!r:>{5}}" <script>alert('1')</script> &amp; &lt; "&quot;" \\ \`\`\`\n# ü 👋`;
    for (const language of ['python', 'py', 'js', 'html', 'sh', 'sql', 'c++', 'rs', 'json', 'yaml'])
      expect(highlighted(code, language)?.map(({ text }) => text).join('')).toBe(code);
  });
  it('leaves unknown languages alone', () => {
    expect(highlighted('x', 'brainfuck')).toBeNull();
    expect(highlighted('x', '')).toBeNull();
  });
});
