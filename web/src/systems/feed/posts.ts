/** What happens to a list of posts, as pure functions: each returns the same list when nothing in it changed. */
import type { Status } from './entities';

export type Posts = readonly Status[];

/** Newest first: ids are numbers as text, and grow with time. */
export const newerFirst = (a: { id: string }, b: { id: string }): number =>
  b.id.length - a.id.length || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);

/** The post that an entry shows: itself, or what it reposts. */
export const shownIn = (entry: Status): Status => entry.reblog ?? entry;

/** The list with those of `arrivals` that it hasn't got, all newest first. */
export function merged(list: Posts, arrivals: Posts): Posts {
  const known = new Set(list.map((entry) => entry.id));
  const fresh = arrivals.filter((entry) => !known.has(entry.id) && known.add(entry.id));
  return fresh.length ? [...fresh, ...list].sort(newerFirst) : list;
}

/** The list with the next page below it; pages may overlap when something arrived between the two. */
export function appended<T extends { id: string }>(list: readonly T[], page: readonly T[]): readonly T[] {
  const known = new Set(list.map((entry) => entry.id));
  const fresh = page.filter((entry) => !known.has(entry.id));
  return fresh.length ? [...list, ...fresh] : list;
}

/** The list without what `goes` is true of. */
const filtered = (list: Posts, goes: (entry: Status) => boolean): Posts => {
  const left = list.filter((entry) => !goes(entry));
  return left.length < list.length ? left : list;
};

/** The list without a deleted post and every repost of it. */
export const without = (list: Posts, id: string): Posts => filtered(list, (entry) => entry.id === id || entry.reblog?.id === id);

/** The list without what somebody wrote, reposted or is reposted with. */
export const withoutAuthor = (list: Posts, account: string): Posts =>
  filtered(list, (entry) => entry.account.id === account || entry.reblog?.account.id === account);

/** The list with a post changed wherever it is shown. */
export function revised(list: Posts, id: string, change: (post: Status) => Status): Posts {
  if (!list.some((entry) => shownIn(entry).id === id)) return list;
  return list.map((entry) => {
    if (entry.reblog?.id === id) return { ...entry, reblog: change(entry.reblog) };
    return entry.id === id ? change(entry) : entry;
  });
}

/** A post as it is after an edit that was announced to everybody: what the reader did with it isn't part of that. */
export const edited =
  (now: Status) =>
  (before: Status): Status => ({
    ...now,
    favourited: before.favourited ?? false,
    reblogged: before.reblogged ?? false,
    bookmarked: before.bookmarked ?? false,
  });

const MARKS = {
  favourite: { is: 'favourited', count: 'favourites_count' },
  reblog: { is: 'reblogged', count: 'reblogs_count' },
  bookmark: { is: 'bookmarked', count: null },
  pin: { is: 'pinned', count: null },
} as const;
export type MarkName = keyof typeof MARKS;

export const isMarked = (post: Status, mark: MarkName): boolean => post[MARKS[mark].is] ?? false;

/** The post as it will be once the server has heard of it. */
export function marked(post: Status, mark: MarkName, on: boolean): Status {
  if (isMarked(post, mark) === on) return post;
  const { is, count } = MARKS[mark];
  return { ...post, [is]: on, ...(count && { [count]: Math.max(0, post[count] + (on ? 1 : -1)) }) };
}

export interface Placed {
  post: Status;
  /** How many replies deep below the post that the thread is about. */
  depth: number;
}

/** Replies in the order of reading: each right below what it answers, the oldest first. */
export function threaded(focus: string, replies: Posts): Placed[] {
  const children = new Map<string, Status[]>();
  for (const reply of [...replies].sort((a, b) => newerFirst(b, a)))
    children.set(reply.in_reply_to_id ?? focus, [...(children.get(reply.in_reply_to_id ?? focus) ?? []), reply]);
  const placed: Placed[] = [];
  const seen = new Set<string>();
  // A stack instead of recursion: a thread may be as long as people like.
  const waiting = (children.get(focus) ?? []).map((post) => ({ post, depth: 0 })).reverse();
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { post, depth } = next;
    if (seen.has(post.id)) continue;
    seen.add(post.id);
    placed.push(next);
    waiting.push(...(children.get(post.id) ?? []).map((child) => ({ post: child, depth: depth + 1 })).reverse());
  }
  // Answers to what was deleted still belong here.
  return [...placed, ...replies.filter((reply) => !seen.has(reply.id)).map((post) => ({ post, depth: 0 }))];
}
