import { UsageApiError } from './errors.js';
import type { Check } from './shape.js';

/** Options of a client. */
export interface ClientOptions {
  /** The longest time for one attempt, the answer's body included, in milliseconds. Default: 10 s. */
  timeoutMs?: number | undefined;
  /** The most repetitions of a request after a 429 or 503. Default: 2; 0 means none. */
  maxRetries?: number | undefined;
  /**
   * The longest wait before a repetition, in milliseconds. If the API asks for a longer wait, the call fails at once.
   * Default: 10 s.
   */
  maxRetryDelayMs?: number | undefined;
  /** Sends the requests. Default: the platform's own fetch. */
  fetch?: typeof globalThis.fetch | undefined;
}

/** Options of a call. */
export interface RequestOptions {
  /** Ends the call, even while it waits for a repetition. The call then fails with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** The longest time for one attempt, in place of the client's timeoutMs. */
  timeoutMs?: number | undefined;
}

/** Parameters of a query; parameters without a value are left out. */
export type Query = Record<string, string | number | boolean | null | undefined>;

const longestTimer = 2 ** 31 - 1;
const firstBackoffMs = 500;

/**
 * Sends requests with fixed headers, and repeats a request after a 429 or 503. A proxied transport may have an address on the
 * page's own server, and sends the page's cookies to it.
 */
export class Transport {
  readonly #baseUrl: string;
  readonly #headers: Headers; // private, so that a logged client doesn't show its credential
  readonly #credentials: RequestCredentials;
  readonly #timeoutMs: number;
  readonly #maxRetries: number;
  readonly #maxRetryDelayMs: number;
  readonly #fetch: typeof globalThis.fetch;

  constructor(baseUrl: string, headers: Record<string, string>, options: ClientOptions, kind: 'direct' | 'proxied' = 'direct') {
    this.#baseUrl = parseBaseUrl(baseUrl, kind === 'proxied');
    this.#headers = new Headers({ Accept: 'application/json', ...headers });
    this.#credentials = kind === 'proxied' ? 'same-origin' : 'omit';
    this.#timeoutMs = duration(options.timeoutMs ?? 10_000, 'timeoutMs');
    this.#maxRetries = options.maxRetries ?? 2;
    this.#maxRetryDelayMs = options.maxRetryDelayMs ?? 10_000;
    if (!(this.#maxRetries >= 0)) throw new TypeError('maxRetries must be 0 or more.');
    if (!(this.#maxRetryDelayMs >= 0)) throw new TypeError('maxRetryDelayMs must be 0 or more.');
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  }

  /** Returns the JSON at a path, checked against the shape. Fails with a UsageApiError or the signal's reason. */
  async get<T>(path: string, query: Query, shape: Check, options: RequestOptions): Promise<T> {
    return this.#send<T>(this.#url(path, query), { headers: this.#headers }, shape, options);
  }

  /**
   * Posts JSON to a path and returns the answer's JSON; fails as get does. The body may arrive more than once, always with
   * the same key, so that the API carries it out once.
   */
  async post<T>(path: string, body: object, idempotencyKey: string, shape: Check, options: RequestOptions): Promise<T> {
    const headers = new Headers(this.#headers);
    headers.set('Content-Type', 'application/json');
    headers.set('Idempotency-Key', idempotencyKey);
    return this.#send<T>(this.#url(path, {}), { method: 'POST', headers, body: JSON.stringify(body) }, shape, options);
  }

  async #send<T>(url: string, init: RequestInit, shape: Check, options: RequestOptions): Promise<T> {
    const timeoutMs = duration(options.timeoutMs ?? this.#timeoutMs, 'timeoutMs');
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#attempt<T>(url, init, shape, timeoutMs, options.signal);
      } catch (error) {
        const delay = this.#delayAfter(error, attempt);
        if (delay === undefined) throw error;
        await sleep(delay, options.signal);
      }
    }
  }

  #url(path: string, query: Query): string {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== null) parameters.set(name, String(value));
    }
    const search = parameters.toString();
    return this.#baseUrl + path + (search && `?${search}`);
  }

  async #attempt<T>(
    url: string, init: RequestInit, shape: Check, timeoutMs: number, signal: AbortSignal | undefined,
  ): Promise<T> {
    signal?.throwIfAborted();
    const controller = new AbortController();
    const abort = () => controller.abort();
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      abort();
    }, Math.min(timeoutMs, longestTimer));
    signal?.addEventListener('abort', abort);
    try {
      const response = await this.#fetch(url, {
        ...init,
        ...supported({ cache: 'no-store', credentials: this.#credentials }),
        signal: controller.signal,
        redirect: 'manual', // following a redirect could send the API key to another host; workers refuse 'error'
      });
      return read<T>(response, await response.text(), shape);
    } catch (error) {
      if (error instanceof UsageApiError) throw error;
      signal?.throwIfAborted();
      if (timedOut) throw new UsageApiError(`The usage API did not answer within ${timeoutMs} ms.`, 0, 'timeout');
      throw new UsageApiError('The usage API could not be reached.', 0, 'network_error', { cause: error });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Returns the wait before the next attempt, or undefined if there is none. */
  #delayAfter(error: unknown, attempt: number): number | undefined {
    if (!(error instanceof UsageApiError) || (error.status !== 429 && error.status !== 503)) return undefined;
    if (attempt >= this.#maxRetries) return undefined;
    if (error.retryAfterMs === undefined) {
      // Half of the wait is random, so that clients that failed together don't come back together.
      return Math.min(firstBackoffMs * 2 ** attempt, this.#maxRetryDelayMs) * (0.5 + Math.random() / 2);
    }
    return error.retryAfterMs <= this.#maxRetryDelayMs ? error.retryAfterMs : undefined;
  }
}

/**
 * Returns the request's settings that the platform supports. Cloudflare's workers fail for settings that they don't implement
 * (cloudflare/workers-sdk #2514, cloudflare/workerd #698); they have neither cookies nor a cache to avoid.
 */
function supported(settings: Pick<RequestInit, 'cache' | 'credentials'>): RequestInit {
  const known = typeof Request === 'function' ? Request.prototype : {};
  return Object.fromEntries(Object.entries(settings).filter(([name]) => name in known));
}

/** Returns a duration in milliseconds if setTimeout can wait for it; 0 and NaN would mean "at once". */
function duration(ms: unknown, name: string): number {
  if (typeof ms !== 'number' || !(ms > 0)) throw new TypeError(`${name} must be more than 0 milliseconds.`);
  return ms;
}

// The error doesn't quote the invalid value, which may contain a credential.
function parseBaseUrl(baseUrl: unknown, isProxied: boolean): string {
  if (isProxied && typeof baseUrl === 'string' && /^(\/[\w.~%-]+)*\/?$/.test(baseUrl)) return baseUrl.replace(/\/$/, '');
  const url = typeof baseUrl === 'string' && URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username || url.password) {
    throw new TypeError(`The base URL must be of the form https://host/path${isProxied ? ' or /path' : ''}.`);
  }
  return url.href.replace(/\/+$/, '');
}

function read<T>(response: Response, text: string, shape: Check): T {
  let body: unknown;
  let isJson = true;
  try {
    body = JSON.parse(text);
  } catch {
    isJson = false;
  }
  const { status } = response;
  const requestId = response.headers.get('X-Request-Id') ?? response.headers.get('Apigw-Requestid') ?? undefined;
  if (response.ok) {
    const fault = isJson ? shape(body, '') : 'it is no JSON';
    if (!fault) return body as T;
    throw new UsageApiError(`The usage API's answer can't be used: ${fault}.`, status, 'invalid_response', { requestId });
  }
  // Browsers hide a redirect's target and status.
  if (response.type === 'opaqueredirect' || (status >= 300 && status < 400)) {
    throw new UsageApiError('The usage API answered with a redirect, which is not followed.', status, 'http_error', { requestId });
  }
  const { error, code } = (body ?? {}) as { error?: unknown; code?: unknown };
  throw new UsageApiError(
    typeof error === 'string' ? error : `The usage API answered with status ${status}.`,
    status,
    typeof code === 'string' ? code : 'http_error',
    { requestId, retryAfterMs: retryAfter(response.headers) },
  );
}

/** Parses Retry-After, a number of seconds or a date. */
function retryAfter(headers: Headers): number | undefined {
  const value = headers.get('Retry-After')?.trim();
  if (!value) return undefined;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const until = Date.parse(value);
  if (Number.isNaN(until)) return undefined;
  const now = Date.parse(headers.get('Date') ?? ''); // by the API's clock, because this device's may be wrong
  return Math.max(0, until - (Number.isNaN(now) ? Date.now() : now));
}

function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, ms);
    if (signal?.aborted) abort();
    else signal?.addEventListener('abort', abort, { once: true });
  });
}
