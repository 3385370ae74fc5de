import { readFileSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { type ClientOptions, UsageApiClient, UsageApiError } from '../src/index.js';
import { details, restaurant, sentMessages } from './fixtures.js';
import { type Answer, json, serve } from './server.js';

const none = { sent: 0, delivered: 0, read: 0, failed: 0 };

/** Starts a server, and a client with short waits for its restaurant r1. */
async function setup(answer: Answer, options: ClientOptions = {}) {
  const { url, received } = await serve(answer);
  const client = new UsageApiClient(url, 'pat', undefined, 'r1', { maxRetryDelayMs: 20, ...options });
  return { client, received };
}

/** Returns a call's error. */
async function failure(call: Promise<unknown>): Promise<UsageApiError> {
  const error = await call.then(
    () => expect.unreachable('the call succeeded'),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(UsageApiError);
  return error as UsageApiError;
}

describe('an answer', () => {
  test('is an ApiError with status, code and sentence', async () => {
    const { client } = await setup((response) =>
      json(response, 403, { error: 'This access token does not cover that restaurant.', code: 'forbidden' }, { 'X-Request-Id': 'q1' }),
    );
    const error = await failure(client.listUsage());
    expect(error).toMatchObject({ name: 'UsageApiError', status: 403, code: 'forbidden', requestId: 'q1', retryAfterMs: undefined });
    expect(error.message).toBe('This access token does not cover that restaurant.');
    expect(error).toBeInstanceOf(Error);
  });

  test.each([
    ['JSON of another form', 404, '{"message":"Not Found"}'],
    ['a page', 502, '<html>Bad Gateway</html>'],
    ['null', 500, 'null'],
    ['nothing', 500, ''],
  ])('has a code of its own where it is %s', async (_, status, body) => {
    const { client, received } = await setup((response) => response.writeHead(status).end(body));
    expect(await failure(client.listUsage())).toMatchObject({ status, code: 'http_error' });
    expect(received).toHaveLength(1);
  });

  test.each([
    ['a list', [], 'the answer is no object'],
    ['null', null, 'the answer is no object'],
    ['an object without the figures', { ...restaurant(), allowance: null }, 'allowance is no object'],
    ['a figure that is text', { ...restaurant(), conversationsThisMonth: '45' }, 'conversationsThisMonth is no number'],
    ['a time that is none', { ...restaurant(), lastActivity: 'yesterday' }, 'lastActivity is no time'],
    ['a time that is missing', { ...restaurant(), lastActivity: undefined }, 'lastActivity is no time'],
    ['a new field of another kind', { ...restaurant(), conversationsToday: 'two' }, 'conversationsToday is no number'],
  ])('that is a success but is %s is an invalid_response', async (_, body, fault) => {
    const { client } = await setup((response) => json(response, 200, body, { 'X-Request-Id': 'q3' }));
    const error = await failure(client.listUsage());
    expect(error).toMatchObject({ status: 200, code: 'invalid_response', requestId: 'q3' });
    expect(error.message).toContain(fault);
  });

  test.each([
    ['no object', [], 'sentMessages is no object'],
    ['without its days', { ...sentMessages, days: undefined }, 'sentMessages.days is no list'],
    ['a day with no date', { ...sentMessages, days: [{ ...none, date: 20 }] }, 'sentMessages.days[0].date is no time'],
    ['a figure that is text', { ...sentMessages, read: '2' }, 'sentMessages.read is no number'],
    ['a kind that is a number', { ...sentMessages, byKind: { list: 3 } }, 'sentMessages.byKind.list is no object'],
    ['a category that lacks a figure', { ...sentMessages, byCategory: { service: { ...none, failed: undefined } } }, 'sentMessages.byCategory.service.failed is no number'],
    ['a currency that is none', { ...sentMessages, cost: { currency: 'riyal', amount: '1.00' } }, 'sentMessages.cost.currency is no currency'],
    ['an amount that is a number', { ...sentMessages, cost: { currency: 'SAR', amount: 1 } }, 'sentMessages.cost.amount is no decimal'],
  ])('whose sent messages are %s is an invalid_response', async (_, sent, fault) => {
    const { client } = await setup((response) => json(response, 200, { ...details(), sentMessages: sent }, { 'X-Request-Id': 'q4' }));
    const error = await failure(client.details());
    expect(error).toMatchObject({ status: 200, code: 'invalid_response', requestId: 'q4' });
    expect(error.message).toContain(fault);
  });

  test('of the wrong shape names the faulty place in a list', async () => {
    const { url } = await serve((response) => json(response, 200, {
      data: [restaurant(), { ...restaurant(), isActive: 1 }], pagination: { total: 2, limit: 20, offset: 0, hasMore: false },
    }));
    const error = await failure(new UsageApiClient(url, undefined, 'key').listUsage());
    expect(error.message).toContain('data[1].isActive is no boolean');
  });

  test('with more fields of a later API, or fewer of an earlier one, is accepted', async () => {
    const { client } = await setup((response) => json(response, 200, { ...restaurant(), futureField: [1] }));
    expect(await client.listUsage()).toMatchObject(restaurant());
  });

  test.each(['details.json', 'details-bot.json', 'details-unused.json'])('is none of the API’s own: %s', async (file) => {
    const body = readFileSync(new URL(`../../internal/usagehttp/testdata/${file}`, import.meta.url), 'utf8');
    const { client } = await setup((response) => response.end(body));
    expect(await client.details()).toEqual(JSON.parse(body));
  });

  test.each([
    ['all kinds and a cost', sentMessages],
    ['none', { ...none, byKind: {}, byCategory: {}, days: [] }],
    ['a kind and a category of a later version', { ...sentMessages, byKind: { voice: none }, byCategory: { authentication: none } }],
    ['not answered, as by an earlier version', undefined],
  ])('is none where sent messages are %s', async (_, sent) => {
    const body = JSON.parse(JSON.stringify({ ...details(), sentMessages: sent })) as object;
    const { client } = await setup((response) => json(response, 200, body));
    expect(await client.details()).toEqual(body);
  });

  test('with a success but no JSON is an invalid_response', async () => {
    const { client } = await setup((response) => response.writeHead(200, { 'Apigw-Requestid': 'q2' }).end('<html>'));
    expect(await failure(client.listUsage())).toMatchObject({ status: 200, code: 'invalid_response', requestId: 'q2' });
  });
});

describe('without an answer', () => {
  test('a broken connection is a network_error', async () => {
    const { client, received } = await setup((response) => response.destroy());
    const error = await failure(client.listUsage());
    expect(error).toMatchObject({ status: 0, code: 'network_error' });
    expect(error.cause).toBeInstanceOf(TypeError);
    expect(received).toHaveLength(1);
  });

  test('a redirect isn’t followed, so that no other host gets the credential', async () => {
    const elsewhere = await serve((response) => json(response, 200, restaurant()));
    const { client } = await setup((response) => response.writeHead(307, { Location: elsewhere.url }).end());
    expect(await failure(client.listUsage())).toMatchObject({ status: 307, code: 'http_error' });
    expect(elsewhere.received).toHaveLength(0);
  });

  test('the time-out ends the attempt', async () => {
    const { client } = await setup(() => {}, { timeoutMs: 30 });
    expect(await failure(client.listUsage())).toMatchObject({ status: 0, code: 'timeout' });
  });

  test('a call can have its own time-out', async () => {
    const { client } = await setup(() => {}, { timeoutMs: Infinity });
    expect(await failure(client.listUsage({ timeoutMs: 30 }))).toMatchObject({ code: 'timeout' });
  });

  test.each([0, -1, NaN, '5'])('a time-out of %j is refused', async (timeoutMs) => {
    expect(() => new UsageApiClient('http://localhost', undefined, 'key', null, { timeoutMs: timeoutMs as number })).toThrow(/timeoutMs/);
    const { client, received } = await setup(() => {});
    await expect(client.listUsage({ timeoutMs: timeoutMs as number })).rejects.toThrow(TypeError);
    expect(received).toHaveLength(0);
  });

  test('the time-out covers the body too', async () => {
    const { client } = await setup((response) => response.writeHead(200).write('{'), { timeoutMs: 200 });
    expect(await failure(client.listUsage())).toMatchObject({ code: 'timeout' });
  });
});

describe('a signal', () => {
  test('ends a running request with its reason', async () => {
    const controller = new AbortController();
    const { client } = await setup(() => controller.abort(new Error('left the page')));
    await expect(client.listUsage({ signal: controller.signal })).rejects.toThrow('left the page');
  });

  test('without a reason ends it with an AbortError, like fetch', async () => {
    const controller = new AbortController();
    const { client } = await setup(() => controller.abort());
    await expect(client.listUsage({ signal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('that is already aborted keeps the request from being sent', async () => {
    const { client, received } = await setup((response) => json(response, 200, restaurant()));
    await expect(client.listUsage({ signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
    expect(received).toHaveLength(0);
  });

  test('ends the wait for a repetition', async () => {
    const controller = new AbortController();
    const { client, received } = await setup(
      (response) => {
        response.on('close', () => setTimeout(() => controller.abort(), 20));
        json(response, 503, {}, { 'Retry-After': '3600' });
      },
      { maxRetryDelayMs: Infinity },
    );
    await expect(client.listUsage({ signal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' });
    expect(received).toHaveLength(1);
  });

  test('has no listener left after the request', async () => {
    const { signal } = new AbortController();
    const [add, remove] = [vi.spyOn(signal, 'addEventListener'), vi.spyOn(signal, 'removeEventListener')];
    const { client } = await setup((response, _, index) => json(response, index ? 200 : 503, restaurant()));
    await client.listUsage({ signal });
    expect(remove.mock.calls.length).toBe(add.mock.calls.length);
    expect(add).toHaveBeenCalled();
  });
});

describe('after 429 and 503', () => {
  test.each([429, 503])('a request is repeated after %i', async (status) => {
    const { client, received } = await setup((response, _, index) =>
      index < 2 ? json(response, status, {}, { 'Retry-After': '0' }) : json(response, 200, restaurant('r1')),
    );
    expect(await client.listUsage()).toEqual(restaurant('r1'));
    expect(received).toHaveLength(3);
  });

  test('a request is repeated maxRetries times at most', async () => {
    const { client, received } = await setup((response) => json(response, 503, { error: 'down', code: 'unavailable' }), { maxRetries: 3 });
    expect(await failure(client.listUsage())).toMatchObject({ status: 503, code: 'unavailable' });
    expect(received).toHaveLength(4);
  });

  test('a request isn’t repeated without retries, nor after other errors', async () => {
    for (const [status, options] of [[503, { maxRetries: 0 }], [500, {}], [401, {}], [404, {}]] as const) {
      const { client, received } = await setup((response) => json(response, status, {}), options);
      expect(await failure(client.listUsage())).toMatchObject({ status });
      expect(received).toHaveLength(1);
    }
  });

  /** Returns the client's wait after an answer with these headers. */
  async function waited(headers: Record<string, string>): Promise<number> {
    const at: number[] = [];
    const { client } = await setup(
      (response, _, index) => {
        at.push(performance.now());
        json(response, index ? 200 : 429, restaurant(), index ? {} : headers);
      },
      { maxRetryDelayMs: 5000 },
    );
    await client.listUsage();
    return at[1]! - at[0]!;
  }

  const date = 'Mon, 20 Oct 2025 15:30:00 GMT'; // the API's clock may differ from ours

  test.concurrent.each([
    ['seconds', { 'Retry-After': '1' }],
    ['a date', { 'Retry-After': 'Mon, 20 Oct 2025 15:30:01 GMT', Date: date }],
  ])('the wait is as long as Retry-After has it, in %s', async (_, headers) => {
    expect(await waited(headers)).toBeGreaterThan(990); // timers may be slightly early
  });

  test.each([
    ['more seconds', { 'Retry-After': '3600' }, 3_600_000],
    ['a later date', { 'Retry-After': 'Mon, 20 Oct 2025 15:40:00 GMT', Date: date }, 600_000],
  ])('there is no wait for %s than allowed', async (_, headers, retryAfterMs) => {
    const { client, received } = await setup((response) => json(response, 503, {}, headers));
    expect(await failure(client.listUsage())).toMatchObject({ status: 503, retryAfterMs });
    expect(received).toHaveLength(1);
  });

  test.each([
    ['a date gone by', { 'Retry-After': 'Mon, 20 Oct 2025 15:29:00 GMT', Date: date }, 0],
    ['no date', { 'Retry-After': 'soon' }, undefined],
    ['a negative number', { 'Retry-After': '-1.5e' }, undefined],
  ])('%s does no harm', async (_, headers, retryAfterMs) => {
    const { client, received } = await setup((response) => json(response, 503, {}, headers), { maxRetries: 1 });
    expect(await failure(client.listUsage())).toMatchObject({ status: 503, retryAfterMs });
    expect(received).toHaveLength(2);
  });
});
