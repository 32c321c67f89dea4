/** What is drawn of a conversation: edits, deletions and reactions are folded into the messages that they are about. */
import { duration } from './expiring';
import type { Content, FileContent, Member, To } from './protocol';
import type { Kept } from './store';

export interface Bubble {
  key: string;
  id: string;
  seq: number;
  account: string;
  device: string;
  at: number;
  own: boolean;
  text: string;
  file: FileContent | null;
  /** A line about what happened, in place of a bubble. */
  notice: string;
  edited: boolean;
  deleted: boolean;
  /** Why it can't be opened. */
  sealed: string;
  reply: To | null;
  /** Accounts by emoji. */
  reactions: Map<string, string[]>;
  /** Not sent yet. */
  waiting: boolean;
  /** When it disappears, in milliseconds since 1970. */
  endsAt: number | null;
}

const nameOf = (to: To): string => `${to.account} ${to.id}`;

/** Messages in the order of their numbers. `admins` may delete what others have said. */
export function bubbles(messages: readonly Kept[], me: string, admins: ReadonlySet<string>): Bubble[] {
  const shown = new Map<string, Bubble>();
  for (const message of messages) {
    const content = message.content;
    const target = content && 'to' in content ? shown.get(nameOf(content.to)) : undefined;
    switch (content?.kind) {
      case 'reaction': {
        if (!target) break;
        for (const accounts of target.reactions.values()) {
          const at = accounts.indexOf(message.account);
          if (at >= 0) accounts.splice(at, 1);
        }
        const emoji = String(content.emoji).slice(0, 16);
        if (emoji) target.reactions.set(emoji, [...(target.reactions.get(emoji) ?? []), message.account]);
        break;
      }
      case 'edit':
        if (target && target.account === message.account && !target.deleted) {
          target.text = String(content.text);
          target.edited = true;
        }
        break;
      case 'delete':
        if (target && (target.account === message.account || admins.has(message.account))) {
          Object.assign(target, { deleted: true, text: '', file: null, reply: null, reactions: new Map() });
        }
        break;
      default: {
        const bubble = made(message, content, me);
        shown.set(nameOf(message), bubble);
      }
    }
  }
  for (const bubble of shown.values())
    for (const [emoji, accounts] of bubble.reactions) if (!accounts.length) bubble.reactions.delete(emoji);
  return [...shown.values()];
}

function made(message: Kept, content: Content | null, me: string): Bubble {
  const bubble: Bubble = {
    key: `${message.device} ${message.id}`, id: message.id, seq: message.seq, account: message.account, device: message.device,
    at: message.at, own: message.account === me, text: '', file: null, notice: '', edited: false, deleted: false, sealed: '',
    reply: null, reactions: new Map(), waiting: message.seq === Number.MAX_SAFE_INTEGER, endsAt: message.ends_at ?? null,
  };
  if (!content) bubble.sealed = message.why || 'its key hasn’t come';
  else if (content.kind === 'text') Object.assign(bubble, { text: String(content.text), reply: content.reply_to ?? null });
  else if (content.kind === 'file') Object.assign(bubble, { file: content, text: String(content.text ?? ''), reply: content.reply_to ?? null });
  else if (content.kind === 'about') bubble.notice = told(content);
  else bubble.notice = 'sent something that this page doesn’t know yet';
  return bubble;
}

function told({ name, expires }: { name?: string; expires?: number }): string {
  if (name !== undefined) return `named this “${String(name)}”`;
  return expires ? `made new messages disappear after ${duration(expires)}` : 'made new messages stay';
}

export type Ticks = 'waiting' | 'sent' | 'delivered' | 'read';

/** How far one's own message has got with everybody else. */
export function ticks(bubble: Pick<Bubble, 'seq' | 'waiting'>, others: readonly Pick<Member, 'delivered' | 'read'>[]): Ticks {
  if (bubble.waiting) return 'waiting';
  if (!others.length) return 'sent';
  if (others.every((member) => member.read >= bubble.seq)) return 'read';
  if (others.every((member) => Math.max(member.delivered, member.read) >= bubble.seq)) return 'delivered';
  return 'sent';
}

/** One line that stands for a message in a list. */
export function summary(content: Content | null): string {
  switch (content?.kind) {
    case undefined:
      return 'Can’t be opened yet';
    case 'text':
      return content.text;
    case 'file':
      return content.type.startsWith('image/') ? 'Picture' : content.name;
    case 'reaction':
      return content.emoji ? `Reacted ${content.emoji}` : 'Took a reaction back';
    case 'edit':
      return content.text;
    case 'delete':
      return 'Message deleted';
    case 'about':
      return content.name === undefined ? 'Changed how long messages stay' : `Named “${content.name}”`;
    default:
      return 'Something new';
  }
}
