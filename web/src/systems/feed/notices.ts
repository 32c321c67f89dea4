/** Notifications as people read them: what happened to the same post in a row is one line. Pure. */
import type { Account, Notice, Status } from './entities';

export interface Group {
  key: string;
  type: string;
  /** Newest first, each once. */
  accounts: Account[];
  status: Status | null;
  created_at: string;
  /** Of the newest notification in it. */
  id: string;
}

const GROUPED = ['favourite', 'reblog', 'follow'];

export function grouped(notices: readonly Notice[]): Group[] {
  const groups: Group[] = [];
  for (const { id, type, account, status, created_at } of notices) {
    const last = groups.at(-1);
    if (last && last.type === type && GROUPED.includes(type) && last.status?.id === status?.id) {
      if (!last.accounts.some((other) => other.id === account.id)) last.accounts.push(account);
      // The oldest names the group, so that it stays the same element when it grows at the top.
      last.key = id;
    } else groups.push({ key: id, id, type, accounts: [account], status: status ?? null, created_at });
  }
  return groups;
}

const ON_A_POST: Readonly<Record<string, string>> = {
  favourite: 'liked your post',
  reblog: 'reposted your post',
  mention: 'mentioned you',
  status: 'posted',
  update: 'edited a post you reposted',
  follow: 'followed you',
  follow_request: 'asked to follow you',
  poll: 'ran a poll that has ended',
};

export const verbOf = (type: string): string => ON_A_POST[type] ?? 'did something';
