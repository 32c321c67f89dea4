/** The statistics of one link: loaded, moved by each click that arrives, and corrected by the server. */
import { asApiError, type ApiError } from '../../platform/api';
import { every } from '../../platform/every';
import { listen, type LiveState } from '../../platform/live';
import type { Click, LinksApi, Period, Stats } from './api';
import { caughtUp, isCounted, withClick } from './tally';

export interface Arrival extends Click {
  key: string;
}

/** Clicks that the feed holds. */
const FEED = 40;
/** Seconds between corrections while clicks arrive; after this long without one the server has counted them all. */
const CORRECT = 3;
const QUIET = 6;

export class LiveStats {
  stats = $state.raw<Stats | null>(null);
  error = $state.raw<ApiError | null>(null);
  feed = $state.raw<readonly Arrival[]>([]);
  live = $state<LiveState>('connecting');
  /** Clicks since the page was opened. */
  arrived = $state(0);

  readonly #api: LinksApi;
  readonly #code: string;
  #period: Period = '24h';
  #lastClick = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(api: LinksApi, code: string) {
    this.#api = api;
    this.#code = code;
  }

  /** Shows a period and keeps it right until the returned function is called. */
  watch(period: Period): () => void {
    this.#period = period;
    if (this.stats?.period !== period) this.stats = null;
    const stop = every(20, (signal) => this.#load(signal));
    return () => {
      stop();
      clearTimeout(this.#timer);
      this.#timer = undefined;
    };
  }

  /** Hears clicks until the returned function is called. */
  listen(): () => void {
    return listen(this.#api.liveUrl(this.#code), {
      onState: (state) => (this.live = state),
      onEvent: ({ event, id, data }) => {
        // The server lost track of what we missed: its statistics know.
        if (event === 'resync') void this.#load();
        else this.#hear(JSON.parse(data) as Click, id);
      },
    });
  }

  retry(): void {
    void this.#load();
  }

  #hear(click: Click, id: string): void {
    this.arrived += 1;
    this.feed = [{ ...click, key: id || `${click.at}-${this.arrived}` }, ...this.feed].slice(0, FEED);
    if (!this.stats || isCounted(this.stats, click)) return;
    this.#lastClick = performance.now();
    this.stats = withClick(this.stats, click);
    this.#correctSoon();
  }

  #correctSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#load();
    }, CORRECT * 1000);
  }

  async #load(signal?: AbortSignal): Promise<void> {
    const period = this.#period;
    const isQuiet = performance.now() - this.#lastClick > QUIET * 1000;
    try {
      const server = await this.#api.stats(this.#code, period, signal);
      if (period !== this.#period) return;
      const moved = performance.now() - this.#lastClick <= QUIET * 1000;
      this.stats = this.stats && (!isQuiet || moved) ? caughtUp(this.stats, server) : server;
      this.error = null;
      if (!isQuiet) this.#correctSoon();
    } catch (error) {
      if (signal?.aborted) return;
      this.error = asApiError(error);
    }
  }
}
