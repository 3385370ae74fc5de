import type { MonthUsage, Period } from '../index.js';
import { dateIn } from './format.js';

/** A month's conversations. */
export type MonthCount = Pick<MonthUsage, 'year' | 'month' | 'conversationCount'>;

/** The number of months in a history. */
export const historyMonths = 6;

/** Returns the current month as the API counts it, not the browser's. An API that doesn't say counts in UTC. */
export const currentMonth = (period: Period | undefined, now: Date): { year: number; month: number } => period ?? dateIn(now, 'UTC');

/**
 * Returns the months up to the current one, oldest first. A month without a record had no conversation. If a record is newer
 * than the current month that was read, a new month has begun since, and that record is the current month.
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

/** A month's expected use if it goes on as so far. */
export interface Projection {
  conversations: number;
  /** The time at which the limit will be reached, if that is within the month and hasn't happened yet. */
  usedUpAt: Date | undefined;
}

const dayMs = 24 * 3600 * 1000;

/** Returns a month's projection. It is undefined for a past month, and on a month's first day, which says too little. */
export function project(used: number, limit: number | undefined, period: Period, now: Date): Projection | undefined {
  const [start, end] = [Date.parse(period.startsAt ?? ''), Date.parse(period.resetsAt ?? '')];
  const elapsed = now.getTime() - start;
  if (!(elapsed >= dayMs) || now.getTime() >= end || used === 0) return undefined;
  const conversations = Math.round((used / elapsed) * (end - start));
  const usedUpAt = limit !== undefined && used < limit && conversations > limit ? new Date(start + (elapsed / used) * limit) : undefined;
  return { conversations: conversations > 100 ? Math.round(conversations / 10) * 10 : conversations, usedUpAt };
}
