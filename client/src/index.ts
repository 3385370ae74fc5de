export {
  type AdministratorClient,
  type AlertOptions,
  type ListOptions,
  type OwnerClient,
  proxiedClient,
  type RenewOptions,
  UsageApiClient,
  type UsageApiClientConstructor,
} from './client.js';
export { type ApiErrorCode, type ClientErrorCode, UsageApiError, type UsageApiErrorCode, type UsageApiErrorDetails } from './errors.js';
export { type AlertPages, type PageAt, UsagePages } from './pages.js';
export type {
  Adjustment, Alert, AlertPage, Allowance, DayUsage, MessageCount, MonthUsage, Pagination, Period, Quota, RestaurantDetails, RestaurantUsage,
  RestaurantUsageWithHistory, SentMessages, Session, UsagePage,
} from './schemas.js';
export type { ClientOptions, RequestOptions } from './transport.js';
