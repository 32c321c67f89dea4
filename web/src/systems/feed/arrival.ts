/** How the reader came to a page: by going back, a list is where they left it; else it begins at the top. */

let back = false;
window.addEventListener('popstate', () => (back = true));
// Capturing, so that it comes before the router acts on a link.
window.addEventListener('click', () => (back = false), { capture: true });
window.addEventListener('keydown', () => (back = false), { capture: true });

export const cameBack = (): boolean => back;
