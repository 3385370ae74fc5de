export {
  type AdministratorClient,
  type AlertOptions,
  type ListOptions,
  type OwnerClient,
  type Quota,
  type RenewOptions,
  type RestaurantDetails,
  type RestaurantUsageWithHistory,
  UsageApiClient,
  type UsageApiClientConstructor,
} from './client.js';
export { type ApiErrorCode, type ClientErrorCode, UsageApiError, type UsageApiErrorCode, type UsageApiErrorDetails } from './errors.js';
export { type Alert, type AlertPage, type AlertPages, type RestaurantUsage, type UsagePage, UsagePages } from './pages.js';
export type { ClientOptions, RequestOptions } from './transport.js';

import type { components } from './generated/openapi.js';

/** How many conversations a restaurant may open, and how many of them are left. -1 is no limit. */
export type Allowance = components['schemas']['Allowance'];
/** One change of an allowance. */
export type Adjustment = components['schemas']['Adjustment'];
/** One day of the current month. */
export type DayUsage = components['schemas']['DayUsage'];
/** A customer's session. */
export type Session = components['schemas']['Session'];
/** One month of a restaurant's history. */
export type MonthUsage = components['schemas']['MonthUsage'];
/** Where a page is among all restaurants. */
export type Pagination = components['schemas']['Pagination'];
