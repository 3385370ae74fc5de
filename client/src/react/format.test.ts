import { expect, test } from 'vitest';
import { makeFormat } from './format.js';
import { messages } from './messages.js';

const now = new Date('2026-11-24T12:00:00.000Z');

test.each([
  ['2026-11-24T11:59:31.000Z', 'now', 'الآن'],
  ['2026-11-24T12:10:00.000Z', 'now', 'الآن'], // the clock is ahead: never "in 10 minutes"
  ['2026-11-24T11:15:00.000Z', '45 minutes ago', 'قبل 45 دقيقة'],
  ['2026-11-24T01:00:00.000Z', '11 hours ago', 'قبل 11 ساعة'],
  ['2026-11-23T23:00:00.000Z', 'yesterday', 'أمس'],
  ['2026-11-23T00:30:00.000Z', 'yesterday', 'أمس'],
  ['2026-11-22T13:00:00.000Z', '2 days ago', 'أول أمس'], // 47 hours are not yesterday
  ['2026-11-21T12:00:00.000Z', '3 days ago', 'قبل 3 أيام'],
  ['2026-08-20T12:00:00.000Z', '3 months ago', 'قبل 3 أشهر'],
  ['2025-12-25T12:00:00.000Z', '10 months ago', 'قبل 10 أشهر'],
  ['2024-08-20T12:00:00.000Z', '2 years ago', 'قبل سنتين'],
])('%s is %s', (at, english, arabic) => {
  expect(makeFormat('en', 'UTC').ago(at, now)).toBe(english);
  expect(makeFormat('ar', 'UTC').ago(at, now)).toBe(arabic);
});

test('counts days by the zone', () => {
  const late = new Date('2026-11-24T22:00:00.000Z'); // 01:00 on the 25th in Riyadh
  expect(makeFormat('en', 'UTC').ago('2026-11-24T19:00:00.000Z', late)).toBe('3 hours ago');
  expect(makeFormat('en', 'Asia/Riyadh').ago('2026-11-24T19:00:00.000Z', late)).toBe('yesterday');
});

test('says how fresh something is', () => {
  const format = makeFormat('en', 'UTC');
  expect([0, 9, 10, 59, 60, 600].map((s) => format.since(new Date(now.getTime() - s * 1000), now)))
    .toEqual(['now', 'now', '10 seconds ago', '50 seconds ago', '1 minute ago', '10 minutes ago']);
});

test('writes numbers, and Gregorian months, in each language and its digits', () => {
  const [en, ar, arab] = [makeFormat('en'), makeFormat('ar'), makeFormat('ar', undefined, 'arab')];
  expect([en.number(29955), ar.number(29955), arab.number(29955)]).toEqual(['29,955', '29,955', '٢٩٬٩٥٥']);
  expect(arab.money({ currency: 'SAR', amount: '26.495' })).toBe('٢٦٫٥٠ ريال سعودي');
  expect([en.percent(0.0015), en.percent(1), en.percent(0.99999), en.percent(1.033)]).toEqual(['0.1%', '100%', '99.9%', '103.3%']);
  expect([en.signed(1000), en.signed(-5)]).toEqual(['+1,000', '-5']);
  expect(en.month({ year: 2026, month: 1 }, 'long')).toBe('January 2026');
  expect(arab.month({ year: 2026, month: 1 }, 'long')).toBe('يناير ٢٠٢٦');
});

test.each([
  [0, '0 conversations', 'لا محادثات'],
  [1, '1 conversation', 'محادثة واحدة'],
  [2, '2 conversations', 'محادثتان'],
  [3, '3 conversations', '3 محادثات'],
  [11, '11 conversations', '11 محادثة'],
  [100, '100 conversations', '100 محادثة'],
])('counts %i with its noun', (n, english, arabic) => {
  expect(makeFormat('en').counted(n, messages.en.conversationCount)).toBe(english);
  expect(makeFormat('ar').counted(n, messages.ar.conversationCount)).toBe(arabic);
});

test.each([
  [0, '0 messages', 'لا رسائل'],
  [1, '1 message', 'رسالة واحدة'],
  [2, '2 messages', 'رسالتان'],
  [3, '3 messages', '3 رسائل'],
  [11, '11 messages', '11 رسالة'],
  [1284, '1,284 messages', '1,284 رسالة'],
])('counts %i with its noun, which in Arabic is feminine', (n, english, arabic) => {
  expect(makeFormat('en').counted(n, messages.en.messageCount)).toBe(english);
  expect(makeFormat('ar').counted(n, messages.ar.messageCount)).toBe(arabic);
});

test.each([
  ['SAR', '26.495', '26.50 Saudi riyals', '26.50 ريال سعودي'],
  ['SAR', '1', '1.00 Saudi riyals', '1.00 ريال سعودي'],
  ['SAR', '1234567.00', '1,234,567.00 Saudi riyals', '1,234,567.00 ريال سعودي'],
  ['SAR', '0.00', '0.00 Saudi riyals', '0.00 ريال سعودي'],
  ['SAR', '0.000065', '0.000065 Saudi riyals', '0.000065 ريال سعودي'], // not 0.00, which would be free
  ['KWD', '2.5', '2.500 Kuwaiti dinars', '2.500 دينار كويتي'], // a dinar has 1,000 fils
])('writes money: %s %s', (currency, amount, english, arabic) => {
  expect(makeFormat('en').money({ currency, amount })).toBe(english);
  expect(makeFormat('ar').money({ currency, amount })).toBe(arabic);
});

test('shows times in the zone that is asked for, and in another for one that the platform doesn’t know', () => {
  expect(makeFormat('en', 'Asia/Riyadh').dateTime('2026-11-23T22:30:00.000Z')).toBe('24 Nov 2026, 01:30');
  expect(makeFormat('en', 'UTC').time(new Date('2026-11-23T22:30:00.000Z'))).toBe('22:30');
  expect(makeFormat('en').inZone('2026-11-30T21:00:00.000Z', 'Asia/Riyadh')).toMatch(/^1 Dec 2026, 00:00 \(Arabian/);
  expect(() => makeFormat('en', 'Nowhere/Else').inZone('2026-11-30T21:00:00.000Z', 'Nowhere/Else')).not.toThrow();
});
