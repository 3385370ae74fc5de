import { describe, expect, test } from 'vitest';
import { type UsagePage, UsageApiClient } from '../src/index.js';
import { alertPage, detail, details, page, quota, restaurant } from './fixtures.js';
import { json, serve } from './server.js';

/** Serves `total` restaurants to an administrator. */
async function serveList(total: number) {
  return serve((response, { url }) => json(response, 200, page(new URL(url, 'http://localhost').searchParams, total)));
}

describe('with an access token', () => {
  test('listUsage returns the one restaurant', async () => {
    const { url, received } = await serve((response) => json(response, 200, restaurant()));
    const client = new UsageApiClient(url, 'pat', undefined, 'clxyz123abc');
    expect(await client.listUsage()).toEqual(restaurant());
    expect(received).toMatchObject([
      { method: 'GET', url: '/api/usage', headers: { authorization: 'Bearer pat', 'x-restaurant-id': 'clxyz123abc' } },
    ]);
    expect(received[0]?.headers).not.toHaveProperty('x-api-key');
  });

  test('an owner’s client refuses what only an administrator may do, even without types', async () => {
    const client: any = new UsageApiClient('http://localhost', 'pat', undefined, 'clxyz123abc');
    expect(() => client.listAllUsage()).toThrow(TypeError);
    expect(() => client.alerts()).toThrow(TypeError);
    await expect(client.renew('clxyz123abc')).rejects.toThrow(TypeError);
  });

  test('details returns all of the one restaurant', async () => {
    const { url, received } = await serve((response) => json(response, 200, details()));
    const client = new UsageApiClient(url, 'pat', undefined, 'clxyz123abc');
    expect(await client.details({ timeoutMs: 60_000 })).toEqual(details());
    expect(received).toMatchObject([{ url: '/api/usage/details', headers: { 'x-restaurant-id': 'clxyz123abc' } }]);
  });
});

describe('with an API key', () => {
  test('listUsage returns one page', async () => {
    const { url, received } = await serveList(30);
    const client = new UsageApiClient(url, undefined, 'key');
    const { data, pagination } = await client.listUsage();
    expect(data).toHaveLength(20);
    expect(pagination).toEqual({ total: 30, limit: 20, offset: 0, hasMore: true });
    expect(received).toMatchObject([{ url: '/api/usage', headers: { 'x-api-key': 'key' } }]);
    expect(received[0]?.headers).not.toHaveProperty('authorization');
  });

  test('parameters without a value are left out, the others sent as they are', async () => {
    const { url, received } = await serveList(3);
    const client = new UsageApiClient(url, undefined, 'key');
    await client.listUsage({ limit: 2, offset: 0, isActive: false });
    await client.listUsage({ limit: undefined, offset: undefined, isActive: undefined });
    expect(received.map((r) => r.url)).toEqual(['/api/usage?limit=2&offset=0&isActive=false', '/api/usage']);
  });

  test('getUsage returns one restaurant with its history', async () => {
    const { url, received } = await serve((response) => json(response, 200, detail()));
    expect(await new UsageApiClient(url, undefined, 'key').getUsage('a/b ?#%ü$&')).toEqual(detail());
    expect(received[0]?.url).toBe('/api/usage/a%2Fb%20%3F%23%25%C3%BC%24%26');
  });

  test.each(['', '.', '..', undefined])('the id %j is refused, because it would lead to another address', async (id) => {
    const client = new UsageApiClient('http://localhost', undefined, 'key');
    await expect(client.getUsage(id as string)).rejects.toThrow(TypeError);
    await expect(client.details(id as string)).rejects.toThrow(TypeError);
    await expect(client.renew(id as string)).rejects.toThrow(TypeError);
  });

  test('details returns all of one restaurant', async () => {
    const { url, received } = await serve((response) => json(response, 200, details()));
    expect(await new UsageApiClient(url, undefined, 'key').details('a/b')).toEqual(details());
    expect(received[0]?.url).toBe('/api/usage/a%2Fb/details');
  });

  test('alerts returns the first page, or all of them', async () => {
    const { url, received } = await serve((response, r) => json(response, 200, alertPage(new URL(r.url, 'http://localhost').searchParams, 5)));
    const client = new UsageApiClient(url, undefined, 'key');
    expect((await client.alerts({ threshold: 0.5, limit: 3 })).threshold).toBe(0.5);
    const seen: string[] = [];
    for await (const { restaurantId } of client.alerts({ threshold: 0.5, limit: 3 }).restaurants()) seen.push(restaurantId);
    expect(seen).toEqual(['r0', 'r1', 'r2', 'r3', 'r4']);
    expect(received.map((r) => r.url)).toEqual([
      '/api/usage/alerts?threshold=0.5&limit=3', '/api/usage/alerts?threshold=0.5&limit=3', '/api/usage/alerts?threshold=0.5&limit=3&offset=3',
    ]);
  });
});

describe('renew', () => {
  test('posts amount and reason with the key', async () => {
    const { url, received } = await serve((response) => json(response, 200, { success: true, data: quota }));
    const client = new UsageApiClient(url, undefined, 'key');
    expect(await client.renew('r1', { amount: 500, reason: 'رمضان', idempotencyKey: 'k1' })).toEqual(quota);
    expect(received).toMatchObject([{
      method: 'POST', url: '/api/admin/usage/r1/renew', body: '{"amount":500,"reason":"رمضان"}',
      headers: { 'x-api-key': 'key', 'idempotency-key': 'k1', 'content-type': 'application/json' },
    }]);
  });

  test('a repetition has the same key, and another call another key', async () => {
    const { url, received } = await serve((response, _, index) => (index === 0
      ? json(response, 503, { error: 'x', code: 'unavailable' }, { 'Retry-After': '0' })
      : json(response, 200, { success: true, data: quota })));
    const client = new UsageApiClient(url, undefined, 'key');
    await client.renew('r1');
    await client.renew('r1');
    const keys = received.map((r) => r.headers['idempotency-key']);
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(keys[1]).toBe(keys[0]);
    expect(keys[2]).not.toBe(keys[0]);
    expect(received[0]?.body).toBe('{}'); // the API has the defaults
  });
});

describe('listAllUsage', () => {
  const collect = async (pages: AsyncIterable<UsagePage>) => {
    const all: UsagePage[] = [];
    for await (const page of pages) all.push(page);
    return all;
  };

  test('awaited, gives the first page with one request', async () => {
    const { url, received } = await serveList(120);
    const pages = new UsageApiClient(url, undefined, 'key').listAllUsage({ limit: 50, offset: 10, isActive: true });
    expect((await pages).pagination).toEqual({ total: 120, limit: 50, offset: 10, hasMore: true });
    expect(await pages).toBe(await pages.finally(() => {}));
    expect(received.map((r) => r.url)).toEqual(['/api/usage?limit=50&offset=10&isActive=true']);
  });

  test('iterated over, gives every page', async () => {
    const { url, received } = await serveList(120);
    const pages = await collect(new UsageApiClient(url, undefined, 'key').listAllUsage({ limit: 50, isActive: true }));
    expect(pages.map((p) => p.data.length)).toEqual([50, 50, 20]);
    expect(received.map((r) => r.url)).toEqual([
      '/api/usage?limit=50&isActive=true',
      '/api/usage?limit=50&offset=50&isActive=true',
      '/api/usage?limit=50&offset=100&isActive=true',
    ]);
  });

  test('starts at the given page, and keeps the limit that the API applied', async () => {
    const { url } = await serveList(250);
    const pages = await collect(new UsageApiClient(url, undefined, 'key').listAllUsage({ limit: 500, offset: 30 }));
    expect(pages.map((p) => p.pagination.offset)).toEqual([30, 130, 230]);
  });

  test('gives one empty page if there is no restaurant', async () => {
    const { url, received } = await serveList(0);
    const pages = await collect(new UsageApiClient(url, undefined, 'key').listAllUsage());
    expect(pages.map((p) => p.data)).toEqual([[]]);
    expect(received).toHaveLength(1);
  });

  test('goes on after an empty page that isn’t the last', async () => {
    const { url } = await serve((response, request, index) => {
      const answer = page(new URL(request.url, url).searchParams, 45);
      json(response, 200, index === 1 ? { ...answer, data: [] } : answer);
    });
    const pages = await collect(new UsageApiClient(url, undefined, 'key').listAllUsage());
    expect(pages.map((p) => p.data.length)).toEqual([20, 0, 5]);
  });

  test('ends at an empty page beyond the total, even if that page names a next one', async () => {
    const { url, received } = await serve((response) =>
      json(response, 200, { data: [], pagination: { total: 5, limit: 20, offset: 0, hasMore: true } }),
    );
    await collect(new UsageApiClient(url, undefined, 'key').listAllUsage());
    expect(received).toHaveLength(1);
  });

  test('follows the pages’ cursors, after empty pages too', async () => {
    const { url, received } = await serve((response, request) => {
      const at = Number(new URL(request.url, url).searchParams.get('cursor') ?? 0);
      json(response, 200, {
        data: at === 1 ? [] : [restaurant(`r${at}`)],
        pagination: { total: 3, limit: 1, offset: 0, hasMore: at < 2, ...(at < 2 ? { nextCursor: String(at + 1) } : {}) },
      });
    });
    const ids: string[] = [];
    const pages = new UsageApiClient(url, undefined, 'key').listAllUsage({ limit: 1, search: ' kab ' });
    for await (const { restaurantId } of pages.restaurants()) ids.push(restaurantId);
    expect(ids).toEqual(['r0', 'r2']);
    expect(received.map((r) => r.url)).toEqual([
      '/api/usage?limit=1&search=kab', '/api/usage?limit=1&cursor=1&search=kab', '/api/usage?limit=1&cursor=2&search=kab',
    ]);
  });

  test('fails if a page names itself as the next, which would never end', async () => {
    const { url } = await serve((response) => json(response, 200, {
      data: [restaurant()], pagination: { total: 3, limit: 1, offset: 0, hasMore: true, nextCursor: 'again' },
    }));
    await expect(collect(new UsageApiClient(url, undefined, 'key').listAllUsage())).rejects.toMatchObject({ code: 'invalid_response' });
  });

  test('yields restaurants one by one', async () => {
    const { url } = await serveList(45);
    const ids: string[] = [];
    const pages = new UsageApiClient(url, undefined, 'key').listAllUsage();
    for await (const { restaurantId } of pages.restaurants()) ids.push(restaurantId);
    expect(ids).toEqual(Array.from({ length: 45 }, (_, i) => `r${i}`));
  });

  test('requests only the pages that are read', async () => {
    const { url, received } = await serveList(45);
    const pages = new UsageApiClient(url, undefined, 'key').listAllUsage();
    expect(received).toHaveLength(0);
    for await (const _ of pages.restaurants()) break;
    expect(received).toHaveLength(1);
  });

  test('fails at the first page that can’t be read', async () => {
    const { url } = await serve((response, request, index) =>
      index === 0
        ? json(response, 200, page(new URL(request.url, url).searchParams, 45))
        : json(response, 401, { error: 'revoked', code: 'unauthorized' }),
    );
    const pages = new UsageApiClient(url, undefined, 'key').listAllUsage();
    const seen: string[] = [];
    await expect(async () => {
      for await (const { restaurantId } of pages.restaurants()) seen.push(restaurantId);
    }).rejects.toMatchObject({ status: 401, code: 'unauthorized' });
    expect(seen).toHaveLength(20);
    await expect(new UsageApiClient(url, undefined, 'key').listAllUsage().catch((error) => error.code)).resolves.toBe('unauthorized');
  });
});

describe('the constructor', () => {
  const create = (...args: unknown[]) => Reflect.construct(UsageApiClient, args);

  test.each([
    ['no credential', 'http://localhost'],
    ['both credentials', 'http://localhost', 'pat', 'key', 'id'],
    ['a token without a restaurant', 'http://localhost', 'pat'],
    ['empty credentials', 'http://localhost', '', ''],
    ['a credential that is no header', 'http://localhost', undefined, 'a\nb'],
    ['a relative base URL', '/api', undefined, 'key'],
    ['a base URL of another scheme', 'ftp://localhost', undefined, 'key'],
    ['a base URL with a query', 'http://localhost?x=1', undefined, 'key'],
    ['a base URL with a password', 'http://a:b@localhost', undefined, 'key'],
    ['no base URL', undefined, undefined, 'key'],
  ])('refuses %s', (_, ...args) => {
    expect(() => create(...args)).toThrow(TypeError);
  });

  test.each([
    ['a key with a line break', 'http://localhost', undefined, 'secret\nkey'],
    ['a token with a line break', 'http://localhost', 'secret\r', undefined, 'id'],
    ['a password in the base URL', 'http://me:secret@localhost', undefined, 'key'],
    ['a key in the place of the base URL', 'secret', undefined, 'key'],
  ])('quotes no credential: %s', (_, ...args) => {
    expect(() => create(...args)).toThrow(expect.not.objectContaining({ message: expect.stringContaining('secret') }));
  });

  test.each([
    ['', '/api/usage'],
    ['/', '/api/usage'],
    ['/usage/v1', '/usage/v1/api/usage'],
    ['/usage/v1//', '/usage/v1/api/usage'],
  ])('takes a base URL that ends in %j', async (suffix, path) => {
    const { url, received } = await serveList(1);
    await new UsageApiClient(url + suffix, undefined, 'key').listUsage();
    expect(received[0]?.url).toBe(path);
  });

  test('shows no credential to whoever logs the client', async () => {
    const { inspect } = await import('node:util');
    const client = new UsageApiClient('http://localhost', undefined, 'secret-key');
    expect(inspect(client, { showHidden: true, depth: 9 }) + JSON.stringify(client)).not.toContain('secret-key');
  });
});
