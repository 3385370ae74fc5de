import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import * as client from '../src/index.js';
import { modules } from './docs.js';

const { UsageApiClient } = client;

// `make test-client` runs these on a local stack with the demo data; SUFRAH_API has its address.
const api = process.env.SUFRAH_API!;

describe('on a local stack', () => {
  const administrator = () => new UsageApiClient(api, undefined, 'local-admin-key');
  const owner = (id = 'clxyz123abc', token = 'local-pat-clxyz123abc') => new UsageApiClient(api, token, undefined, id);

  test('an owner sees the restaurant', async () => {
    expect(await owner().listUsage()).toMatchObject({
      restaurantId: 'clxyz123abc',
      conversationsThisMonth: 45,
      allowance: { dailyLimit: 1000, monthlyLimit: 30000, monthlyRemaining: 29955 },
    });
  });

  test('an administrator sees a page', async () => {
    const { data, pagination } = await administrator().listUsage({ limit: 3 });
    expect(data).toHaveLength(3);
    expect(pagination).toEqual({ total: 150, limit: 3, offset: 0, hasMore: true, nextCursor: expect.any(String) });
    const { data: following } = await administrator().listUsage({ limit: 100, cursor: pagination.nextCursor });
    expect(following.map(({ restaurantId }) => restaurantId)).not.toContain(data[2]?.restaurantId);
  });

  test('an administrator sees all pages, each restaurant once', async () => {
    const ids = new Set<string>();
    let pages = 0;
    for await (const { data } of administrator().listAllUsage({ limit: 40 })) {
      pages++;
      for (const { restaurantId } of data) ids.add(restaurantId);
    }
    expect([pages, ids.size]).toEqual([4, 150]);
  });

  test('the filter applies to all pages', async () => {
    const inactive: string[] = [];
    for await (const { restaurantId } of administrator().listAllUsage({ isActive: false }).restaurants()) inactive.push(restaurantId);
    expect(inactive).toContain('demo-inactive');
    expect((await administrator().listAllUsage({ isActive: true, limit: 1 })).pagination.total).toBe(150 - inactive.length);
  });

  test('an administrator sees a history', async () => {
    const { history } = await administrator().getUsage('clxyz123abc');
    expect(history.map((m) => m.conversationCount)).toEqual([45, 123]);
  });

  test('an owner and an administrator see the same details', async () => {
    const seen = await owner().details();
    expect(seen).toMatchObject({ restaurantId: 'clxyz123abc', quota: { used: 45, limit: 30000 } });
    expect(seen.dailyBreakdown.reduce((sum, day) => sum + day.conversationsStarted, 0)).toBe(45);
    expect(await administrator().details('clxyz123abc')).toEqual(seen);
  });

  test('sent messages add up, by kind, by category and by day', async () => {
    const { sentMessages: sent } = await administrator().details('demo-143');
    expect(sent.delivered).toBeGreaterThan(0);
    for (const parts of [Object.values(sent.byKind), Object.values(sent.byCategory), sent.days]) {
      for (const outcome of ['sent', 'delivered', 'read', 'failed'] as const) {
        expect(parts.reduce((sum, count) => sum + count[outcome], 0), outcome).toBe(sent[outcome]);
      }
    }
  });

  test('alerts are the fullest restaurants first', async () => {
    const client = administrator();
    const { data, pagination } = await client.alerts({ threshold: 0.95 });
    expect(data.map((alert) => [alert.restaurantId, alert.usagePercent])).toEqual([['demo-002', 100], ['demo-001', 95]]);
    expect(pagination.total).toBe(2);
    const ids: string[] = [];
    for await (const { restaurantId } of client.alerts({ threshold: 0.95, limit: 1 }).restaurants()) ids.push(restaurantId);
    expect(ids).toEqual(['demo-002', 'demo-001']);
  });

  test('a renewal adds once, however often it is called with the same key', async () => {
    const client = administrator();
    const { quota: before } = await client.details('demo-010');
    const renewal = { amount: 250, reason: 'Ramadan', idempotencyKey: 'ramadan-1' };
    const quota = await client.renew('demo-010', renewal);
    expect(quota.effectiveLimit).toBe(before.effectiveLimit + 250);
    expect(await client.renew('demo-010', renewal)).toEqual(quota);
    const { quota: after, adjustments } = await client.details('demo-010');
    expect(after).toEqual(quota);
    expect(adjustments).toMatchObject([{ amount: 250, reason: 'Ramadan' }]);
    await expect(client.renew('demo-010', { ...renewal, amount: 251 })).rejects.toMatchObject({ status: 422, code: 'idempotency_key_reused' });
    await expect(client.renew('demo-unlimited')).rejects.toMatchObject({ status: 409, code: 'unlimited_allowance' });
  });

  test.each([
    ['an amount of 0', () => administrator().renew('demo-010', { amount: 0 }), 400, 'invalid_parameter'],
    ['a threshold in percent', () => administrator().alerts({ threshold: 90 }), 400, 'invalid_parameter'],
    ['an unknown restaurant', () => administrator().getUsage('nowhere'), 404, 'restaurant_not_found'],
    ['an id that leads out of the path', () => administrator().getUsage('a/../..'), 404, 'not_found'],
    ["another's restaurant", () => owner('demo-001').listUsage(), 403, 'forbidden'],
    ['an unknown token', () => owner('clxyz123abc', 'nobody').listUsage(), 401, 'unauthorized'],
    ['a limit of 0', () => administrator().listUsage({ limit: 0 }), 400, 'invalid_parameter'],
    ['a limit that is no number', () => administrator().listUsage({ limit: NaN }), 400, 'invalid_parameter'],
  ])('%s is an error', async (_, call, status, code) => {
    await expect(call()).rejects.toMatchObject({ name: 'UsageApiError', status, code, requestId: expect.any(String) });
  });

  const examples = modules.filter((b) => b.code.includes('http://localhost:8080') && !b.code.includes('/react'));

  test.each(examples)('the example in line $line of the documentation runs', async ({ code }) => {
    const compiled = ts.transpileModule(code.replaceAll('http://localhost:8080', api), {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS },
    });
    const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
    const lines: unknown[] = [];
    await AsyncFunction('require', 'exports', 'console', compiled.outputText)(() => client, {}, { log: (...line: unknown[]) => lines.push(line) });
    expect(lines).not.toEqual([]);
    // The example prints the output in its comments.
    const claimed = [...code.matchAll(/console\.log\(.*?\); \/\/ (\S+)$/gm)].map((match) => match[1]);
    expect(lines.map(String)).toEqual(expect.arrayContaining(claimed));
  });
});
