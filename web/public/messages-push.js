// Says that something waits: what it is only the device's own keys can open, so a push never tells.
const base = new URL(self.location.href).searchParams.get('base') || '/messages/';

self.addEventListener('install', () => self.skipWaiting());

self.addEventListener('push', (event) => {
  event.waitUntil(
    (async () => {
      const pages = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
      if (pages.some((page) => page.visibilityState === 'visible' && new URL(page.url).pathname.startsWith(base))) return;
      await self.registration.showNotification('New message', {
        body: 'Open Messages to read it.',
        tag: 'messages',
        icon: '/static/icon-192.png',
      });
    })(),
  );
});

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  event.waitUntil(
    (async () => {
      const pages = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
      const open = pages.find((page) => new URL(page.url).pathname.startsWith(base));
      await (open ? open.focus() : self.clients.openWindow(`${base.startsWith('/') ? base : '/'}app`));
    })(),
  );
});
