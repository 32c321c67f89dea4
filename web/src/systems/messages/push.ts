/** Notices while the page is closed: Web Push, which says that something waits and never what (docs/messages-protocol.md). */
import { http } from '../../platform/api';

/** `off`: whoever runs the server has set none up; `blocked`: the person has told the browser not to. */
export type PushState = 'unknown' | 'impossible' | 'off' | 'blocked' | 'no' | 'yes';

const possible = (): boolean => 'serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window;
const registration = (base: string): Promise<ServiceWorkerRegistration> =>
  navigator.serviceWorker.register(`/static/messages-push.js?base=${encodeURIComponent(base)}`);
const keyOf = async (api: string): Promise<string | null> => (await http.get<{ key: string | null }>(`${api}/push/key`)).key;

export async function pushState(api: string): Promise<PushState> {
  if (!possible()) return 'impossible';
  if ((await keyOf(api)) === null) return 'off';
  if (Notification.permission === 'denied') return 'blocked';
  const found = await navigator.serviceWorker.getRegistration('/static/messages-push.js');
  return (await found?.pushManager.getSubscription()) ? 'yes' : 'no';
}

/** Have this device's notices. Throws ApiError, and what the browser does. */
export async function subscribe(api: string, device: string, base: string): Promise<PushState> {
  const key = await keyOf(api);
  if (key === null) return 'off';
  if ((await Notification.requestPermission()) !== 'granted') return 'blocked';
  const worker = await registration(base);
  const made = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  await http.put(`${api}/devices/${device}/push`, made.toJSON());
  return 'yes';
}

export async function unsubscribe(api: string, device: string): Promise<PushState> {
  const found = await navigator.serviceWorker.getRegistration('/static/messages-push.js');
  await (await found?.pushManager.getSubscription())?.unsubscribe();
  await http.delete(`${api}/devices/${device}/push`);
  return 'no';
}
