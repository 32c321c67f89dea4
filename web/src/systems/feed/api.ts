/** The Mastodon client API of feed, as its pages use it. */
import type { Query } from '../../platform/api';
import { client, upload, type Page } from './client';
import type {
  Account, Context, Found, Limits, Media, Notice, Relationship, Status, StatusEdit, Tag, UserList, Visibility,
} from './entities';

export interface NewStatus {
  status: string;
  in_reply_to_id?: string;
  media_ids?: string[];
  /** Alt texts of media that a post already has. */
  media_attributes?: { id: string; description: string }[];
  visibility?: Visibility;
  spoiler_text?: string;
  sensitive?: boolean;
}

export type Act = 'favourite' | 'reblog' | 'bookmark' | 'pin';
export type Bond = 'follow' | 'block' | 'mute';
export type FoundType = 'accounts' | 'statuses' | 'hashtags';
export type Fetch<T> = (query: Query, signal?: AbortSignal) => Promise<Page<T>>;

interface Instance {
  configuration?: {
    statuses?: { max_characters?: number; characters_reserved_per_url?: number; max_media_attachments?: number };
    media_attachments?: { description_limit?: number };
  };
}

const many = (name: string, values: readonly string[]): string => values.map((value) => `${name}[]=${encodeURIComponent(value)}`).join('&');

export function feedApi(api: string) {
  const v1 = `${api}v1/`;
  const v2 = `${api}v2/`;
  const status = (id: string, rest = ''): string => `${v1}statuses/${encodeURIComponent(id)}${rest}`;
  const account = (id: string, rest = ''): string => `${v1}accounts/${encodeURIComponent(id)}${rest}`;
  const list = (id: string, rest = ''): string => `${v1}lists/${encodeURIComponent(id)}${rest}`;
  const paged =
    <T>(path: string, fixed: Query = {}): Fetch<T> =>
    (query, signal) =>
      client.page<T>(path, { ...fixed, ...query }, signal);

  return {
    limits: async (): Promise<Limits> => {
      const { configuration } = await client.get<Instance>(`${v2}instance`);
      return {
        characters: configuration?.statuses?.max_characters ?? LIMITS.characters,
        url: configuration?.statuses?.characters_reserved_per_url ?? LIMITS.url,
        media: configuration?.statuses?.max_media_attachments ?? LIMITS.media,
        description: configuration?.media_attachments?.description_limit ?? LIMITS.description,
      };
    },

    me: () => client.get<Account>(`${v1}accounts/verify_credentials`),
    changeMe: (form: FormData) => client.patch<Account>(`${v1}accounts/update_credentials`, form, { timeout: 60 }),
    lookup: (acct: string) => client.get<Account>(`${v1}accounts/lookup`, { query: { acct } }),
    accounts: (q: string, signal?: AbortSignal) => client.get<Account[]>(`${v1}accounts/search`, { query: { q, limit: 5 }, signal }),
    relationships: (ids: readonly string[]) => client.get<Relationship[]>(`${v1}accounts/relationships?${many('id', ids)}`),
    bind: (id: string, bond: Bond, on: boolean) => client.post<Relationship>(account(id, `/${on ? '' : 'un'}${bond}`)),
    accountPosts: (id: string, filter: Query) => paged<Status>(account(id, '/statuses'), filter),
    followers: (id: string) => paged<Account>(account(id, '/followers')),
    following: (id: string) => paged<Account>(account(id, '/following')),

    read: (id: string) => client.get<Status>(status(id)),
    context: (id: string) => client.get<Context>(status(id, '/context')),
    history: (id: string) => client.get<StatusEdit[]>(status(id, '/history')),
    source: (id: string) => client.get<{ text: string; spoiler_text: string }>(status(id, '/source')),
    likedBy: (id: string) => paged<Account>(status(id, '/favourited_by')),
    repostedBy: (id: string) => paged<Account>(status(id, '/reblogged_by')),
    write: (post: NewStatus, key: string) => client.post<Status>(`${v1}statuses`, post, { headers: { 'idempotency-key': key } }),
    rewrite: (id: string, post: NewStatus) => client.put<Status>(status(id), post),
    remove: (id: string) => client.delete<Status>(status(id)),
    act: (id: string, act: Act, on: boolean) => client.post<Status>(status(id, `/${on ? '' : 'un'}${act}`)),

    home: paged<Status>(`${v1}timelines/home`),
    local: paged<Status>(`${v1}timelines/public`, { local: true }),
    tag: (tag: string) => paged<Status>(`${v1}timelines/tag/${encodeURIComponent(tag)}`),
    list: (id: string) => paged<Status>(`${v1}timelines/list/${encodeURIComponent(id)}`),
    bookmarks: paged<Status>(`${v1}bookmarks`),
    likes: paged<Status>(`${v1}favourites`),

    search: (q: string, query: { type?: FoundType; limit?: number; offset?: number }, signal?: AbortSignal) =>
      client.get<Found>(`${v2}search`, { query: { q, ...query }, signal }),
    trendingTags: (limit: number) => client.get<Tag[]>(`${v1}trends/tags`, { query: { limit } }),
    trendingPosts: paged<Status>(`${v1}trends/statuses`),
    suggestions: (limit: number) => client.get<{ account: Account }[]>(`${v2}suggestions`, { query: { limit } }),

    notices: (mentionsOnly: boolean) => paged<Notice>(`${v1}notifications`, mentionsOnly ? { 'types[]': 'mention' } : {}),
    /** The newest notification that was looked at, on any device; empty when none was. */
    readUntil: async (): Promise<string> => {
      const { notifications } = await client.get<{ notifications?: { last_read_id: string } }>(`${v1}markers?timeline[]=notifications`);
      return notifications?.last_read_id ?? '';
    },
    markRead: (id: string) => client.post(`${v1}markers`, { notifications: { last_read_id: id } }),
    clearNotices: () => client.post(`${v1}notifications/clear`),

    lists: () => client.get<UserList[]>(`${v1}lists`),
    readList: (id: string) => client.get<UserList>(list(id)),
    addList: (title: string) => client.post<UserList>(`${v1}lists`, { title }),
    renameList: (id: string, title: string) => client.put<UserList>(list(id), { title }),
    removeList: (id: string) => client.delete(list(id)),
    members: (id: string) => paged<Account>(list(id, '/accounts')),
    listsOf: (id: string) => client.get<UserList[]>(account(id, '/lists')),
    addMember: (id: string, member: string) => client.post(list(id, '/accounts'), { account_ids: [member] }),
    removeMember: (id: string, member: string) => client.delete(`${list(id, '/accounts')}?${many('account_ids', [member])}`),

    upload: (file: File, onProgress: (share: number) => void, signal: AbortSignal) => {
      const form = new FormData();
      form.append('file', file);
      return upload<Media>(`${v2}media`, form, onProgress, signal);
    },
    media: (id: string) => client.get<Media>(`${v1}media/${encodeURIComponent(id)}`),
    describe: (id: string, description: string) => client.put<Media>(`${v1}media/${encodeURIComponent(id)}`, { description }),

    stream: (name: 'user' | 'public' | 'hashtag', query: Query = {}): string => {
      const search = new URLSearchParams(query as Record<string, string>).toString();
      return `${v1}streaming/${name}${search ? `?${search}` : ''}`;
    },
  };
}

export type FeedApi = ReturnType<typeof feedApi>;

/** What holds until the server has said otherwise. */
export const LIMITS: Limits = { characters: 280, url: 23, media: 4, description: 1500 };
