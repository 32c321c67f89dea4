/** An answer while it is written: its place in the queue, then its text as blocks, at most one change a frame. */
import { listen } from '../../platform/live';
import type { Message, StreamEvent } from './api';
import { Reader, type Block } from './markdown';
import { heard, joined } from './pieces';

export type Phase = 'sent' | 'queued' | 'started';

export class Live {
  blocks = $state.raw<readonly Block[]>([]);
  phase = $state<Phase>('sent');
  /** 1 is next. */
  place = $state(0);
  /** The connection is gone and is being made again. */
  cut = $state(false);
  /** The tier that answers. */
  model = $state<string | null>(null);

  readonly #url: string;
  readonly #ended: (message: Message | null) => void;
  readonly #reader = new Reader();
  #heard = heard('');
  #frame = 0;
  #silence: (() => void) | null = null;

  /** `ended` hears the finished message, or null when the server doesn't let us listen any more. */
  constructor(url: string, message: Message, ended: (message: Message | null) => void) {
    this.#url = url;
    this.#ended = ended;
    this.#heard = heard(message.text);
    this.model = message.model;
    if (message.status === 'streaming') this.phase = 'started';
  }

  /** What was written so far. */
  get text(): string {
    return this.#heard.text;
  }

  /** Listens until `stop`; after it, goes on where it was. */
  start(): void {
    if (!this.#silence) this.#draw();
    this.#silence ??= listen(this.#url, {
      onEvent: ({ data }) => this.hear(JSON.parse(data) as StreamEvent),
      onState: (state) => {
        this.cut = state === 'waiting';
        if (state === 'refused') this.#end(null);
      },
    });
  }

  stop(): void {
    this.#silence?.();
    this.#silence = null;
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  hear(event: StreamEvent): void {
    switch (event.type) {
      case 'queued':
        this.phase = 'queued';
        this.place = event.place;
        break;
      case 'start':
        this.phase = 'started';
        this.model = event.model;
        break;
      case 'text': {
        const next = joined(this.#heard, event.at, event.text);
        if (!next) return this.#restart();
        this.#heard = next;
        this.phase = 'started';
        this.#frame ||= requestAnimationFrame(() => this.#draw());
        break;
      }
      case 'done':
        this.#end(event.message);
    }
  }

  #draw(): void {
    this.#frame = 0;
    this.blocks = this.#reader.read(this.#heard.text, true);
  }

  /** Something between was lost: a new connection without a last id tells everything again. */
  #restart(): void {
    this.stop();
    this.#heard = heard('');
    this.start();
  }

  #end(message: Message | null): void {
    this.stop();
    this.#ended(message);
  }
}
