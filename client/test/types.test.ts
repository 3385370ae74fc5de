import { expectTypeOf, test } from 'vitest';
import {
  type AdministratorClient,
  type AlertPage,
  type AlertPages,
  type ApiErrorCode,
  type OwnerClient,
  type Quota,
  type RestaurantDetails,
  type RestaurantUsage,
  type RestaurantUsageWithHistory,
  UsageApiClient,
  UsageApiError,
  type UsagePage,
  type UsagePages,
} from '../src/index.js';

// The compiler checks these calls (npm run typecheck); none of them is made.
test('the kind of credential decides the client’s type', () => {
  expectTypeOf(() => new UsageApiClient('https://api.example.com', 'pat', undefined, 'restaurant-id')).returns.toEqualTypeOf<OwnerClient>();
  expectTypeOf(() => new UsageApiClient('https://api.example.com', undefined, 'key')).returns.toEqualTypeOf<AdministratorClient>();
  expectTypeOf(() => new UsageApiClient('https://api.example.com', null, 'key', null, { maxRetries: 0 })).returns.toEqualTypeOf<AdministratorClient>();

  expectTypeOf<OwnerClient['listUsage']>().returns.resolves.toEqualTypeOf<RestaurantUsage>();
  expectTypeOf<AdministratorClient['listUsage']>().returns.resolves.toEqualTypeOf<UsagePage>();
  expectTypeOf<AdministratorClient['listAllUsage']>().returns.toEqualTypeOf<UsagePages>();
  expectTypeOf<AdministratorClient['getUsage']>().returns.resolves.toEqualTypeOf<RestaurantUsageWithHistory>();
  expectTypeOf<OwnerClient['details']>().returns.resolves.toEqualTypeOf<RestaurantDetails>();
  expectTypeOf<AdministratorClient['details']>().returns.resolves.toEqualTypeOf<RestaurantDetails>();
  expectTypeOf<AdministratorClient['alerts']>().returns.toEqualTypeOf<AlertPages>();
  expectTypeOf<Awaited<AlertPages>>().toEqualTypeOf<AlertPage>();
  expectTypeOf<AdministratorClient['renew']>().returns.resolves.toEqualTypeOf<Quota>();
  expectTypeOf<UsageApiClient>().toEqualTypeOf<OwnerClient | AdministratorClient>();
});

test('senseless calls don’t compile', () => {
  void [
    // @ts-expect-error no credential
    () => new UsageApiClient('https://api.example.com'),
    // @ts-expect-error both credentials
    () => new UsageApiClient('https://api.example.com', 'pat', 'key', 'restaurant-id'),
    // @ts-expect-error an access token without a restaurant
    () => new UsageApiClient('https://api.example.com', 'pat'),
    // @ts-expect-error an access token that may be missing
    (pat: string | undefined) => new UsageApiClient('https://api.example.com', pat, undefined, 'restaurant-id'),
    // @ts-expect-error an owner has one restaurant
    (owner: OwnerClient) => owner.listUsage({ limit: 5 }),
    // @ts-expect-error an owner sees no others
    (owner: OwnerClient) => owner.listAllUsage(),
    // @ts-expect-error an owner adds nothing
    (owner: OwnerClient) => owner.renew('restaurant-id'),
    // @ts-expect-error an administrator has to say whose details
    (administrator: AdministratorClient) => administrator.details(),
    // @ts-expect-error an owner names no restaurant
    (owner: OwnerClient) => owner.getUsage('restaurant-id'),
    // @ts-expect-error a filter is a boolean
    (administrator: AdministratorClient) => administrator.listUsage({ isActive: 'true' }),
  ];
});

test('pages can be awaited and iterated over', () => {
  expectTypeOf<Awaited<UsagePages>>().toEqualTypeOf<UsagePage>();
  expectTypeOf(async (pages: UsagePages) => {
    for await (const page of pages) return page;
    return undefined;
  }).returns.resolves.toEqualTypeOf<UsagePage | undefined>();
  expectTypeOf(async (pages: UsagePages) => {
    for await (const restaurant of pages.restaurants()) return restaurant;
    return undefined;
  }).returns.resolves.toEqualTypeOf<RestaurantUsage | undefined>();
});

test('a client’s role is known to TypeScript, and an error code can be an unknown one', () => {
  expectTypeOf((client: UsageApiClient) => {
    if (client.role === 'owner') return client;
    return undefined;
  }).returns.toEqualTypeOf<OwnerClient | undefined>();
  expectTypeOf<ApiErrorCode>().toExtend<UsageApiError['code']>();
  expectTypeOf<string>().toExtend<UsageApiError['code']>();
  expectTypeOf<RestaurantUsage['lastActivity']>().toEqualTypeOf<string | null>();
});
