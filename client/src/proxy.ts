// The part for servers: it has the API key, so that pages need none.

/** The access of a signed-in user of your server: all restaurants, or a single one. */
export type UsageAccess = { role: 'administrator' } | { role: 'owner'; restaurantId: string };

/** Options of a proxy. */
export interface UsageProxyOptions {
  /** The API's base URL, as for a client. */
  baseUrl: string;
  /** The API key, which stays on this server. */
  apiKey: string;
  /** The path at which the proxy is mounted, such as "/usage", which is its clients' base URL. Default: the root. */
  mount?: string | undefined;
  /**
   * Identifies the user by the request's cookie, or in any other way, and returns the user's access. null or undefined means
   * that nobody is signed in; the response is then 401.
   */
  access: (request: Request) => UsageAccess | null | undefined | Promise<UsageAccess | null | undefined>;
  /** How long the API may take. Default: 10 s. */
  timeoutMs?: number | undefined;
  /** Sends the requests. Default: the platform's own fetch. */
  fetch?: typeof globalThis.fetch | undefined;
}

const maxBodyBytes = 64 * 1024; // the API's limit

/** A request that the API knows, by method and path. */
interface Route {
  kind: 'list' | 'alerts' | 'ownDetails' | 'restaurant' | 'details' | 'topUp';
  restaurantId?: string;
}

const parameters: Partial<Record<Route['kind'], string[]>> = {
  list: ['limit', 'offset', 'cursor', 'isActive', 'search'],
  alerts: ['limit', 'offset', 'cursor', 'threshold'],
};

/**
 * Returns a handler for your server to mount: a route of Next, Hono, Cloudflare's workers, or anything else that answers a
 * Request with a Response. Through it, pages can call the usage API, and only that, with the rights that `access` gives them.
 */
export function usageProxy(options: UsageProxyOptions): (request: Request) => Promise<Response> {
  const { access, timeoutMs = 10_000, fetch: send = (input, init) => globalThis.fetch(input, init) } = options;
  const { apiKey, mount = '' } = options;
  if (typeof apiKey !== 'string' || !/^[\x21-\x7e]+$/.test(apiKey)) throw new TypeError('The proxy needs an API key, without spaces.');
  if (typeof access !== 'function') throw new TypeError('The proxy needs a function that decides who may see what.');
  if (!/^(\/[^/?#]+)*$/.test(mount)) throw new TypeError('mount must be a path of the form /path, without a slash at its end.');
  if (!(timeoutMs > 0)) throw new TypeError('timeoutMs must be more than 0 milliseconds.');
  const base = URL.canParse(options.baseUrl) ? new URL(options.baseUrl) : undefined;
  if (!base || !/^https?:$/.test(base.protocol) || base.search || base.hash || base.username || base.password) {
    throw new TypeError('The base URL must be of the form https://host/path.');
  }
  const baseUrl = base.href.replace(/\/+$/, '');

  return async (request) => {
    const { pathname, searchParams } = new URL(request.url);
    const found = pathname.startsWith(`${mount}/`) ? routeOf(pathname.slice(mount.length)) : undefined;
    if (!found) return refusal(404, 'not_found', 'There is nothing at this address.');
    const isTopUp = found.kind === 'topUp';
    if (isTopUp ? request.method !== 'POST' : request.method !== 'GET' && request.method !== 'HEAD') {
      return refusal(405, 'method_not_allowed', 'This method is not allowed here.', { Allow: isTopUp ? 'POST' : 'GET, HEAD' });
    }
    // Another site's form or script can send a request with the user's cookies. With this content type it can't: the browser
    // would first ask this server, which doesn't allow it.
    if (isTopUp && !/^application\/json\s*(;|$)/i.test(request.headers.get('Content-Type') ?? '')) {
      return refusal(415, 'invalid_body', 'The body must be sent as application/json.');
    }
    const allowed = await access(request);
    if (!allowed) return refusal(401, 'unauthorized', 'Please sign in.');
    const path = pathFor(found, allowed);
    if (!path) return refusal(403, 'forbidden', 'You may not see this.');

    const headers = new Headers({ Accept: 'application/json', 'X-API-Key': apiKey });
    let body: string | undefined;
    if (isTopUp) {
      body = await request.text();
      if (body.length > maxBodyBytes) return refusal(413, 'body_too_large', 'The body is too large.');
      headers.set('Content-Type', 'application/json');
      const key = request.headers.get('Idempotency-Key');
      if (key !== null) headers.set('Idempotency-Key', key);
    }
    const query = new URLSearchParams([...searchParams].filter(([name]) => parameters[found.kind]?.includes(name))).toString();

    let answer: Response;
    let content: string;
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), Math.min(timeoutMs, 2 ** 31 - 1));
    try {
      answer = await send(baseUrl + path + (query && `?${query}`), {
        method: request.method, headers, redirect: 'manual', signal: timeout.signal, ...(body === undefined ? {} : { body }),
      });
      content = await answer.text();
    } catch {
      return timeout.signal.aborted
        ? refusal(504, 'timeout', 'The usage API did not answer in time.')
        : refusal(502, 'network_error', 'The usage API could not be reached.');
    } finally {
      clearTimeout(timer);
    }
    const passed = new Headers({ 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
    for (const name of ['Retry-After', 'X-Request-Id', 'Apigw-Requestid']) {
      const value = answer.headers.get(name);
      if (value !== null) passed.set(name, value);
    }
    // The API refused the proxy, not its user: signing in again wouldn't help.
    if (answer.status === 401 || answer.status === 403 || (answer.status >= 300 && answer.status < 400)) {
      return refusal(502, 'proxy_refused', 'The usage API refused this server’s access.', Object.fromEntries(passed));
    }
    return new Response(request.method === 'HEAD' ? null : content, { status: answer.status, headers: passed });
  };
}

/** Returns the route of a path, or undefined if it isn't a path of the API. */
function routeOf(path: string): Route | undefined {
  const segments = path.replace(/\/$/, '').split('/').slice(1);
  const last = segments.at(-1);
  const [api, second, third] = segments;
  if (api !== 'api') return undefined;
  if (second === 'usage') {
    if (segments.length === 2) return { kind: 'list' };
    if (segments.length === 3 && third === 'alerts') return { kind: 'alerts' };
    if (segments.length === 3 && third === 'details') return { kind: 'ownDetails' };
    const restaurantId = idOf(third);
    if (restaurantId === undefined) return undefined;
    if (segments.length === 3) return { kind: 'restaurant', restaurantId };
    return segments.length === 4 && last === 'details' ? { kind: 'details', restaurantId } : undefined;
  }
  if (second === 'admin' && third === 'usage' && segments.length === 5 && last === 'renew') {
    const restaurantId = idOf(segments[3]);
    return restaurantId === undefined ? undefined : { kind: 'topUp', restaurantId };
  }
  return undefined;
}

/** Returns the id in a path's segment, or undefined if it would lead to another path. */
function idOf(segment: string | undefined): string | undefined {
  try {
    const id = decodeURIComponent(segment ?? '');
    return isId(id) ? id : undefined;
  } catch {
    return undefined; // a malformed escape
  }
}

// Dots would be steps within the path, and the API's own words aren't ids.
const isId = (id: string): boolean => !['', '.', '..', 'alerts', 'details'].includes(id);

/** Returns the API's path for a request made with the administrator's key, or undefined if the user has no right to it. */
function pathFor({ kind, restaurantId = '' }: Route, allowed: UsageAccess): string | undefined {
  if (allowed.role === 'owner') {
    const own = `/api/usage/${encodeURIComponent(allowed.restaurantId)}`;
    if (!isId(allowed.restaurantId)) return undefined;
    if (kind === 'list' || (kind === 'restaurant' && restaurantId === allowed.restaurantId)) return own;
    if (kind === 'ownDetails' || (kind === 'details' && restaurantId === allowed.restaurantId)) return `${own}/details`;
    return undefined;
  }
  if (allowed.role !== 'administrator') return undefined;
  const id = encodeURIComponent(restaurantId);
  switch (kind) {
    case 'list': return '/api/usage';
    case 'alerts': return '/api/usage/alerts';
    case 'restaurant': return `/api/usage/${id}`;
    case 'details': return `/api/usage/${id}/details`;
    case 'topUp': return `/api/admin/usage/${id}/renew`;
    case 'ownDetails': return undefined; // an administrator has no restaurant
  }
}

/** Answers in the API's own form. */
function refusal(status: number, code: string, error: string, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify({ error, code }), {
    status, headers: { ...headers, 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
  });
}
