/** A new link or a change of one, from what was typed. Pure, so that it can be tested. */
import { toLocalInput, withScheme } from '../../platform/format';
import { REDIRECTS, type Link, type LinkChange, type NewLink, type Redirect } from './api';

/** What the fields hold. */
export interface Draft {
  url: string;
  alias: string;
  title: string;
  tags: string;
  /** Empty for never, `at` for a date, else seconds. */
  expiry: string;
  /** `datetime-local`, on the reader's clock. */
  expiresAt: string;
  password: string;
  maxClicks: string;
  status: string;
  reuse: boolean;
}

/** What the fields of a link are called where the server says what is wrong with them. */
export const FIELDS = ['url', 'alias', 'title', 'tags', 'expires_at', 'ttl', 'max_clicks', 'password', 'status'] as const;

export const EXPIRIES: readonly { value: string; label: string }[] = [
  { value: '', label: 'Never' },
  { value: '3600', label: 'In an hour' },
  { value: '86400', label: 'In a day' },
  { value: '604800', label: 'In a week' },
  { value: '2592000', label: 'In 30 days' },
  { value: 'at', label: 'At a date and time' },
];

export const REDIRECT_LABELS: Record<Redirect, string> = {
  301: '301 permanent (browsers may skip us for a while)',
  302: '302 found (every click is counted)',
  303: '303 see other',
  307: '307 temporary, keeps the method',
  308: '308 permanent, keeps the method',
};

export const emptyDraft = (): Draft => ({
  url: '',
  alias: '',
  title: '',
  tags: '',
  expiry: '',
  expiresAt: '',
  password: '',
  maxClicks: '',
  status: '',
  reuse: false,
});

export const draftOf = (link: Link): Draft => ({
  ...emptyDraft(),
  url: link.url,
  title: link.title ?? '',
  tags: link.tags.join(', '),
  expiry: link.expires_at ? 'at' : '',
  expiresAt: link.expires_at ? toLocalInput(link.expires_at) : '',
  maxClicks: link.max_clicks?.toString() ?? '',
  status: String(link.status),
});

export const tagsOf = (typed: string): string[] => [
  ...new Set(
    typed
      .split(/[,;\n]/)
      .map((tag) => tag.trim().replace(/^#/, ''))
      .filter(Boolean),
  ),
];

const redirectOf = (typed: string): Redirect | undefined => REDIRECTS.find((status) => String(status) === typed);

/** Only what was filled in is sent, so that the server's own defaults hold. */
export function newLink(draft: Draft): NewLink {
  const link: NewLink = { url: withScheme(draft.url) };
  if (draft.alias.trim()) link.alias = draft.alias.trim();
  if (draft.title.trim()) link.title = draft.title.trim();
  if (draft.expiry === 'at') {
    if (draft.expiresAt) link.expires_at = new Date(draft.expiresAt).toISOString();
  } else if (draft.expiry) link.ttl = Number(draft.expiry);
  if (draft.password) link.password = draft.password;
  if (draft.maxClicks) link.max_clicks = Number(draft.maxClicks);
  if (draft.reuse) link.reuse = true;
  const tags = tagsOf(draft.tags);
  if (tags.length) link.tags = tags;
  const status = redirectOf(draft.status);
  if (status) link.status = status;
  return link;
}

/** What differs between a link and its edited draft. A password is only ever set anew; `null` takes it away. */
export function changeOf(link: Link, draft: Draft, dropPassword: boolean, now: Date = new Date()): LinkChange {
  const before = draftOf(link);
  const change: LinkChange = {};
  if (withScheme(draft.url) !== link.url) change.url = withScheme(draft.url);
  if (draft.title.trim() !== before.title) change.title = draft.title.trim() || null;
  if (tagsOf(draft.tags).join() !== link.tags.join()) change.tags = tagsOf(draft.tags);
  if (draft.expiry === '') {
    if (link.expires_at) change.expires_at = null;
  } else if (draft.expiry === 'at') {
    if (draft.expiresAt && draft.expiresAt !== before.expiresAt)
      change.expires_at = new Date(draft.expiresAt).toISOString();
  } else change.expires_at = new Date(now.getTime() + Number(draft.expiry) * 1000).toISOString();
  if (draft.maxClicks !== before.maxClicks) change.max_clicks = draft.maxClicks ? Number(draft.maxClicks) : null;
  const status = redirectOf(draft.status);
  if (status && status !== link.status) change.status = status;
  if (dropPassword) change.password = null;
  else if (draft.password) change.password = draft.password;
  return change;
}

/**
 * Links from pasted lines: an address, and after white space, a comma or a tab an alias. A first line that only names
 * the columns and empty lines are left out.
 */
export function pastedLinks(text: string): NewLink[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line, i) => line !== '' && !(i === 0 && /^"?url"?([,;\t]|$)/i.test(line)))
    .map((line) => {
      const [url = '', alias] = line.split(/[\s,;]+/);
      return { url: withScheme(url), ...(alias && { alias }) };
    });
}
