/** A conversation as its page shows it. */
import { bubbles, summary, ticks, type Bubble, type Ticks } from './bubbles';
import type { Conversation, Person } from './protocol';
import { UNSENT, type Kept } from './store';

export class Talk {
  place = $state.raw<Conversation>({ id: '', kind: 'direct', revision: 0, last: 0, created_at: 0, members: [], devices: [] });
  /** The newest messages, with those that aren't sent yet at the end. */
  messages = $state.raw<Kept[]>([]);
  name = $state('');
  /** Seconds after which new messages disappear; 0: they stay. */
  expires = $state(0);
  typing = $state.raw<ReadonlySet<string>>(new Set());
  presence = $state.raw<{ online: boolean; seen: number | null } | null>(null);
  /** Names of people whose devices have changed, until that was seen. */
  notices = $state.raw<string[]>([]);
  readonly me: string;

  constructor(place: Conversation, me: string) {
    this.place = place;
    this.me = me;
  }

  readonly others = $derived.by(() => this.place.members.filter((member) => member.account.id !== this.me));
  /** Whose colour it has: that of the other person, or its own. */
  readonly face = $derived(this.place.kind === 'direct' ? (this.others[0]?.account.id ?? this.place.id) : this.place.id);
  readonly own = $derived(this.place.members.find((member) => member.account.id === this.me));
  readonly admins = $derived(new Set(this.place.members.filter((member) => member.role === 'admin').map((member) => member.account.id)));
  readonly title = $derived(
    this.place.kind === 'group'
      ? this.name || this.others.map((member) => nameOf(member.account)).join(', ') || 'Empty group'
      : this.others[0]
        ? nameOf(this.others[0].account)
        : 'Somebody who left',
  );
  readonly bubbles: Bubble[] = $derived.by(() => bubbles(this.messages, this.me, this.place.kind === 'group' ? this.admins : new Set()));
  readonly last = $derived(this.messages.at(-1));
  readonly lastLine = $derived(this.last ? summary(this.last.content) : '');
  readonly at = $derived(this.last?.at ?? this.place.created_at);
  readonly unread = $derived(this.messages.filter((message) => message.account !== this.me && message.seq > (this.own?.read ?? 0)).length);

  /** What was said of the conversation itself: in a group, by those who are its admins. */
  retitle(told: readonly Kept[]): void {
    for (const { account, content } of told) {
      if (content?.kind !== 'about' || (this.place.kind === 'group' && !this.admins.has(account))) continue;
      if (content.name !== undefined) this.name = String(content.name).slice(0, 100);
      if (content.expires !== undefined) this.expires = Math.max(0, Math.floor(Number(content.expires)) || 0);
    }
  }

  /** Put a message where its number says, in place of what was known of it. */
  show(kept: Kept): void {
    const others = this.messages.filter((message) => !(message.device === kept.device && message.id === kept.id));
    const at = others.findLastIndex((message) => message.seq <= kept.seq) + 1;
    this.messages = [...others.slice(0, at), kept, ...others.slice(at)];
    if (kept.content?.kind === 'about') this.retitle(this.messages);
    if (kept.seq > this.place.last && kept.seq !== UNSENT) this.place = { ...this.place, last: kept.seq };
  }

  ticks(bubble: Bubble): Ticks {
    return ticks(bubble, this.others);
  }
  person(account: string): string {
    const found = this.place.members.find((member) => member.account.id === account);
    return found ? nameOf(found.account) : 'Somebody who left';
  }
  moved(account: string, delivered: number, read: number): void {
    const members = this.place.members.map((member) =>
      member.account.id === account
        ? { ...member, delivered: Math.max(member.delivered, delivered, read), read: Math.max(member.read, read) }
        : member,
    );
    this.place = { ...this.place, members };
  }
}

export const nameOf = (person: Person): string => person.display_name || person.name;
