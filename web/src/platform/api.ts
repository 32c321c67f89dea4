/** The one way to the server: typed JSON over same-origin cookies, errors as RFC 9457 problem details. */

export interface Problem {
  type?: string;
  title: string;
  status: number;
  detail?: string;
  code: string;
  /** What is wrong with which field of the request. */
  fields?: Record<string, string>;
}

/** A call that failed; its message is a sentence for people. Status 0 means that no answer came. */
export class ApiError extends Error {
  override name = 'ApiError';
  readonly status: number;
  readonly code: string;
  readonly fields: Readonly<Record<string, string>>;
  /** Seconds after which the server wants to be asked again; null where it doesn't say. */
  readonly retryAfter: number | null;

  constructor(problem: Problem, retryAfter: number | null = null) {
    super(problem.detail || problem.title);
    this.status = problem.status;
    this.code = problem.code;
    this.fields = problem.fields ?? {};
    this.retryAfter = retryAfter;
  }
}

/** Seconds from now that a Retry-After header tells, which names their number or a date (RFC 9110, 10.2.3). */
export function retryAfterOf(header: string | null, now: number = Date.now()): number | null {
  const said = header?.trim() ?? '';
  if (/^\d{1,9}$/.test(said)) return Number(said);
  // Nothing but a date has a time in it; Date.parse would take more for one.
  const at = /\d:\d\d:\d/.test(said) ? Date.parse(said) : NaN;
  return Number.isNaN(at) ? null : Math.max(0, Math.ceil((at - now) / 1000));
}

export type Query = Record<string, string | number | boolean | null | undefined>;

/** `path` with the parameters that have a value. */
export function withQuery(path: string, query: Query = {}): string {
  const entries = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '');
  const search = new URLSearchParams(entries.map(([name, value]) => [name, String(value)])).toString();
  return search ? `${path}?${search}` : path;
}

interface Options {
  query?: Query;
  signal?: AbortSignal;
  headers?: Record<string, string>;
  /** Longest wait for the whole answer, in seconds. */
  timeout?: number;
}

async function call<T>(method: string, path: string, body: unknown, options: Options): Promise<T> {
  const timeout = AbortSignal.timeout((options.timeout ?? 20) * 1000);
  const headers: Record<string, string> = { accept: 'application/json', ...options.headers };
  let payload: BodyInit | null = null;
  if (body instanceof Blob) {
    headers['content-type'] = body.type;
    payload = body;
  } else if (body !== undefined) {
    headers['content-type'] = 'application/json';
    payload = JSON.stringify(body);
  }
  let response: Response;
  let text: string;
  try {
    response = await fetch(withQuery(path, options.query), {
      method,
      headers,
      body: payload,
      credentials: 'same-origin',
      signal: options.signal ? AbortSignal.any([options.signal, timeout]) : timeout,
    });
    text = await response.text();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw timeout.aborted
      ? new ApiError({ title: 'Tenfold took too long to answer. Try again.', status: 0, code: 'timeout' })
      : new ApiError({
          title: 'Tenfold can’t be reached. Check that it is running and that you are online, then try again.',
          status: 0,
          code: 'unreachable',
        });
  }
  if (!response.ok) throw problemOf(response, text);
  return (text ? JSON.parse(text) : undefined) as T;
}

function problemOf(response: Response, text: string): ApiError {
  const retryAfter = retryAfterOf(response.headers.get('retry-after'));
  try {
    const problem = JSON.parse(text) as Partial<Problem>;
    if (typeof problem.title === 'string')
      return new ApiError({ code: 'error', ...problem, title: problem.title, status: response.status }, retryAfter);
  } catch {
    // Not ours: a proxy's page, or nothing at all.
  }
  const title =
    response.status >= 500
      ? `Tenfold answered with an error (${response.status}). Try again in a moment.`
      : `That didn’t work (${response.status}).`;
  return new ApiError({ title, status: response.status, code: 'error' }, retryAfter);
}

export const http = {
  get: <T>(path: string, options: Options = {}) => call<T>('GET', path, undefined, options),
  post: <T>(path: string, body?: unknown, options: Options = {}) => call<T>('POST', path, body, options),
  put: <T>(path: string, body?: unknown, options: Options = {}) => call<T>('PUT', path, body, options),
  patch: <T>(path: string, body: unknown, options: Options = {}) => call<T>('PATCH', path, body, options),
  delete: (path: string, options: Options = {}) => call<undefined>('DELETE', path, undefined, options),
};

/** Any thrown thing as an ApiError, so that pages have one kind to show. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  console.error(error);
  return new ApiError({ title: 'This page ran into a fault. Reload it and try again.', status: 0, code: 'fault' });
}
