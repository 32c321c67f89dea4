/** Work that repeats while somebody looks. */

/**
 * Runs `work` now, and again `seconds` after each run ended, while the page is visible. The returned function stops it
 * and aborts the run in progress.
 */
export function every(seconds: number, work: (signal: AbortSignal) => Promise<void>): () => void {
  const abort = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running = false;

  const run = async (): Promise<void> => {
    clearTimeout(timer);
    if (running || document.hidden || abort.signal.aborted) return;
    running = true;
    try {
      await work(abort.signal);
    } finally {
      running = false;
      if (!abort.signal.aborted) timer = setTimeout(() => void run(), seconds * 1000);
    }
  };
  const onVisible = (): void => void run();

  document.addEventListener('visibilitychange', onVisible);
  void run();
  return () => {
    abort.abort();
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', onVisible);
  };
}
