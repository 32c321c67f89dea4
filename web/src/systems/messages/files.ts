/** Files, sealed in pieces with AES-256-GCM, as docs/messages-protocol.md defines it. */
import { ApiError, http } from '../../platform/api';
import type { FileContent } from './protocol';

export const PART = 256 * 1024;
const TAG = 16;

export interface SealedFile {
  data: Uint8Array<ArrayBuffer>;
  key: string;
  iv: string;
  sha256: string;
  part: number;
}

export const toBase64 = (bytes: Uint8Array): string => {
  let text = '';
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
};
export const fromBase64 = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

function parameters(iv: Uint8Array, n: number, last: boolean): AesGcmParams {
  const nonce = new Uint8Array(12);
  nonce.set(iv.subarray(0, 8));
  new DataView(nonce.buffer).setUint32(8, n);
  return { name: 'AES-GCM', iv: nonce, additionalData: new Uint8Array([last ? 1 : 0]) };
}

export async function seal(data: Uint8Array<ArrayBuffer>, part = PART): Promise<SealedFile> {
  const key = crypto.getRandomValues(new Uint8Array(32));
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const cipher = await crypto.subtle.importKey('raw', key, 'AES-GCM', false, ['encrypt']);
  const count = Math.max(1, Math.ceil(data.length / part));
  const sealed = new Uint8Array(data.length + count * TAG);
  for (let n = 0; n < count; n += 1) {
    const piece = await crypto.subtle.encrypt(parameters(iv, n, n === count - 1), cipher, data.subarray(n * part, (n + 1) * part));
    sealed.set(new Uint8Array(piece), n * (part + TAG));
  }
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', sealed));
  return { data: sealed, key: toBase64(key), iv: toBase64(iv), sha256: toBase64(digest), part };
}

/** The file. Throws where a byte, a piece or the end of it is wrong. */
export async function unseal(
  data: Uint8Array<ArrayBuffer>,
  how: Pick<FileContent, 'key' | 'iv' | 'sha256' | 'part'>,
): Promise<Uint8Array<ArrayBuffer>> {
  const digest = toBase64(new Uint8Array(await crypto.subtle.digest('SHA-256', data)));
  if (digest !== how.sha256) throw new Error('This file isn’t the one that was sent.');
  const cipher = await crypto.subtle.importKey('raw', fromBase64(how.key), 'AES-GCM', false, ['decrypt']);
  const iv = fromBase64(how.iv);
  const step = how.part + TAG;
  const count = Math.max(1, Math.ceil(data.length / step));
  const pieces: Uint8Array[] = [];
  for (let n = 0; n < count; n += 1)
    pieces.push(
      new Uint8Array(await crypto.subtle.decrypt(parameters(iv, n, n === count - 1), cipher, data.subarray(n * step, (n + 1) * step))),
    );
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** A picture made smaller, as people send them, with a thumbnail; null for what isn't a picture. */
export async function shrink(file: File): Promise<{ data: Blob; width: number; height: number; thumbnail: string } | null> {
  if (!/^image\/(jpeg|png|webp)$/.test(file.type)) return null;
  const picture = await createImageBitmap(file).catch(() => null);
  if (!picture) return null;
  const draw = (most: number): HTMLCanvasElement => {
    const scale = Math.min(1, most / Math.max(picture.width, picture.height));
    const canvas = document.createElement('canvas');
    canvas.width = Math.max(1, Math.round(picture.width * scale));
    canvas.height = Math.max(1, Math.round(picture.height * scale));
    canvas.getContext('2d')?.drawImage(picture, 0, 0, canvas.width, canvas.height);
    return canvas;
  };
  const canvas = draw(1600);
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.8));
  const thumbnail = draw(40).toDataURL('image/jpeg', 0.6).split(',')[1] ?? '';
  picture.close();
  return { data: blob && blob.size < file.size ? blob : file, width: canvas.width, height: canvas.height, thumbnail };
}

/** Seal a file, send it in parts, and say what tells of it. `progress` is told the share that was sent. */
export async function upload(api: string, file: File, progress: (share: number) => void): Promise<FileContent> {
  const picture = await shrink(file);
  const blob = picture?.data ?? file;
  const sealed = await seal(new Uint8Array(await blob.arrayBuffer()));
  const begun = await http.post<{ id: string; part: number }>(`${api}/media`, { size: sealed.data.length });
  const count = Math.ceil(sealed.data.length / begun.part);
  for (let n = 0; n < count; n += 1) {
    await putPart(`${api}/media/${begun.id}/parts/${n}`, sealed.data.slice(n * begun.part, (n + 1) * begun.part));
    progress((n + 1) / count);
  }
  await http.post(`${api}/media/${begun.id}/finish`);
  const { key, iv, sha256, part } = sealed;
  const type = blob.type || 'application/octet-stream';
  const content: FileContent = { kind: 'file', name: file.name, type, size: blob.size, key, iv, sha256, part, upload: begun.id };
  if (picture) Object.assign(content, { width: picture.width, height: picture.height, thumbnail: picture.thumbnail });
  return content;
}

/** Sealed bytes, tried again while the server or the network is away. Throws ApiError. */
export async function putPart(url: string, data: Uint8Array<ArrayBuffer>): Promise<void> {
  const part = new Blob([data], { type: 'application/octet-stream' });
  for (let attempt = 0; ; attempt += 1) {
    try {
      await http.put(url, part, { timeout: 120 });
      return;
    } catch (error) {
      const away = error instanceof ApiError && (error.status === 0 || error.status >= 500);
      if (!away || attempt === 4) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * 2 ** attempt));
    }
  }
}

/** Sealed bytes as the server keeps them; `gone` is said where it doesn't any more. Throws ApiError. */
export async function getPart(url: string, gone: string): Promise<Uint8Array<ArrayBuffer>> {
  const answer = await fetch(url).catch(() => null);
  if (answer?.ok) return new Uint8Array(await answer.arrayBuffer());
  const title = answer?.status === 404 ? gone : 'It couldn’t be fetched. Try again.';
  throw new ApiError({ title, status: answer?.status ?? 0, code: 'not_fetched' });
}

/** A file that somebody sent, opened. */
export async function download(api: string, file: FileContent): Promise<Blob> {
  const sealed = await getPart(`${api}/media/${encodeURIComponent(file.upload)}`, 'This file is no longer kept: files go after 30 days.');
  return new Blob([await unseal(sealed, file)], { type: file.type });
}
