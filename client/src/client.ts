import type { paths } from './generated/openapi.js';
import { newKey } from './key.js';
import { type AlertPages, type PageAt, UsagePages } from './pages.js';
import type { AlertPage, Quota, RestaurantDetails, RestaurantUsage, RestaurantUsageWithHistory, UsagePage } from './schemas.js';
import { shapes } from './shape.js';
import { type ClientOptions, type RequestOptions, Transport } from './transport.js';

/** The restaurants to list, and options of the call. */
export interface ListOptions extends RequestOptions {
  /** Restaurants on a page: 1 to 100. Default: 20. */
  limit?: number | undefined;
  /** Restaurants to skip. Default: 0. */
  offset?: number | undefined;
  /** The `pagination.nextCursor` of the page before, in place of an offset. */
  cursor?: string | undefined;
  /** true: only active restaurants; false: only inactive restaurants. Default: all. */
  isActive?: boolean | undefined;
  /**
   * Only restaurants with a word of the name, or an id, that begins with this text. Spellings of Arabic letters count as
   * equal.
   */
  search?: string | undefined;
}

/** The threshold for the listed restaurants, and options of the call. */
export interface AlertOptions extends RequestOptions {
  /** Only restaurants that have used at least this share of the allowance: 0 to 1, at most six decimals. Default: 0.9. */
  threshold?: number | undefined;
  /** Restaurants on a page: 1 to 200. Default: 50. */
  limit?: number | undefined;
  /** Restaurants to skip. Default: 0. */
  offset?: number | undefined;
}

/** The amount to add to an allowance, and the call's options. */
export interface RenewOptions extends RequestOptions {
  /** The conversations to add: 1 to 1,000,000, or negative to correct an earlier top-up. Default: 1000. */
  amount?: number | undefined;
  /** The reason, one line of at most 500 characters. Default: "Manual renewal". */
  reason?: string | undefined;
  /**
   * Of all calls for a restaurant with the same key, only the first adds anything. Pass a key if you may call again after a
   * failure, and a new key for each new top-up. Default: a new key for each call; the client's retries of
   * a call share it.
   */
  idempotencyKey?: string | undefined;
}

/** A client that sees one restaurant. */
export interface OwnerClient {
  readonly role: 'owner';
  /** Returns the restaurant's usage. */
  listUsage(options?: RequestOptions): Promise<RestaurantUsage>;
  /** Returns all data about the restaurant: its quota, months, days, sessions and top-ups. */
  details(options?: RequestOptions): Promise<RestaurantDetails>;
}

/** A client that sees all restaurants. */
export interface AdministratorClient {
  readonly role: 'administrator';
  /** Returns one page of restaurants, the newest restaurant first. */
  listUsage(options?: ListOptions): Promise<UsagePage>;
  /** Returns all pages from the requested one on: await it for the first page, or iterate over it. */
  listAllUsage(options?: ListOptions): UsagePages;
  /** Returns one restaurant with its history of six months. */
  getUsage(restaurantId: string, options?: RequestOptions): Promise<RestaurantUsageWithHistory>;
  /** Returns all data about a restaurant: its quota, months, days, sessions and top-ups. */
  details(restaurantId: string, options?: RequestOptions): Promise<RestaurantDetails>;
  /**
   * Returns the active restaurants that have used at least the threshold of their allowance, the fullest first, as pages like
   * those of listAllUsage.
   */
  alerts(options?: AlertOptions): AlertPages;
  /**
   * Adds to a restaurant's allowance of this month, and returns the resulting allowance. The client's retries of the call add
   * nothing more; pass an idempotencyKey if you may call again.
   */
  renew(restaurantId: string, options?: RenewOptions): Promise<Quota>;
}

/** A client of either kind; its role says which. */
export type UsageApiClient = OwnerClient | AdministratorClient;

/** The kind of client follows from the credential. */
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
const alertsPath = '/api/usage/alerts' satisfies keyof paths;
const ownDetailsPath = '/api/usage/details' satisfies keyof paths;
const detailsPath = '/api/usage/{restaurantId}/details' satisfies keyof paths;
const renewPath = '/api/admin/usage/{restaurantId}/renew' satisfies keyof paths;

/** Has all calls. A client's role decides which of them can be used. */
class Client {
  readonly role: UsageApiClient['role'];
  readonly #transport: Transport;

  constructor(role: UsageApiClient['role'], transport: Transport) {
    this.role = role;
    this.#transport = transport;
  }

  listUsage(options: ListOptions = {}): Promise<RestaurantUsage | UsagePage> {
    return this.role === 'owner' ? this.#transport.get<RestaurantUsage>(listPath, {}, shapes.usage, options) : this.#page(options);
  }

  listAllUsage({ offset, cursor, ...options }: ListOptions = {}): UsagePages {
    this.#administratorsOnly('listAllUsage');
    return new UsagePages((at: PageAt) => this.#page({ ...options, ...at }), { offset, cursor });
  }

  async getUsage(restaurantId: string, options: RequestOptions = {}): Promise<RestaurantUsageWithHistory> {
    return this.#transport.get(pathOf(detailPath, 'getUsage', restaurantId), {}, shapes.usageWithHistory, options);
  }

  async details(first?: string | RequestOptions, options: RequestOptions = {}): Promise<RestaurantDetails> {
    return this.role === 'owner'
      ? this.#transport.get(ownDetailsPath, {}, shapes.details, first as RequestOptions | undefined ?? {})
      : this.#transport.get(pathOf(detailsPath, 'details', first), {}, shapes.details, options);
  }

  alerts({ threshold, limit, offset: start, ...options }: AlertOptions = {}): AlertPages {
    this.#administratorsOnly('alerts');
    return new UsagePages<AlertPage>(
      ({ offset, cursor }) => this.#transport.get(alertsPath, { threshold, limit, offset, cursor }, shapes.alertPage, options),
      { offset: start },
    );
  }

  async renew(restaurantId: string, { amount, reason, idempotencyKey = newKey(), ...options }: RenewOptions = {}): Promise<Quota> {
    this.#administratorsOnly('renew');
    const path = pathOf(renewPath, 'renew', restaurantId);
    const { data } = await this.#transport.post<{ data: Quota }>(path, { amount, reason }, idempotencyKey, shapes.topUp, options);
    return data;
  }

  #administratorsOnly(method: string): void {
    if (this.role !== 'administrator') throw new TypeError(`${method} is an administrator's: it needs an API key.`);
  }

  #page({ limit, offset, cursor, isActive, search, ...options }: ListOptions): Promise<UsagePage> {
    return this.#transport.get(
      listPath, { limit, offset, cursor, isActive, search: search?.trim() || undefined }, shapes.usagePage, options,
    );
  }
}

/**
 * A client of the usage API. With an access token and a restaurant id it is an OwnerClient, with an API key an
 * AdministratorClient; anything else is a TypeError.
 */
export const UsageApiClient = class UsageApiClient extends Client {
  constructor(
    baseUrl: string,
    pat: string | null | undefined,
    apiKey: string | null | undefined,
    restaurantId?: string | null,
    options: ClientOptions = {},
  ) {
    super(pat ? 'owner' : 'administrator', new Transport(baseUrl, credentialHeaders(pat, apiKey, restaurantId), options));
  }
} as unknown as UsageApiClientConstructor;

/**
 * Returns a client without a credential, for pages of a server that mounts usageProxy. The base URL is the path at which it
 * is mounted, such as "/usage". The page's cookies are sent to it, and to no other address.
 */
export function proxiedClient(baseUrl: string, role: 'administrator', options?: ClientOptions): AdministratorClient;
export function proxiedClient(baseUrl: string, role: 'owner', options?: ClientOptions): OwnerClient;
export function proxiedClient(baseUrl: string, role: UsageApiClient['role'], options?: ClientOptions): UsageApiClient;
export function proxiedClient(baseUrl: string, role: UsageApiClient['role'], options: ClientOptions = {}): UsageApiClient {
  if (role !== 'administrator' && role !== 'owner') throw new TypeError("The role is either 'administrator' or 'owner'.");
  return new Client(role, new Transport(baseUrl, {}, options, 'proxied')) as UsageApiClient;
}

/** Returns the path of a restaurant. */
function pathOf(path: string, method: string, restaurantId: unknown): string {
  // URLs treat dots as steps within the path, and an empty id leads elsewhere too. The error doesn't quote the invalid value,
  // which may be a credential in the wrong place.
  if (typeof restaurantId !== 'string' || !restaurantId || restaurantId === '.' || restaurantId === '..') {
    throw new TypeError(`${method} needs a restaurant's id.`);
  }
  return path.replace('{restaurantId}', () => encodeURIComponent(restaurantId));
}

function credentialHeaders(
  pat: string | null | undefined,
  apiKey: string | null | undefined,
  restaurantId: string | null | undefined,
): Record<string, string> {
  if (pat && apiKey) throw new TypeError('Give the client either an access token or an API key, not both.');
  if (apiKey) return { 'X-API-Key': headerValue(apiKey, 'The API key') };
  if (!pat) throw new TypeError('Give the client an access token or an API key.');
  if (!restaurantId) throw new TypeError('An access token needs a restaurant id beside it.');
  return {
    Authorization: `Bearer ${headerValue(pat, 'The access token')}`,
    'X-Restaurant-Id': headerValue(restaurantId, 'The restaurant id'),
  };
}

/** Returns a value that can be sent in a header. For any other value fetch would fail too, and quote it in its error. */
function headerValue(value: unknown, what: string): string {
  if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) {
    throw new TypeError(`${what} has a character that can't be in one, such as a space or a line break.`);
  }
  return value;
}
