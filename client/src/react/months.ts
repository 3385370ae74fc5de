import type { MonthUsage } from '../index.js';

/** A month's conversations. */
export type MonthCount = Pick<MonthUsage, 'year' | 'month' | 'conversationCount'>;

/** How many months a history shows. */
export const historyMonths = 6;

/**
 * Returns the months that end with the current one, oldest first. A month without a record had no conversation. The newest
 * record is the current month where the reader's clock hasn't come to it yet.
 */
export function lastMonths(history: MonthCount[], now: Date): MonthCount[] {
  const index = ({ year, month }: { year: number; month: number }) => year * 12 + month - 1;
  const counts = new Map(history.map((m) => [index(m), m.conversationCount]));
  const current = Math.max(index({ year: now.getUTCFullYear(), month: now.getUTCMonth() + 1 }), ...counts.keys());
  return Array.from({ length: historyMonths }, (_, i) => {
    const at = current - historyMonths + 1 + i;
    return { year: Math.floor(at / 12), month: (at % 12) + 1, conversationCount: counts.get(at) ?? 0 };
  });
}
