/** The list of threads as people look for them: by when they were last used. Pure. */
import type { Thread } from './api';

export interface Group {
  label: string;
  threads: Thread[];
}

const DAY = 86_400_000;
const month = new Intl.DateTimeFormat('en', { month: 'long' });
const monthAndYear = new Intl.DateTimeFormat('en', { month: 'long', year: 'numeric' });

/** When it was, in the words of a heading, on the reader's clock. */
function since(when: Date, now: Date): string {
  const today = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
  if (when.getTime() >= today) return 'Today';
  if (when.getTime() >= today - DAY) return 'Yesterday';
  if (when.getTime() >= today - 6 * DAY) return 'This week';
  if (when.getTime() >= today - 29 * DAY) return 'Last 30 days';
  return (when.getFullYear() === now.getFullYear() ? month : monthAndYear).format(when);
}

/** Threads, newest first, under headings; the order stays. */
export function grouped(threads: readonly Thread[], now = new Date()): Group[] {
  const groups: Group[] = [];
  for (const thread of threads) {
    const label = since(new Date(thread.updated_at), now);
    const last = groups.at(-1);
    if (last?.label === label) last.threads.push(thread);
    else groups.push({ label, threads: [thread] });
  }
  return groups;
}

/** `fresh` in front of `old`, each thread once, newest first. */
export function merged(old: readonly Thread[], fresh: readonly Thread[]): Thread[] {
  const known = new Set(fresh.map(({ id }) => id));
  return [...fresh, ...old.filter(({ id }) => !known.has(id))].sort((a, b) => Date.parse(b.updated_at) - Date.parse(a.updated_at));
}

/** What a thread is called: its title, or until it has one, what it is. */
export const titleOf = (thread: Pick<Thread, 'title'> | null): string => thread?.title.trim() || 'New chat';
