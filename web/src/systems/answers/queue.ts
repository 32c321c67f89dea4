/** What is on its way into a collection: sent, then read. Pure; uploads.svelte.ts does the work. */
import { plural } from '../../platform/format';
import type { Doc, Received } from './api';
import { newer } from './listing';

export type Phase = 'waiting' | 'sending' | 'reading' | 'failed' | 'done';

export interface Item {
  key: number;
  collection: string;
  /** A file's name, or its path in the folder it came from: two of one name in it are two documents. */
  name: string;
  size: number;
  tags: readonly string[];
  phase: Phase;
  /** Of its bytes, 0 to 1. */
  share: number;
  /** What it has become: of a ZIP many. */
  docs: readonly Doc[];
  /** Why it failed, in words. */
  error: string;
  /** What is worth knowing though it went well. */
  note: string;
}

/** Files that are sent at once: more would only share the same line. */
export const AT_ONCE = 2;
/** Endings of what can be read, as the server knows them. */
const READABLE = /\.(pdf|x?html?|md|markdown|mdx|docx|csv|tsv|txt|text|rst|log|adoc|org|zip)$/i;

export const ACCEPT = '.pdf,.html,.htm,.xhtml,.md,.markdown,.mdx,.docx,.csv,.tsv,.txt,.text,.rst,.log,.adoc,.org,.zip';

/** Of a folder's files those that are documents: a folder has pictures, programs and hidden files, too. */
export function documentsOf<T>(files: Iterable<readonly [T, string]>): { taken: (readonly [T, string])[]; left: number } {
  const taken: (readonly [T, string])[] = [];
  let left = 0;
  for (const each of files) {
    const hidden = each[1].split('/').some((part) => part.startsWith('.') || part === '__MACOSX');
    if (!hidden && READABLE.test(each[1])) taken.push(each);
    else left += 1;
  }
  return { taken, left };
}

export const MOST_TAGS = 20;
export const LONGEST_TAG = 50;

/** Tags as they are typed, with commas between them. */
export function tagsOf(text: string): { tags: string[]; error: string } {
  const tags = [...new Set(text.split(',').map((each) => each.trim()).filter(Boolean))];
  const long = tags.some((each) => [...each].length > LONGEST_TAG);
  const error = long ? `A tag has at most ${LONGEST_TAG} characters.` : tags.length > MOST_TAGS ? `A document has at most ${MOST_TAGS} tags.` : '';
  return { tags, error };
}

/** Those to begin with now, the first come first. */
export function nextOf(items: readonly Item[], most = AT_ONCE): Item[] {
  const room = most - items.filter(({ phase }) => phase === 'sending').length;
  return items.filter(({ phase }) => phase === 'waiting').slice(0, Math.max(0, room));
}

/** The item after the server has taken its bytes. `heard` is what its live feed has told since, which may be ahead. */
export function afterSent(item: Item, { items, duplicates, skipped }: Received, heard: ReadonlyMap<string, Doc>): Item {
  const notes: string[] = [];
  if (duplicates.length) notes.push(items.length ? `${plural(duplicates.length, 'file')} in it ${duplicates.length === 1 ? 'is' : 'are'} there already under another name` : 'The same text is there already under another name');
  if (skipped.length) notes.push(`${plural(skipped.length, 'file')} in it can’t be read and ${skipped.length === 1 ? 'was' : 'were'} left out`);
  const docs = items.map((doc) => newer(doc, heard.get(doc.id)));
  return settled({ ...item, share: 1, docs, error: '', note: notes.length ? `${notes.join('; ')}.` : '' });
}

/** The item after one of its documents has changed. */
export function afterChange(item: Item, doc: Doc): Item {
  const at = item.docs.findIndex(({ id }) => id === doc.id);
  const there = item.docs[at];
  return there ? settled({ ...item, docs: item.docs.with(at, newer(there, doc)) }) : item;
}

/** The item without a document that is gone; null when nothing is left of it. */
export function afterRemoval(item: Item, id: string): Item | null {
  const docs = item.docs.filter((doc) => doc.id !== id);
  if (docs.length === item.docs.length) return item;
  return docs.length ? settled({ ...item, docs }) : null;
}

/** The item when what couldn't be read is tried again: shown before the server has said so. */
export const begunAgain = (item: Item): Item => settled({ ...item, docs: item.docs.map((doc) => (doc.state === 'failed' ? { ...doc, state: 'waiting', reason: '' } : doc)) });

/** Done when all of its documents are read; failed when none is read any more and one couldn't be. */
function settled(item: Item): Item {
  const failed = item.docs.filter(({ state }) => state === 'failed');
  if (item.docs.some(({ state }) => state === 'waiting' || state === 'reading')) return { ...item, phase: 'reading', error: '' };
  if (!failed.length) return { ...item, phase: 'done', error: '' };
  const [first] = failed;
  const error = item.docs.length === 1 ? first!.reason : `${plural(failed.length, 'file')} of ${item.docs.length} can’t be read. The first is ${first!.name}: ${first!.reason}`;
  return { ...item, phase: 'failed', error };
}

/** How far its documents are read, 0 to 1; null while none has begun. */
export function readOf({ docs }: Item): number | null {
  if (docs.every(({ state }) => state === 'waiting')) return null;
  const parts = docs.map(({ state, progress }) => (state === 'ready' || state === 'failed' ? 1 : (progress ?? 0)));
  return parts.reduce((sum, part) => sum + part, 0) / parts.length;
}

const RANK: Readonly<Record<Phase, number>> = { failed: 0, sending: 1, reading: 2, waiting: 3, done: 4 };

/** What needs somebody first, what is done last; of the same kind as they came. */
export const ordered = (items: readonly Item[]): Item[] => [...items].sort((a, b) => RANK[a.phase] - RANK[b.phase] || a.key - b.key);

export interface Summary {
  total: number;
  failed: number;
  done: number;
  busy: boolean;
  /** Of all bytes, 0 to 1: half of it is the sending, half the reading. */
  share: number;
  text: string;
}

export function summaryOf(items: readonly Item[]): Summary {
  const of = (phase: Phase): number => items.filter((item) => item.phase === phase).length;
  const [waiting, sending, reading, failed, done] = [of('waiting'), of('sending'), of('reading'), of('failed'), of('done')];
  const total = items.length;
  // An empty file is a file, too.
  const weight = ({ size }: Item): number => size + 1;
  const all = items.reduce((sum, item) => sum + weight(item), 0);
  const past = items.reduce((sum, item) => sum + weight(item) * (item.phase === 'done' || item.phase === 'failed' ? 1 : item.share / 2 + (item.phase === 'reading' ? (readOf(item) ?? 0) / 2 : 0)), 0);
  const parts = [
    waiting + sending ? `${plural(waiting + sending, 'file')} to send` : '',
    reading ? `${reading} being read` : '',
    done ? `${done} ready` : '',
    failed ? `${failed} failed` : '',
  ].filter(Boolean);
  const text = done === total ? `${plural(total, 'file')} ready` : parts.join(' · ');
  return { total, failed, done, busy: waiting + sending + reading > 0, share: all ? past / all : 0, text };
}
