import { describe, expect, test } from 'vitest';
import { proxiedClient } from '../src/index.js';
import { type UsageAccess, usageProxy, type UsageProxyOptions } from '../src/proxy.js';
import { alertPage, detail, details, page, quota } from './fixtures.js';
import { type Answer, json, serve } from './server.js';

const administrator: UsageAccess = { role: 'administrator' };
const owner: UsageAccess = { role: 'owner', restaurantId: 'r1' };

/** Starts an API, and a proxy for it at /usage for users with the given access. */
async function setup(access: UsageAccess | null, answer: Answer = (response) => json(response, 200, { ok: true }), options: Partial<UsageProxyOptions> = {}) {
  const api = await serve(answer);
  const handle = usageProxy({ baseUrl: api.url, apiKey: 'the-key', mount: '/usage', access: () => access, ...options });
  const ask = (path: string, init?: RequestInit) => handle(new Request(`https://dashboard.example/usage${path}`, init));
  return { ...api, handle, ask };
}

const topUp = { method: 'POST', body: '{"amount":5}', headers: { 'Content-Type': 'application/json', 'Idempotency-Key': 'k1' } };

describe('a proxy', () => {
  test.each<[UsageAccess, string, string | number, RequestInit?]>([
    [administrator, '/api/usage', '/api/usage'],
    [administrator, '/api/usage/', '/api/usage'],
    [administrator, '/api/usage?limit=5&isActive=true&search=%D9%83&debug=1', '/api/usage?limit=5&isActive=true&search=%D9%83'],
    [administrator, '/api/usage/alerts?threshold=0.5&search=x', '/api/usage/alerts?threshold=0.5'],
    [administrator, '/api/usage/a%2Fb', '/api/usage/a%2Fb'],
    [administrator, '/api/usage/r2?restaurantId=r3', '/api/usage/r2'],
    [administrator, '/api/usage/r2/details', '/api/usage/r2/details'],
    [administrator, '/api/usage/details', 403],
    [administrator, '/api/admin/usage/r2/renew', '/api/admin/usage/r2/renew', topUp],
    [owner, '/api/usage', '/api/usage/r1'],
    [owner, '/api/usage?restaurantId=r2', '/api/usage/r1'],
    [owner, '/api/usage/details', '/api/usage/r1/details'],
    [owner, '/api/usage/r1', '/api/usage/r1'],
    [owner, '/api/usage/r1/details', '/api/usage/r1/details'],
    [owner, '/api/usage/r2', 403],
    [owner, '/api/usage/r2/details', 403],
    [owner, '/api/usage/alerts', 403],
    [owner, '/api/admin/usage/r1/renew', 403, topUp],
    [{ role: 'owner', restaurantId: 'alerts' }, '/api/usage', 403],
    [{ role: 'owner', restaurantId: '..' }, '/api/usage', 403],
    [{ role: 'root' } as unknown as UsageAccess, '/api/usage', 403],
    [administrator, '/api/other', 404],
    [administrator, '/webhooks/whatsapp', 404],
    [administrator, '/api/usage/r1/../../other', 404],
    [administrator, '/api/usage/%2E%2E/other', 404],
    [administrator, '/api/usage/%', 404],
    [administrator, '/api/usage/r1/other', 404],
    [administrator, '/api/admin/usage/r1', 404],
    [administrator, '/api/usage', 405, { method: 'DELETE' }],
    [administrator, '/api/usage', 405, topUp],
    [administrator, '/api/admin/usage/r2/renew', 405],
    [administrator, '/api/admin/usage/r2/renew', 415, { method: 'POST', body: 'amount=5' }],
    [administrator, '/api/admin/usage/r2/renew', 413, { ...topUp, body: `"${'x'.repeat(65_536)}"` }],
  ])('%j asks for %s: %j', async (access, path, want, init) => {
    const { ask, received } = await setup(access);
    const response = await ask(path, init);
    expect(typeof want === 'number' ? response.status : received.map((r) => r.url)).toEqual(typeof want === 'number' ? want : [want]);
    if (typeof want === 'number') {
      expect(received).toEqual([]);
      expect(await response.json()).toMatchObject({ error: expect.any(String), code: expect.any(String) });
    }
  });

  test('nobody gets an answer without being signed in', async () => {
    const { ask, received } = await setup(null);
    expect((await ask('/api/usage')).status).toBe(401);
    expect(received).toEqual([]);
  });

  test('no path outside the mount is forwarded', async () => {
    const { handle, received } = await setup(administrator);
    for (const path of ['/api/usage', '/usage2/api/usage', '/usage']) {
      expect((await handle(new Request(`https://dashboard.example${path}`))).status).toBe(404);
    }
    expect(received).toEqual([]);
  });

  test('the API gets the key and what it needs, but no header of the browser', async () => {
    const { ask, received } = await setup(administrator);
    await ask('/api/admin/usage/r2/renew', {
      ...topUp, headers: { ...topUp.headers, Cookie: 'session=1', Authorization: 'Bearer x', 'X-API-Key': 'other', 'X-Restaurant-Id': 'r9' },
    });
    expect(received[0]).toMatchObject({ method: 'POST', body: '{"amount":5}', headers: { 'x-api-key': 'the-key', 'idempotency-key': 'k1' } });
    for (const name of ['cookie', 'authorization', 'x-restaurant-id']) expect(received[0]?.headers).not.toHaveProperty(name);
  });
});

describe('an answer of a proxy', () => {
  test('the browser gets the API’s answer, which nobody may cache', async () => {
    const { ask } = await setup(administrator, (response) => json(response, 503, { error: 'down', code: 'unavailable' }, {
      'Retry-After': '3', 'X-Request-Id': 'q1', 'Set-Cookie': 'a=b',
    }));
    const response = await ask('/api/usage');
    expect([response.status, await response.json()]).toEqual([503, { error: 'down', code: 'unavailable' }]);
    expect(Object.fromEntries(response.headers)).toEqual({
      'cache-control': 'no-store', 'content-type': 'application/json', 'retry-after': '3', 'x-request-id': 'q1',
    });
  });

  test.each([401, 403, 302])('the API’s %i is answered with 502, since the fault is the server’s own', async (status) => {
    const { ask } = await setup(administrator, (response) => json(response, status, { error: 'x', code: 'unauthorized' }, { Location: '/', 'X-Request-Id': 'q1' }));
    const response = await ask('/api/usage');
    expect([response.status, (await response.json() as { code: string }).code, response.headers.get('X-Request-Id')]).toEqual([502, 'proxy_refused', 'q1']);
  });

  test('without an answer of the API, the browser gets the reason', async () => {
    const broken = await setup(administrator, (response) => response.destroy());
    expect((await broken.ask('/api/usage')).status).toBe(502);
    const slow = await setup(administrator, () => {}, { timeoutMs: 20 });
    expect((await slow.ask('/api/usage')).status).toBe(504);
  });
});

test.each([
  ['no key', { apiKey: '' }], ['a key with a line break', { apiKey: 'secret\n' }], ['a relative base URL', { baseUrl: '/api' }],
  ['a mount without a slash', { mount: 'usage' }], ['a mount with one too many', { mount: '/usage/' }], ['no time', { timeoutMs: 0 }],
  ['nobody who decides', { access: undefined }],
])('a proxy with %s is refused', (_, change) => {
  const options = { baseUrl: 'http://localhost', apiKey: 'key', access: () => null, ...change } as UsageProxyOptions;
  expect(() => usageProxy(options)).toThrow(expect.not.objectContaining({ message: expect.stringContaining('secret') }));
});

describe('a client of a proxy', () => {
  const api: Answer = (response, { url, method }) => {
    const { pathname, searchParams } = new URL(url, 'http://localhost');
    if (method === 'POST') json(response, 200, { success: true, data: quota });
    else if (pathname.endsWith('/details')) json(response, 200, details('r1'));
    else if (pathname.endsWith('/alerts')) json(response, 200, alertPage(searchParams, 1));
    else json(response, 200, pathname === '/api/usage' ? page(searchParams, 3) : detail('r1'));
  };

  test('a page’s client needs no credential, and sends the page’s cookies', async () => {
    const { handle } = await setup(administrator, api);
    const sent: RequestInit[] = [];
    const client = proxiedClient('https://dashboard.example/usage', 'administrator', {
      fetch: (input, init) => {
        sent.push(init!);
        return handle(new Request(input as string, init));
      },
    });
    expect((await client.listUsage()).pagination.total).toBe(3);
    expect(await client.getUsage('r1')).toEqual(detail('r1'));
    expect(await client.renew('r1', { amount: 5 })).toEqual(quota);
    expect((await client.alerts()).data).toHaveLength(1);
    expect(sent.map(({ credentials }) => credentials)).toEqual(Array(4).fill('same-origin'));
  });

  test('sees one restaurant as its owner', async () => {
    const { handle } = await setup(owner, api);
    const client = proxiedClient('https://dashboard.example/usage', 'owner', { fetch: (input, init) => handle(new Request(input as string, init)) });
    expect(await client.listUsage()).toMatchObject({ restaurantId: 'r1' });
    expect(await client.details()).toEqual(details('r1'));
  });

  test('a page’s client can name the path alone, on the page’s server', async () => {
    const asked: unknown[] = [];
    const client = proxiedClient('/usage/', 'owner', { fetch: async (input) => { asked.push(input); return Response.json(detail('r1')); } });
    await client.listUsage();
    expect(asked).toEqual(['/usage/api/usage']);
  });

  test.each(['usage', '//other.example', '/usage?x=1', '/a//b', 'ftp://x'])('can’t be at %j', (baseUrl) => {
    expect(() => proxiedClient(baseUrl, 'owner')).toThrow(TypeError);
  });
});
