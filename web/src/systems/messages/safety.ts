/** Safety numbers: what two people compare to know that nobody sits between them (docs/messages-protocol.md). */

const ROUNDS = 5200;

async function fingerprint(account: string, keys: readonly string[]): Promise<string> {
  const text = new TextEncoder().encode(`${account}\n${[...keys].sort().join('\n')}`);
  let digest = text;
  for (let round = 0; round < ROUNDS; round += 1) {
    const both = new Uint8Array(digest.length + text.length);
    both.set(digest);
    both.set(text, digest.length);
    digest = new Uint8Array(await crypto.subtle.digest('SHA-512', both));
  }
  let digits = '';
  for (let at = 0; at < 30; at += 5) {
    let value = 0;
    for (const byte of digest.slice(at, at + 5)) value = value * 256 + byte;
    digits += String(value % 100_000).padStart(5, '0');
  }
  return digits;
}

/** 60 digits, the same whoever computes them. */
export async function safetyNumber(one: [string, string[]], other: [string, string[]]): Promise<string> {
  const [first, second] = one[0] < other[0] ? [one, other] : [other, one];
  return (await fingerprint(...first)) + (await fingerprint(...second));
}
