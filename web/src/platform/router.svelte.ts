/** The address bar as state, and links that change it without loading the shell again. */
import { untrack, type Component } from 'svelte';
import { home, shared, systems, type SystemEntry } from '../systems';
import { bareHost, locate, match, type Match, type Place } from './route';

export interface PageProps {
  /** Where this system's pages begin: `/links/` or `/`. */
  base: string;
  /** Where this system's API begins: `{base}api/`. */
  api: string;
  params: Record<string, string>;
}

/** A page; one that needs none of the props doesn't name them. */
export type Page = Component<PageProps> | Component<Record<string, never>>;
export type PageLoader = () => Promise<{ default: Page }>;

export interface Found extends Match<PageLoader> {
  place: Place;
  system: SystemEntry | null;
}

const names = systems.map((system) => system.name);

/** The page an address leads to, or null when the server has to answer it (short links, files, the API). */
export function find(url: URL): Found | null {
  const place = locate(url.hostname, url.pathname, names);
  const system = systems.find((entry) => entry.name === place.system) ?? null;
  if (place.shared) return { place, system, page: shared[place.shared], params: {} };
  const found = match(system ? system.pages : { '': home }, place.path);
  return found && { ...found, place, system };
}

class Router {
  url = $state.raw(new URL(window.location.href));
  found = $derived(find(this.url));
  /** Pages that were opened here one from another: with more than one, the way back leads to one of ours. */
  visited = 1;

  /** The bare host's home page, from wherever we are. */
  get home(): string {
    const host = bareHost(this.url.host, names);
    return host === this.url.host ? '/' : `${this.url.protocol}//${host}/`;
  }

  go(href: string, { replace = false } = {}): void {
    // Effects call this too; they mustn't run again because the address changed.
    const here = untrack(() => this.url);
    const url = new URL(href, here);
    if (url.origin !== here.origin || !find(url)) {
      window.location.assign(url);
      return;
    }
    history[replace ? 'replaceState' : 'pushState'](null, '', url);
    if (!replace) this.visited += 1;
    this.url = url;
    if (!replace) window.scrollTo({ top: 0, behavior: 'instant' });
  }

  /** Keeps the query of a page in step with its filters, without a new entry in the history. */
  setQuery(query: Record<string, string>): void {
    const here = untrack(() => this.url);
    const url = new URL(here);
    for (const [name, value] of Object.entries(query)) {
      if (value) url.searchParams.set(name, value);
      else url.searchParams.delete(name);
    }
    if (url.href !== here.href) this.go(url.href, { replace: true });
  }

  /** Takes over plain clicks on links to pages; everything else is the browser's. */
  start(): () => void {
    const onClick = (event: MouseEvent): void => {
      if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
        return;
      const anchor = (event.target as Element).closest<HTMLAnchorElement>('a[href]');
      if (!anchor || anchor.target || anchor.hasAttribute('download')) return;
      const url = new URL(anchor.href);
      if (url.origin !== this.url.origin || !find(url)) return;
      if (url.hash && url.pathname === this.url.pathname && url.search === this.url.search) return;
      event.preventDefault();
      this.go(url.href);
    };
    const onPop = (): void => {
      this.url = new URL(window.location.href);
    };
    document.addEventListener('click', onClick);
    window.addEventListener('popstate', onPop);
    return () => {
      document.removeEventListener('click', onClick);
      window.removeEventListener('popstate', onPop);
    };
  }
}

export const router = new Router();
