/** Light, dark, or as the system has it. public/theme.js applies a kept choice before the first paint. */

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'tenfold.theme';
const ORDER: readonly Theme[] = ['system', 'light', 'dark'];

class ThemeChoice {
  value = $state<Theme>((document.documentElement.dataset.theme as Theme | undefined) ?? 'system');
  next = $derived(ORDER[(ORDER.indexOf(this.value) + 1) % ORDER.length] ?? 'system');

  cycle(): void {
    this.value = this.next;
    if (this.value === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.value;
    try {
      if (this.value === 'system') localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, this.value);
    } catch {
      // Storage is refused: the choice lasts until the page is closed.
    }
  }
}

export const theme = new ThemeChoice();
