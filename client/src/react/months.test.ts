import { expect, test } from 'vitest';
import { currentMonth, lastMonths, project } from './months.js';

const shown = (history: Parameters<typeof lastMonths>[0], now: string) =>
  lastMonths(history, currentMonth(undefined, new Date(now))).map((m) => `${m.year}-${m.month}: ${m.conversationCount}`);

test('shows six months, those without a record too', () => {
  expect(shown([{ year: 2026, month: 2, conversationCount: 7 }, { year: 2025, month: 11, conversationCount: 3 }], '2026-02-10T00:00:00Z'))
    .toEqual(['2025-9: 0', '2025-10: 0', '2025-11: 3', '2025-12: 0', '2026-1: 0', '2026-2: 7']);
});

test('shows no months older than those', () => {
  expect(shown([{ year: 2025, month: 8, conversationCount: 9 }], '2026-02-10T00:00:00Z')).not.toContain('2025-8: 9');
  expect(shown([], '2026-02-10T00:00:00Z').at(-1)).toBe('2026-2: 0');
});

test('believes the API when a new month has begun there', () => {
  expect(shown([{ year: 2026, month: 3, conversationCount: 1 }], '2026-02-28T23:59:00Z').at(-1)).toBe('2026-3: 1');
});

const november = {
  year: 2026, month: 11, timeZone: 'Asia/Riyadh', startsAt: '2026-10-31T21:00:00.000Z', resetsAt: '2026-11-30T21:00:00.000Z',
};

test('uses the API’s month, whatever the clock says', () => {
  const inRiyadh = new Date('2026-10-31T22:00:00.000Z'); // 01:00 on 1 November in Riyadh
  expect(currentMonth(november, inRiyadh)).toMatchObject({ year: 2026, month: 11 });
  expect(lastMonths([], currentMonth(november, inRiyadh)).at(-1)).toMatchObject({ year: 2026, month: 11 });
});

test.each([
  ['nothing of its first day', 40, 300, '2026-11-01T12:00:00.000Z', undefined],
  ['nothing of an unused month', 0, 300, '2026-11-15T21:00:00.000Z', undefined],
  ['nothing of a month that is over', 40, 300, '2026-11-30T21:00:00.000Z', undefined],
  ['the double, halfway', 45, 300, '2026-11-15T21:00:00.000Z', { conversations: 90, usedUpAt: undefined }],
  ['tens, where there are hundreds', 152, undefined, '2026-11-15T21:00:00.000Z', { conversations: 300, usedUpAt: undefined }],
  ['when the limit is reached', 200, 300, '2026-11-15T21:00:00.000Z', { conversations: 400, usedUpAt: new Date('2026-11-23T09:00:00.000Z') }],
  ['no day for a limit that is reached', 310, 300, '2026-11-15T21:00:00.000Z', { conversations: 620, usedUpAt: undefined }],
])('expects %s', (_, used, limit, now, want) => {
  expect(project(used, limit, november, new Date(now))).toEqual(want);
});
