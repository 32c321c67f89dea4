/** The one list of systems: a system's name, what its header offers and its pages, each loaded when it is opened. */
import type { PageLoader } from '../platform/router.svelte';
import type { Shared } from '../platform/route';

export interface SystemEntry {
  name: string;
  title: string;
  /** Entries of the header; paths are relative to the system's base. */
  nav: readonly { label: string; path: string }[];
  /** Page by path relative to the system's base; `:name` takes one segment. The server answers the same paths. */
  pages: Readonly<Record<string, PageLoader>>;
}

export const systems: readonly SystemEntry[] = [
  {
    name: 'links',
    title: 'Links',
    nav: [
      { label: 'Links', path: '' },
      { label: 'Import', path: 'app/import' },
    ],
    pages: {
      '': () => import('./links/LinksPage.svelte'),
      'app/import': () => import('./links/ImportPage.svelte'),
      'app/:code': () => import('./links/LinkPage.svelte'),
    },
  },
  {
    name: 'feed',
    title: 'Feed',
    nav: [{ label: 'Feed', path: '' }],
    pages: {
      '': () => import('./feed/HomePage.svelte'),
      explore: () => import('./feed/ExplorePage.svelte'),
      search: () => import('./feed/SearchPage.svelte'),
      notifications: () => import('./feed/NotificationsPage.svelte'),
      bookmarks: () => import('./feed/SavedPage.svelte'),
      favourites: () => import('./feed/SavedPage.svelte'),
      lists: () => import('./feed/ListsPage.svelte'),
      'lists/:id': () => import('./feed/ListPage.svelte'),
      'tags/:tag': () => import('./feed/TagPage.svelte'),
      '@:name': () => import('./feed/ProfilePage.svelte'),
      '@:name/followers': () => import('./feed/PeoplePage.svelte'),
      '@:name/following': () => import('./feed/PeoplePage.svelte'),
      '@:name/:id': () => import('./feed/ThreadPage.svelte'),
    },
  },
  {
    name: 'chat',
    title: 'Chat',
    nav: [
      { label: 'Chat', path: 'app' },
      { label: 'Usage', path: 'app/usage' },
    ],
    pages: {
      '': () => import('./chat/ThreadPage.svelte'),
      app: () => import('./chat/ThreadPage.svelte'),
      'app/usage': () => import('./chat/UsagePage.svelte'),
      'app/t/:id': () => import('./chat/ThreadPage.svelte'),
    },
  },
  {
    name: 'answers',
    title: 'Answers',
    nav: [{ label: 'Collections', path: '' }],
    pages: {
      '': () => import('./answers/CollectionsPage.svelte'),
      'app/:id': () => import('./answers/CollectionPage.svelte'),
      'app/:id/:doc': () => import('./answers/ViewerPage.svelte'),
    },
  },
  {
    name: 'messages',
    title: 'Messages',
    nav: [{ label: 'Messages', path: 'app' }],
    pages: {
      '': () => import('./messages/MessagesPage.svelte'),
      app: () => import('./messages/MessagesPage.svelte'),
      'app/settings': () => import('./messages/SettingsPage.svelte'),
      'app/c/:id': () => import('./messages/MessagesPage.svelte'),
      'app/join/:code': () => import('./messages/JoinPage.svelte'),
    },
  },
];

export const home: PageLoader = () => import('../home/HomePage.svelte');

export const shared: Readonly<Record<Shared, PageLoader>> = {
  signin: () => import('../platform/identity/SignInPage.svelte'),
  signup: () => import('../platform/identity/SignUpPage.svelte'),
  account: () => import('../platform/identity/AccountPage.svelte'),
  'oauth/authorize': () => import('../platform/identity/ConsentPage.svelte'),
};
