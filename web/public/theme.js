// The theme that was chosen here, before the first paint; without a choice the system's preference stands.
try {
  const theme = localStorage.getItem('tenfold.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage is refused: the system's preference stands.
}
