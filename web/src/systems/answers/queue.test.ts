import { describe, expect, it } from 'vitest';
import type { Doc, Received } from './api';
import { afterChange, afterRemoval, afterSent, begunAgain, documentsOf, nextOf, ordered, readOf, summaryOf, tagsOf, type Item, type Phase } from './queue';

const doc = (id: string, state: Doc['state'], more: Partial<Doc> = {}): Doc => ({
  id, name: `${id}.pdf`, title: id, kind: 'pdf', source: id, size: 10, pages: 1, chunks: 0, version: 0, state, progress: null, reason: '', tags: [],
  created_at: '2025-01-01T00:00:00Z', updated_at: '2025-01-01T00:00:00Z', ...more,
});
const item = (key: number, phase: Phase, more: Partial<Item> = {}): Item => ({ key, collection: '1', name: `${key}.pdf`, size: 99, tags: [], phase, share: 0, docs: [], error: '', note: '', ...more });
const received = (items: Doc[], more: Partial<Received> = {}): Received => ({ items, job_ids: [], duplicates: [], skipped: [], ...more });
const LATER = '2025-01-01T00:00:09Z';

describe('what is sent', () => {
  it('is two files at once, the first come first', () => {
    const items = [item(1, 'done'), item(2, 'sending'), item(3, 'waiting'), item(4, 'waiting')];
    expect(nextOf(items).map(({ key }) => key)).toEqual([3]);
    expect(nextOf(items.slice(2)).map(({ key }) => key)).toEqual([3, 4]);
    expect(nextOf([item(1, 'sending'), item(2, 'sending'), item(3, 'waiting')])).toEqual([]);
  });
  it('is of a folder what looks like a document', () => {
    const names = ['docs/a.pdf', 'docs/b.PNG', 'docs/.git/c.md', '__MACOSX/d.txt', 'docs/Makefile', 'e.MD'];
    expect(documentsOf(names.map((name) => [name, name] as const))).toEqual({ taken: [['docs/a.pdf', 'docs/a.pdf'], ['e.MD', 'e.MD']], left: 4 });
  });
  it('has tags', () => {
    expect(tagsOf(' birds, 2024 ,, birds')).toEqual({ tags: ['birds', '2024'], error: '' });
    expect(tagsOf('x'.repeat(51)).error).toContain('50');
    expect(tagsOf(Array.from({ length: 21 }, (_, i) => i).join(',')).error).toContain('20');
  });
});

describe('what was sent', () => {
  it('is read, then ready', () => {
    const sent = afterSent(item(1, 'sending'), received([doc('7', 'waiting')]), new Map());
    expect([sent.phase, readOf(sent)]).toEqual(['reading', null]);
    const half = afterChange(sent, doc('7', 'reading', { progress: 0.5 }));
    expect([half.phase, readOf(half)]).toEqual(['reading', 0.5]);
    expect(afterChange(half, doc('7', 'ready')).phase).toBe('done');
  });
  it('isn’t set back by an answer that is older than what was heard', () => {
    const heard = new Map([['7', doc('7', 'ready', { updated_at: LATER })]]);
    expect(afterSent(item(1, 'sending'), received([doc('7', 'waiting')]), heard).phase).toBe('done');
    const done = afterSent(item(1, 'sending'), received([doc('7', 'ready', { updated_at: LATER })]), new Map());
    expect(afterChange(done, doc('7', 'reading')).phase).toBe('done');
  });
  it('fails with the reason, and can be read again', () => {
    const failed = afterSent(item(1, 'sending'), received([doc('7', 'failed', { reason: 'It is locked.' })]), new Map());
    expect([failed.phase, failed.error]).toEqual(['failed', 'It is locked.']);
    expect(begunAgain(failed)).toMatchObject({ phase: 'reading', error: '' });
    expect(afterChange(failed, doc('7', 'waiting', { updated_at: LATER }))).toMatchObject({ phase: 'reading', error: '' });
  });
  it('is of a ZIP as far as all of it is', () => {
    const sent = afterSent(item(1, 'sending'), received([doc('7', 'ready'), doc('8', 'reading', { progress: 0.5 })], { skipped: ['x.png'] }), new Map());
    expect([sent.phase, readOf(sent)]).toEqual(['reading', 0.75]);
    expect(sent.note).toContain('left out');
    const failed = afterChange(sent, doc('8', 'failed', { reason: 'It is locked.' }));
    expect(failed).toMatchObject({ phase: 'failed', error: '1 file of 2 can’t be read. The first is 8.pdf: It is locked.' });
    expect(afterRemoval(failed, '8')?.phase).toBe('done');
  });
  it('is done when it was there already', () => {
    const sent = afterSent(item(1, 'sending'), received([], { duplicates: [{ name: 'a', document_id: '3' }] }), new Map());
    expect([sent.phase, sent.note]).toEqual(['done', 'The same text is there already under another name.']);
  });
  it('goes with its document', () => {
    const sent = afterSent(item(1, 'sending'), received([doc('7', 'reading')]), new Map());
    expect(afterRemoval(sent, '7')).toBeNull();
    expect(afterRemoval(sent, '8')).toBe(sent);
  });
});

describe('all of it', () => {
  it('shows what needs somebody first', () =>
    expect(ordered([item(1, 'done'), item(2, 'waiting'), item(3, 'failed'), item(4, 'sending')]).map(({ key }) => key)).toEqual([3, 4, 2, 1]));
  it('is summed up', () => {
    expect(summaryOf([item(1, 'done'), item(2, 'failed'), item(3, 'sending', { share: 1 }), item(4, 'waiting')])).toMatchObject({ busy: true, share: 0.625, text: '2 files to send · 1 ready · 1 failed' });
    expect(summaryOf([item(1, 'done')])).toMatchObject({ busy: false, share: 1, text: '1 file ready' });
  });
});
