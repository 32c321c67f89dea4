import { describe, expect, it } from 'vitest';
import type { Link } from './api';
import { changeOf, draftOf, emptyDraft, newLink, pastedLinks, tagsOf } from './draft';

const link: Link = {
  code: 'docs',
  short_url: 'http://links.localhost/docs',
  url: 'https://docs.example/',
  title: 'Docs',
  tags: ['a', 'b'],
  status: 302,
  created_at: '2026-01-01T00:00:00Z',
  expires_at: '2027-01-31T12:00:00Z',
  max_clicks: 10,
  clicks_left: 3,
  has_password: true,
  enabled: true,
  state: 'active',
  anonymous: false,
};

describe('newLink', () => {
  it('sends only what was filled in', () => {
    expect(newLink({ ...emptyDraft(), url: ' example.org/x ' })).toEqual({ url: 'https://example.org/x' });
  });
  it('sends all of it', () => {
    const draft = { ...emptyDraft(), url: 'https://a.example', alias: ' spring ', title: 'T', tags: '#a, b;a', expiry: '3600', password: ' p ', maxClicks: '5', status: '301', reuse: true };
    expect(newLink(draft)).toEqual({ url: 'https://a.example', alias: 'spring', title: 'T', tags: ['a', 'b'], ttl: 3600, password: ' p ', max_clicks: 5, status: 301, reuse: true });
  });
  it('turns a date on the reader’s clock into a moment', () => {
    const expires = newLink({ ...emptyDraft(), url: 'a.example', expiry: 'at', expiresAt: '2027-01-31T12:00' }).expires_at;
    expect(expires).toBe(new Date(2027, 0, 31, 12).toISOString());
  });
});

describe('changeOf', () => {
  it('is empty when nothing changed', () => {
    expect(changeOf(link, draftOf(link), false)).toEqual({});
    expect(changeOf({ ...link, expires_at: '2027-01-31T12:00:31Z' }, draftOf({ ...link, expires_at: '2027-01-31T12:00:31Z' }), false)).toEqual({});
  });
  it('clears with null', () => {
    const draft = { ...draftOf(link), title: '', tags: '', expiry: '', maxClicks: '' };
    expect(changeOf(link, draft, true)).toEqual({ title: null, tags: [], expires_at: null, max_clicks: null, password: null });
  });
  it('counts a preset from now', () => {
    const now = new Date('2026-06-01T00:00:00Z');
    expect(changeOf(link, { ...draftOf(link), expiry: '3600' }, false, now)).toEqual({ expires_at: '2026-06-01T01:00:00.000Z' });
  });
  it('sets what is new', () => {
    const draft = { ...draftOf(link), url: 'other.example', status: '308', password: 'secret' };
    expect(changeOf(link, draft, false)).toEqual({ url: 'https://other.example', status: 308, password: 'secret' });
  });
});

describe('pastedLinks', () => {
  it('reads an address and an alias a line', () => {
    expect(pastedLinks('https://a.example/x\r\n\n  b.example spring \nc.example,autumn\t\n')).toEqual([
      { url: 'https://a.example/x' },
      { url: 'https://b.example', alias: 'spring' },
      { url: 'https://c.example', alias: 'autumn' },
    ]);
  });
  it('leaves out the names of columns', () => {
    expect(pastedLinks('url,alias\na.example,x')).toEqual([{ url: 'https://a.example', alias: 'x' }]);
    expect(pastedLinks('urlscan.example/a')).toHaveLength(1);
  });
});

describe('tagsOf', () => {
  it('knows each tag once', () => {
    expect(tagsOf(' a, #b ;a,, c d ')).toEqual(['a', 'b', 'c d']);
  });
});
