/** Notices while the page is closed: Web Push, which says that something waits and never what (docs/messages-protocol.md). */
import { http } from '../../platform/api';

/** `off`: whoever runs the server has set none up; `blocked`: the person has told the browser not to. */
export type PushState = 'unknown' | 'impossible' | 'off' | 'blocked' | 'no' | 'yes';

const possible = (): boolean => 'serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window;
const registration = (base: string): Promise<ServiceWorkerRegistration> =>
  navigator.serviceWorker.register(`/static/messages-push.js?base=${encodeURIComponent(base)}`);
const subscription = async (): Promise<PushSubscription | null> =>
  (await (await navigator.serviceWorker.getRegistration('/static/messages-push.js'))?.pushManager.getSubscription()) ?? null;
const keyOf = async (api: string): Promise<string | null> => (await http.get<{ key: string | null }>(`${api}/push/key`)).key;

export async function pushState(api: string): Promise<PushState> {
  if (!possible()) return 'impossible';
  if ((await keyOf(api)) === null) return 'off';
  if (Notification.permission === 'denied') return 'blocked';
  return (await subscription()) ? 'yes' : 'no';
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

/** End this browser's notices, whoever had them: its push service then tells the server that they are gone. */
export async function silence(): Promise<void> {
  if (possible()) await (await subscription())?.unsubscribe();
}

export async function unsubscribe(api: string, device: string): Promise<PushState> {
  await silence();
  await http.delete(`${api}/devices/${device}/push`);
  return 'no';
}
