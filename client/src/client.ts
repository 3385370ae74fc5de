import type { components, paths } from './generated/openapi.js';
import { type RestaurantUsage, type UsagePage, UsagePages } from './pages.js';
import { type ClientOptions, type RequestOptions, Transport } from './transport.js';

/** One restaurant's usage with its history. */
export type RestaurantUsageWithHistory = components['schemas']['RestaurantUsageWithHistory'];

/** Which restaurants to list, and how the call behaves. */
export interface ListOptions extends RequestOptions {
  /** Restaurants on a page: 1 to 100. Default: 20. */
  limit?: number | undefined;
  /** Restaurants to skip. Default: 0. */
  offset?: number | undefined;
  /** Only those that are active, or only those that are not. Default: all. */
  isActive?: boolean | undefined;
}

/** A client with an access token: it sees one restaurant. */
export interface OwnerClient {
  readonly role: 'owner';
  /** Returns the restaurant's usage. */
  listUsage(options?: RequestOptions): Promise<RestaurantUsage>;
}

/** A client with an API key: it sees all restaurants. */
export interface AdministratorClient {
  readonly role: 'administrator';
  /** Returns one page of restaurants, the newest restaurant first. */
  listUsage(options?: ListOptions): Promise<UsagePage>;
  /** Returns all pages, from the one asked for on: to be awaited for the first, or iterated over. */
  listAllUsage(options?: ListOptions): UsagePages;
  /** Returns one restaurant with its history of six months. */
  getUsage(restaurantId: string, options?: RequestOptions): Promise<RestaurantUsageWithHistory>;
}

/** A client of either kind, which its role tells. */
export type UsageApiClient = OwnerClient | AdministratorClient;

/** What the credential decides: which kind of client there is. */
export interface UsageApiClientConstructor {
  new (baseUrl: string, pat: string, apiKey: null | undefined, restaurantId: string, options?: ClientOptions): OwnerClient;
  new (
    baseUrl: string,
    pat: null | undefined,
    apiKey: string,
    restaurantId?: null | undefined,
    options?: ClientOptions,
  ): AdministratorClient;
  readonly prototype: UsageApiClient;
}

const listPath = '/api/usage' satisfies keyof paths;
const detailPath = '/api/usage/{restaurantId}' satisfies keyof paths;

/**
 * A client of the usage API. With an access token and a restaurant id it is an OwnerClient, with an API key an
 * AdministratorClient; anything else is a TypeError.
 */
export const UsageApiClient = class UsageApiClient {
  readonly role: 'owner' | 'administrator';
  readonly #transport: Transport;

  constructor(
    baseUrl: string,
    pat: string | null | undefined,
    apiKey: string | null | undefined,
    restaurantId?: string | null,
    options: ClientOptions = {},
  ) {
    this.role = pat ? 'owner' : 'administrator';
    this.#transport = new Transport(baseUrl, credentialHeaders(pat, apiKey, restaurantId), options);
  }

  listUsage(options: ListOptions = {}): Promise<RestaurantUsage | UsagePage> {
    return this.role === 'owner' ? this.#transport.get<RestaurantUsage>(listPath, {}, options) : this.#page(options);
  }

  listAllUsage(options: ListOptions = {}): UsagePages {
    if (this.role !== 'administrator') throw new TypeError('listAllUsage needs an API key.');
    return new UsagePages((offset) => this.#page({ ...options, offset }), options.offset);
  }

  async getUsage(restaurantId: string, options: RequestOptions = {}): Promise<RestaurantUsageWithHistory> {
    // The URL standard would take these for steps within the path, and an empty one leads to the list.
    if (!restaurantId || restaurantId === '.' || restaurantId === '..') {
      throw new TypeError(`getUsage needs a restaurant's id, not ${JSON.stringify(restaurantId)}.`);
    }
    return this.#transport.get(detailPath.replace('{restaurantId}', () => encodeURIComponent(restaurantId)), {}, options);
  }

  #page({ limit, offset, isActive, ...options }: ListOptions): Promise<UsagePage> {
    return this.#transport.get(listPath, { limit, offset, isActive }, options);
  }
} as unknown as UsageApiClientConstructor;

function credentialHeaders(
  pat: string | null | undefined,
  apiKey: string | null | undefined,
  restaurantId: string | null | undefined,
): Record<string, string> {
  if (pat && apiKey) throw new TypeError('Give the client either an access token or an API key, not both.');
  if (apiKey) return { 'X-API-Key': apiKey };
  if (!pat) throw new TypeError('Give the client an access token or an API key.');
  if (!restaurantId) throw new TypeError('An access token needs a restaurant id beside it.');
  return { Authorization: `Bearer ${pat}`, 'X-Restaurant-Id': restaurantId };
}
