/** The entities of the Mastodon client API, as far as the pages use them. Ids are 64-bit numbers, as text. */

export interface Account {
  id: string;
  username: string;
  /** `name`, or `name@elsewhere` for people of other servers. */
  acct: string;
  display_name: string;
  locked: boolean;
  bot: boolean;
  created_at: string;
  /** HTML. */
  note: string;
  url: string;
  avatar: string;
  header: string;
  followers_count: number;
  following_count: number;
  statuses_count: number;
  /** `value` is HTML. */
  fields: readonly { name: string; value: string }[];
  /** What was typed, for the owner. */
  source?: { note: string };
}

export const VISIBILITIES = ['public', 'unlisted', 'private', 'direct'] as const;
export type Visibility = (typeof VISIBILITIES)[number];

export interface Media {
  id: string;
  type: 'image' | 'gifv' | 'video' | 'audio' | 'unknown';
  /** null while it is being prepared. */
  url: string | null;
  preview_url: string | null;
  description: string | null;
  blurhash: string | null;
  meta?: { original?: { width?: number; height?: number }; focus?: { x: number; y: number } } | null;
}

export interface Mention {
  id: string;
  acct: string;
  url: string;
}

export interface Status {
  id: string;
  created_at: string;
  edited_at: string | null;
  in_reply_to_id: string | null;
  in_reply_to_account_id: string | null;
  sensitive: boolean;
  spoiler_text: string;
  visibility: Visibility;
  url: string | null;
  /** HTML. */
  content: string;
  account: Account;
  reblog: Status | null;
  media_attachments: readonly Media[];
  mentions: readonly Mention[];
  replies_count: number;
  reblogs_count: number;
  favourites_count: number;
  /** What the reader did with it; absent where the server doesn't know who reads. */
  favourited?: boolean;
  reblogged?: boolean;
  bookmarked?: boolean;
  pinned?: boolean;
}

export interface Context {
  ancestors: Status[];
  descendants: Status[];
}

export interface StatusEdit {
  content: string;
  spoiler_text: string;
  created_at: string;
  media_attachments: readonly Media[];
}

export interface Relationship {
  id: string;
  following: boolean;
  followed_by: boolean;
  requested: boolean;
  blocking: boolean;
  muting: boolean;
}

export interface Notice {
  id: string;
  type: string;
  created_at: string;
  account: Account;
  status?: Status | null;
}

export interface Tag {
  name: string;
  /** By day, newest first; the numbers are text. */
  history?: readonly { day: string; uses: string; accounts: string }[];
}

export interface UserList {
  id: string;
  title: string;
}

export interface Found {
  accounts: Account[];
  statuses: Status[];
  hashtags: Tag[];
}

export interface Limits {
  /** Characters of a post, and how many of them an address counts as. */
  characters: number;
  url: number;
  media: number;
  description: number;
}
