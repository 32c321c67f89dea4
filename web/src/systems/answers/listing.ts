/** Documents of a collection while they change: a page that was asked for, and what is heard meanwhile. Pure. */
import type { Doc, State } from './api';

const at = ({ updated_at }: Doc): number => Date.parse(updated_at);

/** Of two states of a document the later; of the same moment the second, which was heard last. */
export const newer = (first: Doc, second: Doc | undefined): Doc => (second && at(second) >= at(first) ? second : first);

/** What was heard since a page was asked for: documents as they are, null for those that are gone. */
export type Heard = ReadonlyMap<string, Doc | null>;

/**
 * A page with what was heard while it was on its way, newest first: ids are in the order of time. `from` says which of
 * those that aren't on it belong to it: all, those newer than its last, or none, since they stand on other pages.
 */
export function merged(page: readonly Doc[], heard: Heard, from: 'all' | 'newer' | 'none'): Doc[] {
  const found = new Map(page.map((doc) => [doc.id, doc]));
  const last = page.at(-1);
  for (const [id, doc] of heard) {
    const there = found.get(id);
    if (doc === null) found.delete(id);
    else if (there) found.set(id, newer(there, doc));
    else if (from === 'all' || (from === 'newer' && last && byId(doc, last) < 0)) found.set(id, doc);
  }
  return [...found.values()].sort(byId);
}

/** A list after one of its documents has changed. */
export function put(list: readonly Doc[], doc: Doc): readonly Doc[] {
  const place = list.findIndex(({ id }) => id === doc.id);
  const there = list[place];
  if (there) return list.with(place, newer(there, doc));
  return [...list, doc].sort(byId);
}

/** Ids are numbers of up to 19 digits without leading zeros. */
function byId(first: Doc, second: Doc): number {
  return second.id.length - first.id.length || (second.id > first.id ? 1 : second.id < first.id ? -1 : 0);
}

/** Those in a state that have all of the tags. */
export const fitting = (list: readonly Doc[], state: State | '', tags: readonly string[]): Doc[] =>
  list.filter((doc) => (!state || doc.state === state) && tags.every((tag) => doc.tags.includes(tag)));

/** All tags, those of most documents first. */
export function tagsIn(list: readonly Doc[]): string[] {
  const counts = new Map<string, number>();
  for (const { tags } of list) for (const tag of tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return [...counts].sort(([a, n], [b, m]) => m - n || a.localeCompare(b)).map(([tag]) => tag);
}
