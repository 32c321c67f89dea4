/** What things are called. */
import type { Visibility } from './entities';

export const AUDIENCES: Readonly<Record<Visibility, { label: string; hint: string }>> = {
  public: { label: 'Everyone', hint: 'Everyone, in public timelines and search' },
  unlisted: { label: 'Quiet', hint: 'Everyone, but kept out of public timelines' },
  private: { label: 'Followers', hint: 'Only people who follow you' },
  direct: { label: 'Mentioned', hint: 'Only people named in it' },
};

export const KEYS: readonly (readonly [keys: string, what: string])[] = [
  ['j', 'Next post'],
  ['k', 'Previous post'],
  ['Enter', 'Open the post'],
  ['l', 'Like'],
  ['b', 'Repost'],
  ['r', 'Reply'],
  ['s', 'Bookmark'],
  ['x', 'Show or hide what is behind a warning'],
  ['n', 'New post'],
  ['/', 'Search'],
  ['.', 'Newest posts'],
  ['g h', 'Home'],
  ['g e', 'Explore'],
  ['g n', 'Notifications'],
  ['g b', 'Bookmarks'],
  ['g f', 'Likes'],
  ['g l', 'Lists'],
  ['g p', 'Your profile'],
  ['Esc', 'Close'],
  ['?', 'This help'],
];
