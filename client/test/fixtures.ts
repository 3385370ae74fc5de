import type { RestaurantUsage, RestaurantUsageWithHistory, UsagePage } from '../src/index.js';

/** A restaurant as the API shows it. */
export function restaurant(restaurantId = 'clxyz123abc'): RestaurantUsage {
  return {
    restaurantId,
    restaurantName: 'Example Restaurant',
    conversationsThisMonth: 45,
    lastConversationAt: '2025-10-20T15:30:00.000Z',
    allowance: { dailyLimit: 1000, dailyRemaining: 1000, monthlyLimit: 30000, monthlyRemaining: 29955 },
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

/** The page of `total` restaurants that a query asks for, as the API cuts it. */
export function page(query: URLSearchParams, total: number): UsagePage {
  const limit = Math.min(Number(query.get('limit') ?? 20), 100);
  const offset = Number(query.get('offset') ?? 0);
  const ids = Array.from({ length: total }, (_, i) => `r${i}`).slice(offset, offset + limit);
  return { data: ids.map(restaurant), pagination: { total, limit, offset, hasMore: offset + limit < total } };
}
