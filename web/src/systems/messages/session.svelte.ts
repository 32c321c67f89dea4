/** The one messenger of this tab: pages come and go, it stays as long as the account does. */
import { Messenger } from './messenger.svelte';
import { silence } from './push';

let current: { account: string; messenger: Messenger } | null = null;

export function messengerOf(api: string, account: string): Messenger {
  if (current?.account !== account) {
    current?.messenger.stop();
    current = { account, messenger: new Messenger(`${api}v1`, account) };
    void current.messenger.start();
  }
  return current.messenger;
}

/** Nobody is signed in any more. */
export function leave(): void {
  current?.messenger.stop();
  if (current) void silence();
  current = null;
}
