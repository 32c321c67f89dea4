/** What every client must agree upon: the same values by which the Python client is tried. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fromBase64, seal, toBase64, unseal } from './files';
import { BackupBroken, makeHead, openHead, openPart, sealPart, WrongPassphrase } from './past';
import { safetyNumber } from './safety';

interface File {
  what: string;
  part: number;
  key: string;
  iv: string;
  plain: string;
  sealed: string;
  sha256: string;
}
interface Keys {
  account: string;
  keys: string[];
}
interface Vectors {
  files: { cases: File[] };
  broken_files: { cases: Omit<File, 'plain'>[] };
  safety_numbers: { cases: { what: string; one: Keys; other: Keys; number: string }[] };
  backups: { passphrase: string; wrong_passphrase: string; key: string; head: string; version: number; number: number; part: string; lines: string[] };
}

const vectors = JSON.parse(readFileSync(new URL('../../../../tests/contracts/messages/vectors.json', import.meta.url), 'utf8')) as Vectors;

describe('files', () => {
  it.each(vectors.files.cases)('$what', async ({ sealed, plain, ...how }) => {
    expect(toBase64(await unseal(fromBase64(sealed), how))).toBe(plain);
  });
  it.each(vectors.broken_files.cases)('$what: doesn’t open', async ({ sealed, ...how }) => {
    await expect(unseal(fromBase64(sealed), how)).rejects.toThrow();
  });
  it('opens what it has sealed', async () => {
    const data = crypto.getRandomValues(new Uint8Array(1000));
    const { data: sealed, ...how } = await seal(data, 300);
    expect(await unseal(sealed, how)).toEqual(data);
  });
});

describe('safety numbers', () => {
  it.each(vectors.safety_numbers.cases)('$what', async ({ one, other, number }) => {
    expect(await safetyNumber([one.account, one.keys], [other.account, other.keys])).toBe(number);
    expect(await safetyNumber([other.account, other.keys], [one.account, one.keys])).toBe(number);
  });
});

describe('backups', () => {
  const { passphrase, wrong_passphrase, key, head, version, number, part, lines } = vectors.backups;

  it('opens by its passphrase, and by no other', async () => {
    expect(toBase64(await openHead(passphrase, head))).toBe(key);
    await expect(openHead(wrong_passphrase, head)).rejects.toThrow(WrongPassphrase);
    await expect(openHead(passphrase, btoa('{}'))).rejects.toThrow(BackupBroken);
  });
  it('opens a part as what it is, and as nothing else', async () => {
    expect(await openPart(fromBase64(key), version, number, fromBase64(part))).toEqual(lines);
    await expect(openPart(fromBase64(key), version, number + 1, fromBase64(part))).rejects.toThrow(BackupBroken);
    await expect(openPart(fromBase64(key), version + 1, number, fromBase64(part))).rejects.toThrow(BackupBroken);
  });
  it('opens what it has sealed', async () => {
    const own = crypto.getRandomValues(new Uint8Array(32));
    expect(await openHead('päss phrase', await makeHead('päss phrase', own))).toEqual(own);
    const said = ['{"message":{}}', '{"session":{}}'];
    expect(await openPart(own, 1, 0, await sealPart(own, 1, 0, said))).toEqual(said);
  });
});
