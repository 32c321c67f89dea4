/** Sends a file as it is and tells how far it is: what fetch, and so platform/api.ts, can't. */
import { ApiError, retryAfterOf, type Problem } from './api';

/** The error in an answer: the platform's problem, or a proxy's page. */
export function refusalOf(status: number, text: string, retryAfter: number | null = null): ApiError {
  try {
    const problem = JSON.parse(text) as Partial<Problem>;
    if (typeof problem.title === 'string') return new ApiError({ code: 'error', ...problem, title: problem.title, status }, retryAfter);
  } catch {
    // Not ours: a proxy's page, or nothing at all.
  }
  const title = status === 413 ? 'This file is too big.' : `The file couldn’t be sent (${status}). Try again in a moment.`;
  return new ApiError({ title, status, code: 'error' }, retryAfter);
}

/** `onProgress` hears from 0 to 1. Rejects with an ApiError; after `signal` it stays silent. */
export function upload<T>(path: string, file: File, onProgress: (share: number) => void, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', path);
    request.setRequestHeader('accept', 'application/json');
    request.setRequestHeader('content-type', file.type || 'application/octet-stream');
    request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
    request.onerror = () => reject(new ApiError({ title: 'The file couldn’t be sent. Check that you are online, then try again.', status: 0, code: 'unreachable' }));
    request.onload = () => {
      if (request.status < 200 || request.status >= 300) reject(refusalOf(request.status, request.responseText, retryAfterOf(request.getResponseHeader('retry-after'))));
      else resolve(JSON.parse(request.responseText) as T);
    };
    signal.addEventListener('abort', () => request.abort(), { once: true });
    request.send(file);
  });
}
