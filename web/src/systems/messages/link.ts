/** The WebSocket: it says hello, stays alive, and comes back by itself, a little later each time. */
import { PROTOCOL, SUBPROTOCOL, type FromServer } from './protocol';

interface Ears {
  heard(frame: FromServer): void;
  changed(online: boolean): void;
  /** It won't come back. */
  ended(reason: string): void;
}

const BEAT_MS = 25_000;

/** Milliseconds to wait before the next attempt: at random, doubling, within what the server asks for (seconds). */
export function pause(failures: number, [least, most]: readonly [number, number], random = Math.random()): number {
  return random * Math.min(most, least * 2 ** failures) * 1000;
}

export class Link {
  online = false;
  private socket: WebSocket | null = null;
  private failures = 0;
  private retry: [number, number] = [1, 60];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private beat: ReturnType<typeof setInterval> | undefined;
  private heardAt = 0;
  private closed = false;
  private readonly awake = (): void => {
    if (!this.online && !this.closed) this.open();
  };

  constructor(
    private readonly api: string,
    private readonly device: string,
    private readonly ears: Ears,
  ) {
    window.addEventListener('online', this.awake);
  }

  open(): void {
    clearTimeout(this.timer);
    this.drop();
    const url = new URL(`${this.api}/socket`, window.location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    const socket = new WebSocket(url, SUBPROTOCOL);
    this.socket = socket;
    let after: number | null = null;
    socket.onopen = () => socket.send(JSON.stringify({ t: 'hello', device: this.device, protocol: PROTOCOL }));
    socket.onmessage = ({ data }) => {
      this.heardAt = Date.now();
      const frame = JSON.parse(String(data)) as FromServer;
      if (frame.t === 'welcome') {
        this.failures = 0;
        this.retry = frame.retry;
        this.online = true;
        this.beat = setInterval(() => this.live(frame.silence), BEAT_MS);
        this.ears.changed(true);
      }
      if (frame.t === 'bye') after = (frame.after ?? 0) * 1000 * Math.random();
      this.ears.heard(frame);
    };
    socket.onclose = ({ code }) => {
      if (socket !== this.socket || this.closed) return;
      this.lost();
      if (code === 4409) this.ears.ended('replaced');
      else if (code === 4403 || code === 4401) this.ears.ended('ended');
      else {
        const wait = after ?? pause(this.failures, this.retry);
        this.failures += 1;
        this.timer = setTimeout(() => this.open(), wait);
      }
    };
  }

  say(frame: object): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(frame));
  }

  /** Begin anew: something here broke, and what wasn't acknowledged is to come again. */
  again(): void {
    if (this.closed) return;
    this.lost();
    this.drop();
    this.failures += 1;
    this.timer = setTimeout(() => this.open(), pause(this.failures, this.retry) + 500);
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    window.removeEventListener('online', this.awake);
    this.lost();
    this.drop();
  }

  private live(silence: number): void {
    if (Date.now() - this.heardAt > silence * 1000) this.again();
    else this.say({ t: 'ping', n: 0 });
  }

  private lost(): void {
    clearInterval(this.beat);
    this.online = false;
    if (!this.closed) this.ears.changed(false);
  }

  private drop(): void {
    const { socket } = this;
    this.socket = null;
    socket?.close();
  }
}
