/**
 * A thread as a tree: an edited question and a regenerated answer are siblings of what they replace, and the reader
 * walks one path from the first question to a leaf. Pure, so that it can be tested.
 */
import type { Message } from './api';

/** Ids are 64-bit numbers as text, later ones larger; a double couldn't hold them. */
export const byId = (a: string, b: string): number => a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);

export interface Tree {
  readonly messages: ReadonlyMap<string, Message>;
  /** By parent, '' for the first questions; oldest first. */
  readonly children: ReadonlyMap<string, readonly Message[]>;
}

/** The tree of a thread's messages in any order. One whose parent is missing stands at the root. */
export function grown(all: Iterable<Message>): Tree {
  const messages = new Map([...all].sort((a, b) => byId(a.id, b.id)).map((message) => [message.id, message]));
  const children = new Map<string, Message[]>();
  for (const message of messages.values()) {
    const parent = parentOf(messages, message);
    const siblings = children.get(parent);
    if (siblings) siblings.push(message);
    else children.set(parent, [message]);
  }
  return { messages, children };
}

/** A parent is older than its child, so that no answer of a server can lead round in a circle. */
const parentOf = (messages: ReadonlyMap<string, Message>, { id, parent_id }: Message): string =>
  parent_id !== null && messages.has(parent_id) && byId(parent_id, id) < 0 ? parent_id : '';

/** The newest leaf at or below a message; '' begins at the root. */
export function leafOf({ children }: Tree, id: string): string {
  let at = id;
  for (let below = children.get(at)?.at(-1); below; below = children.get(at)?.at(-1)) at = below.id;
  return at;
}

/** From the first question to the newest leaf at or below `head`; an unknown or missing head means the newest of all. */
export function pathTo(tree: Tree, head: string | null): Message[] {
  const path: Message[] = [];
  const from = head !== null && tree.messages.has(head) ? head : '';
  for (let at = tree.messages.get(leafOf(tree, from)); at; at = tree.messages.get(parentOf(tree.messages, at))) path.unshift(at);
  return path;
}

export interface Branch {
  /** From 1. */
  place: number;
  count: number;
  /** Leaves to go to, or null at an end. */
  previous: string | null;
  next: string | null;
}

/** Where a message stands among its siblings, or null when it is the only one. */
export function branchOf(tree: Tree, message: Message): Branch | null {
  const siblings = tree.children.get(parentOf(tree.messages, message)) ?? [];
  if (siblings.length < 2) return null;
  const at = siblings.findIndex((one) => one.id === message.id);
  const leaf = (i: number): string | null => (siblings[i] ? leafOf(tree, siblings[i].id) : null);
  return { place: at + 1, count: siblings.length, previous: at > 0 ? leaf(at - 1) : null, next: leaf(at + 1) };
}
