/** Links that this browser made without an account: nobody else remembers whose they are. */
import type { Link } from './api';

const KEY = 'tenfold.links';
const MOST = 50;

function stored(): Link[] {
  try {
    const links: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(links) ? (links as Link[]).filter((link) => typeof link?.code === 'string') : [];
  } catch {
    return [];
  }
}

class Kept {
  links = $state.raw<readonly Link[]>(stored());

  add(link: Link): void {
    this.#set([link, ...this.links.filter((other) => other.code !== link.code)].slice(0, MOST));
  }

  forget(code: string): void {
    this.#set(this.links.filter((link) => link.code !== code));
  }

  #set(links: Link[]): void {
    this.links = links;
    try {
      localStorage.setItem(KEY, JSON.stringify(links));
    } catch {
      // Storage is refused or full: they stay until the page is closed.
    }
  }
}

export const kept = new Kept();
