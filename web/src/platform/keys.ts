/** Single-key shortcuts, out of the way of typing and of the browser's own. */

/** True when a plain press of a key is meant for the page and not for a field. */
export function isForPage(event: KeyboardEvent): boolean {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return false;
  const target = event.target as HTMLElement | null;
  return !target?.closest('input, textarea, select, [contenteditable], dialog[open]');
}

/** Runs the action of a key (`/`, `n`) until the returned function is called. */
export function onKeys(actions: Readonly<Record<string, () => void>>): () => void {
  const onKey = (event: KeyboardEvent): void => {
    const action = actions[event.key];
    if (!action || !isForPage(event)) return;
    event.preventDefault();
    action();
  };
  document.addEventListener('keydown', onKey);
  return () => document.removeEventListener('keydown', onKey);
}
