import type { AlertPage, Quota, RestaurantDetails, RestaurantUsage, RestaurantUsageWithHistory, SentMessages, UsagePage } from '../src/index.js';

/** A restaurant as the API shows it. */
export function restaurant(restaurantId = 'clxyz123abc'): RestaurantUsage {
  return {
    restaurantId,
    restaurantName: 'Example Restaurant',
    conversationsToday: 0,
    conversationsThisMonth: 45,
    lastConversationAt: '2025-10-20T15:30:00.000Z',
    period: { year: 2025, month: 10, timeZone: 'UTC', startsAt: '2025-10-01T00:00:00.000Z', resetsAt: '2025-11-01T00:00:00.000Z' },
    allowance: { dailyLimit: 1000, dailyRemaining: 1000, monthlyLimit: 30000, monthlyRemaining: 29955 },
    adjustedBy: 0,
    usagePercent: 0.15,
    isNearingQuota: false,
    hasAccess: true,
    firstActivity: '2025-09-01T08:00:00.000Z',
    lastActivity: '2025-10-20T15:30:00.000Z',
    isActive: true,
  };
}

/** The restaurant with its history. */
export function detail(restaurantId?: string): RestaurantUsageWithHistory {
  const month = { month: 10, year: 2025, conversationCount: 45, lastConversationAt: '2025-10-20T15:30:00.000Z' };
  return { ...restaurant(restaurantId), history: [month] };
}

/** An allowance with a top-up. */
export const quota: Quota = {
  used: 45, limit: 30000, effectiveLimit: 31000, adjustedBy: 1000, remaining: 30955, usagePercent: 0.14, isNearingQuota: false,
};

/** Sent messages, one of which hasn't arrived yet. */
export const sentMessages: SentMessages = {
  sent: 1284, delivered: 1281, read: 903, failed: 2,
  byKind: {
    welcome: { sent: 45, delivered: 44, read: 40, failed: 1 },
    list: { sent: 1000, delivered: 1000, read: 800, failed: 0 },
    text: { sent: 238, delivered: 236, read: 62, failed: 1 },
    quota_alert: { sent: 1, delivered: 1, read: 1, failed: 0 },
  },
  byCategory: {
    service: { sent: 1237, delivered: 1235, read: 861, failed: 1 },
    utility: { sent: 46, delivered: 45, read: 41, failed: 1 },
    free_entry_point: { sent: 1, delivered: 1, read: 1, failed: 0 },
  },
  days: [
    { date: '2025-10-19', sent: 284, delivered: 283, read: 203, failed: 0 },
    { date: '2025-10-20', sent: 1000, delivered: 998, read: 700, failed: 2 },
  ],
  cost: { currency: 'SAR', amount: '26.495' },
};

/** All data about the restaurant. */
export function details(restaurantId = 'clxyz123abc'): RestaurantDetails {
  const { restaurantName, isActive, firstActivity, lastActivity, conversationsToday, period, hasAccess } = restaurant();
  return {
    restaurantId, restaurantName, isActive, firstActivity, lastActivity, conversationsToday, period, hasAccess, quota,
    monthlyUsage: detail().history,
    activeSessionsCount: 2,
    dailyBreakdown: Array.from({ length: 31 }, (_, i) => ({
      date: `2025-10-${String(i + 1).padStart(2, '0')}`, conversationsStarted: i === 19 ? 45 : 0, messages: i === 19 ? 90 : 0,
    })),
    sentMessages,
    adjustments: [
      { id: 'adj_1', amount: 1000, type: 'renewal', reason: 'Ramadan', createdAt: '2025-10-20T14:00:00.000Z', createdBy: 'cr_1' },
    ],
    recentSessions: [{
      id: 'SM1', customerPhone: '+966*******01', startedAt: '2025-10-20T15:30:00.000Z', lastMessageAt: '2025-10-20T15:30:00.000Z', messageCount: 2,
    }],
  };
}

/** Returns the page of `total` nearly used-up allowances that a query asks for. */
export function alertPage(query: URLSearchParams, total: number): AlertPage {
  const { data, pagination } = page(query, total);
  const figures = { used: 95, limit: 100, remaining: 5, usagePercent: 95, isNearingQuota: true, adjustedBy: 0 };
  return {
    data: data.map(({ restaurantId, restaurantName }) => ({ restaurantId, restaurantName, ...figures })),
    pagination, threshold: Number(query.get('threshold') ?? 0.9),
  };
}

/** Returns the page of `total` restaurants that a query asks for. */
export function page(query: URLSearchParams, total: number): UsagePage {
  const limit = Math.min(Number(query.get('limit') ?? 20), 100);
  const offset = Number(query.get('offset') ?? 0);
  const ids = Array.from({ length: total }, (_, i) => `r${i}`).slice(offset, offset + limit);
  return { data: ids.map(restaurant), pagination: { total, limit, offset, hasMore: offset + limit < total } };
}
