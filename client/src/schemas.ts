import type { components } from './generated/openapi.js';

type Schemas = components['schemas'];

/** The month that figures cover, in the API's time zone. */
export type Period = Schemas['Period'];
/** How much of its allowance a restaurant has used. */
export type RestaurantUsage = Schemas['RestaurantUsage'];
/** A restaurant's usage with its history. */
export type RestaurantUsageWithHistory = Schemas['RestaurantUsageWithHistory'];
/** All data about a restaurant. */
export type RestaurantDetails = Schemas['RestaurantDetails'];
/** How much of this month's allowance is used. */
export type Quota = Schemas['Quota'];
/** The conversations in a restaurant's plan, and how many of them are left. -1 is no limit. */
export type Allowance = Schemas['Allowance'];
/** One change of an allowance. */
export type Adjustment = Schemas['Adjustment'];
/** One day of the current month. */
export type DayUsage = Schemas['DayUsage'];
/** A customer's session. */
export type Session = Schemas['Session'];
/** The messages that a restaurant sent this month, and their statuses. */
export type SentMessages = Schemas['SentMessages'];
/** The number of messages that were sent, delivered, read, and failed. */
export type MessageCount = Schemas['MessageCount'];
/** One month of a restaurant's history. */
export type MonthUsage = Schemas['MonthUsage'];
/** A page's position among all restaurants. */
export type Pagination = Schemas['Pagination'];
/** One page of restaurants' usage. */
export type UsagePage = Schemas['UsagePage'];
/** A restaurant at or above a threshold of its allowance. */
export type Alert = Schemas['Alert'];
/** A page of restaurants at or above a threshold. */
export type AlertPage = Schemas['AlertPage'];
