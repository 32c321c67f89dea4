/** Server-sent events that survive: they reconnect by themselves, resume after the last id, and rest in hidden tabs. */

export interface LiveEvent {
  id: string;
  event: string;
  data: string;
}

/** Cuts a stream of text into events, as the HTML standard's "event stream interpretation" says. */
export class EventParser {
  #rest = '';
  #id = '';
  #event = '';
  #data: string[] = [];
  /** Milliseconds to wait before reconnecting, when the server said so. */
  retry: number | null = null;

  push(chunk: string): LiveEvent[] {
    const events: LiveEvent[] = [];
    const lines = (this.#rest + chunk).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (this.#data.length) events.push({ id: this.#id, event: this.#event || 'message', data: this.#data.join('\n') });
        this.#event = '';
        this.#data = [];
        continue;
      }
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'data') this.#data.push(value);
      else if (field === 'event') this.#event = value;
      else if (field === 'id' && !value.includes('\0')) this.#id = value;
      else if (field === 'retry' && /^\d+$/.test(value)) this.retry = Number(value);
    }
    return events;
  }
}

export type LiveState = 'connecting' | 'open' | 'waiting' | 'refused';

interface Handlers {
  onEvent: (event: LiveEvent) => void;
  /** `refused` is final: the server doesn't let us listen. */
  onState?: (state: LiveState) => void;
}

const LONGEST_WAIT = 20_000;
/** Milliseconds without a byte, heartbeats included, after which a connection counts as dead. */
const SILENCE = 60_000;

/**
 * Listens until the returned function is called. A hidden tab lets go of its connection, because browsers allow six to
 * a host and a row of forgotten tabs would starve the one in front; on return it resumes after the last event seen.
 */
export function listen(path: string, { onEvent, onState }: Handlers): () => void {
  let last = '';
  let failures = 0;
  let stopped = false;
  let abort = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;

  const connect = async (): Promise<void> => {
    clearTimeout(timer);
    if (stopped || document.hidden) return;
    abort.abort();
    const { signal } = (abort = new AbortController());
    onState?.('connecting');
    const parser = new EventParser();
    try {
      const response = await fetch(path, {
        headers: { accept: 'text/event-stream', ...(last && { 'last-event-id': last }) },
        credentials: 'same-origin',
        cache: 'no-store',
        signal,
      });
      if (response.status === 401 || response.status === 403 || response.status === 404 || response.status === 410) {
        stopped = true;
        onState?.('refused');
        return;
      }
      if (response.ok && response.body) {
        failures = 0;
        onState?.('open');
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (;;) {
          const silence = setTimeout(() => void reader.cancel(), SILENCE);
          const { done, value } = await reader.read().finally(() => clearTimeout(silence));
          if (done) break;
          for (const event of parser.push(value)) {
            if (event.id) last = event.id;
            onEvent(event);
          }
        }
      }
    } catch {
      // The connection broke; below we wait and come back.
    }
    if (signal.aborted || stopped) return;
    onState?.('waiting');
    // Jitter, so that a restarted server isn't met by all its listeners at once.
    const wait = Math.min(parser.retry ?? 500 * 2 ** failures, LONGEST_WAIT) * (0.75 + Math.random() / 2);
    failures += 1;
    timer = setTimeout(() => void connect(), wait);
  };

  const onVisibility = (): void => {
    if (document.hidden) abort.abort();
    else void connect();
  };
  const onOnline = (): void => void connect();

  document.addEventListener('visibilitychange', onVisibility);
  window.addEventListener('online', onOnline);
  void connect();
  return () => {
    stopped = true;
    clearTimeout(timer);
    abort.abort();
    document.removeEventListener('visibilitychange', onVisibility);
    window.removeEventListener('online', onOnline);
  };
}
