import type {
  Adjustment, Alert, AlertPage, Allowance, DayUsage, MessageCount, MonthUsage, Pagination, Period, Quota, RestaurantDetails,
  RestaurantUsage, RestaurantUsageWithHistory, SentMessages, Session, UsagePage,
} from './schemas.js';

/**
 * Returns the first difference between a value and a shape ("data[3].allowance is no object"), undefined if there is none. It
 * never quotes a value.
 */
export type Check = (value: unknown, path: string) => string | undefined;

const is = (what: string, holds: (value: unknown) => boolean): Check => (value, path) =>
  holds(value) ? undefined : `${path || 'the answer'} is no ${what}`;

const text = is('text', (value) => typeof value === 'string');
const flag = is('boolean', (value) => typeof value === 'boolean');
const number = is('number', (value) => typeof value === 'number' && Number.isFinite(value));
const month = is('month', (value) => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 12);
const year = is('year', (value) => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 9999);
const currency = is('currency', (value) => typeof value === 'string' && /^[A-Z]{3}$/.test(value));
const decimal = is('decimal', (value) => typeof value === 'string' && /^\d+(\.\d+)?$/.test(value));
const time = is('time', (value) => typeof value === 'string' && !Number.isNaN(Date.parse(value)));

const nullable = (check: Check): Check => (value, path) => (value === null ? undefined : check(value, path));

/** Allows a field to be missing, because older servers don't answer it. */
const optional = (check: Check): Check => (value, path) => (value === undefined ? undefined : check(value, path));

function list(check: Check): Check {
  return (value, path) => {
    if (!Array.isArray(value)) return `${path || 'the answer'} is no list`;
    for (const [i, element] of value.entries()) {
      const fault = check(element, `${path}[${i}]`);
      if (fault) return fault;
    }
    return undefined;
  };
}

/**
 * Checks an object's fields. All fields of the type must be listed, so that a field added to the API can't be forgotten here.
 * The object may have others.
 */
function object<T>(fields: { [Name in keyof Required<T>]: Check }): Check {
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return `${path || 'the answer'} is no object`;
    for (const [name, check] of Object.entries<Check>(fields)) {
      const fault = check((value as Record<string, unknown>)[name], path ? `${path}.${name}` : name);
      if (fault) return fault;
    }
    return undefined;
  };
}

// Fields that servers of version 1.0 don't answer.
const sinceVersion11 = {
  conversationsToday: optional(number),
  period: optional(object<Period>({ year, month, timeZone: text, startsAt: time, resetsAt: time })),
  hasAccess: optional(flag),
};

const usageFields: { [Name in keyof Required<RestaurantUsage>]: Check } = {
  restaurantId: text,
  restaurantName: text,
  conversationsThisMonth: number,
  lastConversationAt: nullable(time),
  allowance: object<Allowance>({
    dailyLimit: number, dailyRemaining: number, monthlyLimit: number, monthlyRemaining: number,
  }),
  adjustedBy: number,
  usagePercent: optional(number),
  isNearingQuota: flag,
  firstActivity: nullable(time),
  lastActivity: nullable(time),
  isActive: flag,
  ...sinceVersion11,
};

const monthUsage = object<MonthUsage>({
  month, year, conversationCount: number, lastConversationAt: nullable(time),
});

const pagination = object<Pagination>({ total: number, totalAtLeast: optional(flag), limit: number, offset: number, hasMore: flag, nextCursor: optional(text) });

const quotaFields: { [Name in keyof Required<Quota>]: Check } = {
  used: number, limit: number, effectiveLimit: number, adjustedBy: number, remaining: number, usagePercent: optional(number),
  isNearingQuota: flag,
};

const counts = { sent: number, delivered: number, read: number, failed: number };
const some = optional(object<MessageCount>(counts));

const sentMessages = object<SentMessages>({
  ...counts,
  byKind: object<SentMessages['byKind']>({ welcome: some, list: some, text: some, quota_alert: some }),
  byCategory: object<SentMessages['byCategory']>({ service: some, utility: some, marketing: some, free_entry_point: some }),
  days: list(object<SentMessages['days'][number]>({ date: time, ...counts })),
  cost: optional(object<NonNullable<SentMessages['cost']>>({ currency, amount: decimal })),
});

/** The shapes of the API's answers. */
export const shapes = {
  usage: object<RestaurantUsage>(usageFields),
  usageWithHistory: object<RestaurantUsageWithHistory>({ ...usageFields, history: list(monthUsage) }),
  usagePage: object<UsagePage>({ data: list(object<RestaurantUsage>(usageFields)), pagination }),
  alertPage: object<AlertPage>({
    data: list(object<Alert>({
      restaurantId: text, restaurantName: text, used: number, limit: number, remaining: number, usagePercent: number,
      isNearingQuota: flag, adjustedBy: number,
    })),
    pagination,
    threshold: number,
  }),
  details: object<RestaurantDetails>({
    restaurantId: text,
    restaurantName: text,
    isActive: flag,
    firstActivity: nullable(time),
    lastActivity: nullable(time),
    ...sinceVersion11,
    sentMessages: optional(sentMessages), // version 1.0 doesn't answer them
    quota: object<Quota>(quotaFields),
    monthlyUsage: list(monthUsage),
    dailyBreakdown: list(object<DayUsage>({ date: time, conversationsStarted: number, messages: number })),
    activeSessionsCount: number,
    recentSessions: list(object<Session>({
      id: text, customerPhone: text, startedAt: time, lastMessageAt: time, messageCount: number,
    })),
    adjustments: list(object<Adjustment>({
      id: text, amount: number, type: text, reason: text, createdAt: time, createdBy: text,
    })),
  }),
  topUp: object<{ data: Quota }>({ data: object<Quota>(quotaFields) }),
} satisfies Record<string, Check>;
