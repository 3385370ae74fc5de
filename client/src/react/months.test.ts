import { expect, test } from 'vitest';
import { lastMonths } from './months.js';

const shown = (history: Parameters<typeof lastMonths>[0], now: string) =>
  lastMonths(history, new Date(now)).map((m) => `${m.year}-${m.month}: ${m.conversationCount}`);

test('shows six months, those without a record too', () => {
  expect(shown([{ year: 2026, month: 2, conversationCount: 7 }, { year: 2025, month: 11, conversationCount: 3 }], '2026-02-10T00:00:00Z'))
    .toEqual(['2025-9: 0', '2025-10: 0', '2025-11: 3', '2025-12: 0', '2026-1: 0', '2026-2: 7']);
});

test('shows none of what is older', () => {
  expect(shown([{ year: 2025, month: 8, conversationCount: 9 }], '2026-02-10T00:00:00Z')).not.toContain('2025-8: 9');
  expect(shown([], '2026-02-10T00:00:00Z').at(-1)).toBe('2026-2: 0');
});

test('believes the API when a new month has begun there', () => {
  expect(shown([{ year: 2026, month: 3, conversationCount: 1 }], '2026-02-28T23:59:00Z').at(-1)).toBe('2026-3: 1');
});
