import { UsageApiError } from './errors.js';

/** How a client behaves. */
export interface ClientOptions {
  /** How long one attempt may take, its answer's body included. Default: 10 s. */
  timeoutMs?: number | undefined;
  /** How often a request is repeated at most after a 429 or 503. Default: 2; 0 repeats none. */
  maxRetries?: number | undefined;
  /** The longest wait before a repetition. Where the API asks for a longer one, the call fails at once. Default: 10 s. */
  maxRetryDelayMs?: number | undefined;
  /** What sends the requests. Default: the platform's own fetch. */
  fetch?: typeof globalThis.fetch | undefined;
}

/** How one call behaves. */
export interface RequestOptions {
  /** Ends the call, also while it waits for a repetition: it then fails with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** How long one attempt may take, instead of the client's. */
  timeoutMs?: number | undefined;
}

/** Parameters of a query; those without a value are left out. */
export type Query = Record<string, string | number | boolean | null | undefined>;

const longestTimer = 2 ** 31 - 1;
const firstBackoffMs = 500;

/** Sends requests with one set of headers, and repeats those that the API had no time for. */
export class Transport {
  readonly #baseUrl: string;
  readonly #headers: Headers; // private, so that logging a client doesn't show its credential
  readonly #timeoutMs: number;
  readonly #maxRetries: number;
  readonly #maxRetryDelayMs: number;
  readonly #fetch: typeof globalThis.fetch;

  constructor(baseUrl: string, headers: Record<string, string>, options: ClientOptions) {
    this.#baseUrl = parseBaseUrl(baseUrl);
    this.#headers = new Headers({ Accept: 'application/json', ...headers });
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    this.#maxRetries = options.maxRetries ?? 2;
    this.#maxRetryDelayMs = options.maxRetryDelayMs ?? 10_000;
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  }

  /** Returns the JSON at a path, or fails with a UsageApiError or the signal's reason. */
  get<T>(path: string, query: Query, options: RequestOptions): Promise<T> {
    return this.#send<T>(this.#url(path, query), { headers: this.#headers }, options);
  }

  /**
   * Posts JSON to a path, and returns the JSON of the answer or fails as get does. What is posted may arrive more than once: the
   * key, which stays the same, has the API carry it out once.
   */
  post<T>(path: string, body: object, idempotencyKey: string, options: RequestOptions): Promise<T> {
    const headers = new Headers(this.#headers);
    headers.set('Content-Type', 'application/json');
    headers.set('Idempotency-Key', idempotencyKey);
    return this.#send<T>(this.#url(path, {}), { method: 'POST', headers, body: JSON.stringify(body) }, options);
  }

  async #send<T>(url: string, init: RequestInit, options: RequestOptions): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#attempt<T>(url, init, options);
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

  async #attempt<T>(url: string, init: RequestInit, { signal, timeoutMs = this.#timeoutMs }: RequestOptions): Promise<T> {
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
        signal: controller.signal,
        cache: 'no-store',
        credentials: 'omit',
        redirect: 'error', // a redirect would carry the API key to wherever it leads
      });
      return read<T>(response, await response.text());
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

  /** Returns how long to wait before the next attempt, or undefined where there is to be none. */
  #delayAfter(error: unknown, attempt: number): number | undefined {
    if (!(error instanceof UsageApiError) || (error.status !== 429 && error.status !== 503)) return undefined;
    if (attempt >= this.#maxRetries) return undefined;
    if (error.retryAfterMs === undefined) {
      // Half of it is left to chance, so that clients that failed together don't come back together.
      return Math.min(firstBackoffMs * 2 ** attempt, this.#maxRetryDelayMs) * (0.5 + Math.random() / 2);
    }
    return error.retryAfterMs <= this.#maxRetryDelayMs ? error.retryAfterMs : undefined;
  }
}

function parseBaseUrl(baseUrl: string): string {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username || url.password) {
    throw new TypeError(`The base URL must be of the form https://host/path, not ${JSON.stringify(baseUrl)}.`);
  }
  return url.href.replace(/\/+$/, '');
}

function read<T>(response: Response, text: string): T {
  let body: unknown;
  let isJson = true;
  try {
    body = JSON.parse(text);
  } catch {
    isJson = false;
  }
  const requestId = response.headers.get('X-Request-Id') ?? response.headers.get('Apigw-Requestid') ?? undefined;
  if (response.ok) {
    if (isJson) return body as T;
    throw new UsageApiError('The usage API answered something other than JSON.', response.status, 'invalid_response', { requestId });
  }
  const { error, code } = (body ?? {}) as { error?: unknown; code?: unknown };
  throw new UsageApiError(
    typeof error === 'string' ? error : `The usage API answered with status ${response.status}.`,
    response.status,
    typeof code === 'string' ? code : 'http_error',
    { requestId, retryAfterMs: retryAfter(response.headers) },
  );
}

/** Reads Retry-After, which is either a number of seconds or a date. */
function retryAfter(headers: Headers): number | undefined {
  const value = headers.get('Retry-After')?.trim();
  if (!value) return undefined;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const until = Date.parse(value);
  if (Number.isNaN(until)) return undefined;
  const now = Date.parse(headers.get('Date') ?? ''); // the API's clock, since this device's may be wrong
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
