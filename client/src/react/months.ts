import type { MonthUsage, Period } from '../index.js';
import { dateIn } from './format.js';

/** A month's conversations. */
export type MonthCount = Pick<MonthUsage, 'year' | 'month' | 'conversationCount'>;

/** How many months a history shows. */
export const historyMonths = 6;

/** Returns the month that the API counts, never the browser's; an API that doesn't say counts in UTC by default. */
export const currentMonth = (period: Period | undefined, now: Date): { year: number; month: number } => period ?? dateIn(now, 'UTC');

/**
 * Returns the months that end with the current month, oldest first. A month without a record had no conversation. If a
 * record is newer than the current month as it was read, a new month has begun, and the newest record is the current
 * month.
 */
export function lastMonths(history: MonthCount[], current: { year: number; month: number }): MonthCount[] {
  const index = ({ year, month }: { year: number; month: number }) => year * 12 + month - 1;
  const counts = new Map(history.map((m) => [index(m), m.conversationCount]));
  const last = Math.max(index(current), ...counts.keys());
  return Array.from({ length: historyMonths }, (_, i) => {
    const at = last - historyMonths + 1 + i;
    return { year: Math.floor(at / 12), month: (at % 12) + 1, conversationCount: counts.get(at) ?? 0 };
  });
}

/** A month's projected use if it continues as it began. */
export interface Projection {
  conversations: number;
  /** When the limit is reached at that pace, if it is within the month and not yet. */
  usedUpAt: Date | undefined;
}

const dayMs = 24 * 3600 * 1000;

/**
 * Returns a month's projection, or undefined for a month that is over and in a month's first day, which says too
 * little.
 */
export function project(used: number, limit: number | undefined, period: Period, now: Date): Projection | undefined {
  const [start, end] = [Date.parse(period.startsAt ?? ''), Date.parse(period.resetsAt ?? '')];
  const elapsed = now.getTime() - start;
  if (!(elapsed >= dayMs) || now.getTime() >= end || used === 0) return undefined;
  const conversations = Math.round((used / elapsed) * (end - start));
  const usedUpAt = limit !== undefined && used < limit && conversations > limit ? new Date(start + (elapsed / used) * limit) : undefined;
  return { conversations: conversations > 100 ? Math.round(conversations / 10) * 10 : conversations, usedUpAt };
}
