import { describe, expect, it } from 'vitest';
import { bareHost, locate, match, safeNext } from './route';

const SYSTEMS = ['links', 'feed'];

describe('locate', () => {
  it('finds the system by the first segment of the path', () => {
    expect(locate('localhost', '/links/app/x7', SYSTEMS)).toEqual({ system: 'links', base: '/links/', path: 'app/x7', shared: null });
    expect(locate('localhost', '/links', SYSTEMS)).toMatchObject({ system: 'links', base: '/links/', path: '' });
  });
  it('finds the system by the first label of the host, and then the path is all its own', () => {
    expect(locate('links.localhost', '/app/x7', SYSTEMS)).toEqual({ system: 'links', base: '/', path: 'app/x7', shared: null });
    expect(locate('links.example.org', '/feed/', SYSTEMS)).toMatchObject({ system: 'links', base: '/', path: 'feed/' });
  });
  it('leaves the bare host to no system', () => {
    expect(locate('127.0.0.1', '/', SYSTEMS)).toEqual({ system: null, base: '/', path: '', shared: null });
    expect(locate('linksy.localhost', '/linksy/', SYSTEMS).system).toBeNull();
  });
  it('knows the pages that every host has', () => {
    expect(locate('links.localhost', '/signin', SYSTEMS)).toMatchObject({ system: 'links', shared: 'signin' });
    expect(locate('localhost', '/account', SYSTEMS)).toMatchObject({ system: null, shared: 'account' });
    expect(locate('localhost', '/links/signin', SYSTEMS).shared).toBeNull();
  });
  it('finds the page of consent wherever a client begins', () => {
    for (const [host, path] of [['localhost', '/oauth/authorize'], ['feed.localhost', '/oauth/authorize'], ['localhost', '/feed/oauth/authorize']] as const)
      expect(locate(host, path, SYSTEMS).shared).toBe('oauth/authorize');
    expect(locate('localhost', '/feed/oauth/authorize', SYSTEMS).base).toBe('/feed/');
    expect(locate('localhost', '/oauth/token', SYSTEMS).shared).toBeNull();
  });
});

describe('bareHost', () => {
  it('takes a system off the front and nothing else', () => {
    expect(bareHost('links.localhost:8080', SYSTEMS)).toBe('localhost:8080');
    expect(bareHost('localhost:8080', SYSTEMS)).toBe('localhost:8080');
    expect(bareHost('www.example.org', SYSTEMS)).toBe('www.example.org');
  });
});

describe('match', () => {
  const pages = { '': 'list', 'app/import': 'import', 'app/:code': 'link' };
  it('prefers what stands first', () => {
    expect(match(pages, '')).toEqual({ page: 'list', params: {} });
    expect(match(pages, 'app/import')).toEqual({ page: 'import', params: {} });
    expect(match(pages, 'app/x7/')).toEqual({ page: 'link', params: { code: 'x7' } });
  });
  it('decodes parameters and refuses what can’t be decoded', () => {
    expect(match(pages, 'app/caf%C3%A9')?.params).toEqual({ code: 'café' });
    expect(match(pages, 'app/%E0%A4%A')).toBeNull();
  });
  it('knows segments that begin with a sign', () => {
    const people = { '@:name': 'person', '@:name/:id': 'post' };
    expect(match(people, '@ada')).toEqual({ page: 'person', params: { name: 'ada' } });
    expect(match(people, '@ada/17')).toEqual({ page: 'post', params: { name: 'ada', id: '17' } });
    for (const path of ['@', 'ada', '@/17', '@ada/']) expect(match(people, path)?.params.id).toBeUndefined();
    for (const path of ['@', 'ada', '@/17']) expect(match(people, path)).toBeNull();
  });
  it('leaves other paths to the server', () => {
    for (const path of ['x7Yz', 'api/docs', 'app', 'app/x7/more']) expect(match(pages, path)).toBeNull();
  });
});

describe('safeNext', () => {
  it('stays on this site', () => {
    expect(safeNext('/links/?q=a#b', '/')).toBe('/links/?q=a#b');
    for (const next of [null, '', 'links', '//evil.example', '/\\evil.example', 'https://evil.example/', 'javascript:alert(1)', '/\t/evil.example'])
      expect(safeNext(next, '/home')).toBe('/home');
  });
});
