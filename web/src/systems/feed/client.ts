/**
 * Calls of the Mastodon API. Like platform/api.ts, plus what that API has of its own: errors as `{"error"}`, pages named
 * in Link headers, forms, PUT.
 */
import { ApiError, retryAfterOf, withQuery, type Problem, type Query } from '../../platform/api';

export interface Page<T> {
  items: T[];
  /** What to ask for the page after this one. */
  next: Query | null;
}

export interface Options {
  query?: Query;
  signal?: AbortSignal | undefined;
  headers?: Record<string, string>;
  /** Longest wait for the whole answer, in seconds. */
  timeout?: number;
}

const UNREACHABLE = 'Tenfold can’t be reached. Check that it is running and that you are online, then try again.';

export const unreachable = (): ApiError => new ApiError({ title: UNREACHABLE, status: 0, code: 'unreachable' });

/** The error in an answer: this API's own, the platform's problem, or a proxy's page. */
export function errorOf(status: number, text: string, retryAfter: number | null = null): ApiError {
  const title = status >= 500 ? `Tenfold answered with an error (${status}). Try again in a moment.` : `That didn’t work (${status}).`;
  try {
    const body = JSON.parse(text) as Partial<Problem> & { error?: unknown; details?: Record<string, string> };
    if (typeof body.title === 'string') return new ApiError({ code: 'error', ...body, title: body.title, status }, retryAfter);
    if (typeof body.error === 'string') return new ApiError({ title: body.error, status, code: 'error', ...(body.details && { fields: body.details }) }, retryAfter);
  } catch {
    // Not ours: a proxy's page, or nothing at all.
  }
  return new ApiError({ title, status, code: 'error' }, retryAfter);
}

/** The query of `rel="next"`. The path before it is ours: behind a proxy the server may know itself by another name. */
export function nextOf(link: string | null): Query | null {
  const url = /<([^>]*)>;\s*rel="?next"?/.exec(link ?? '')?.[1];
  return url ? Object.fromEntries(new URL(url, 'http://site.invalid').searchParams) : null;
}

async function call(method: string, path: string, body: unknown, options: Options): Promise<[Response, string]> {
  const timeout = AbortSignal.timeout((options.timeout ?? 20) * 1000);
  const isJson = body !== undefined && !(body instanceof FormData);
  try {
    const response = await fetch(withQuery(path, options.query), {
      method,
      headers: { accept: 'application/json', ...(isJson && { 'content-type': 'application/json' }), ...options.headers },
      body: isJson ? JSON.stringify(body) : ((body as FormData | undefined) ?? null),
      credentials: 'same-origin',
      signal: options.signal ? AbortSignal.any([options.signal, timeout]) : timeout,
    });
    const text = await response.text();
    if (!response.ok) throw errorOf(response.status, text, retryAfterOf(response.headers.get('retry-after')));
    return [response, text];
  } catch (error) {
    if (error instanceof ApiError || options.signal?.aborted) throw error;
    throw timeout.aborted
      ? new ApiError({ title: 'Tenfold took too long to answer. Try again.', status: 0, code: 'timeout' })
      : unreachable();
  }
}

async function json<T>(method: string, path: string, body?: unknown, options: Options = {}): Promise<T> {
  const [, text] = await call(method, path, body, options);
  return (text ? JSON.parse(text) : undefined) as T;
}

export const client = {
  get: <T>(path: string, options?: Options) => json<T>('GET', path, undefined, options),
  post: <T>(path: string, body?: unknown, options?: Options) => json<T>('POST', path, body, options),
  put: <T>(path: string, body: unknown) => json<T>('PUT', path, body),
  patch: <T>(path: string, body: unknown, options?: Options) => json<T>('PATCH', path, body, options),
  delete: <T>(path: string, options?: Options) => json<T>('DELETE', path, undefined, options),
  page: async <T>(path: string, query: Query, signal?: AbortSignal): Promise<Page<T>> => {
    const [response, text] = await call('GET', path, undefined, { query, signal });
    return { items: JSON.parse(text) as T[], next: nextOf(response.headers.get('link')) };
  },
};

/** Sends a form and tells how far it is, from 0 to 1: what fetch can't. Rejects with an ApiError. */
export function upload<T>(path: string, form: FormData, onProgress: (share: number) => void, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', path);
    request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
    request.onerror = () => reject(unreachable());
    request.onload = () => {
      if (request.status < 200 || request.status >= 300) reject(errorOf(request.status, request.responseText, retryAfterOf(request.getResponseHeader('retry-after'))));
      else resolve(JSON.parse(request.responseText) as T);
    };
    signal.addEventListener('abort', () => request.abort(), { once: true });
    request.send(form);
  });
}
