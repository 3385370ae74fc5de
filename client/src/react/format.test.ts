import { expect, test } from 'vitest';
import { makeFormat } from './format.js';

const now = new Date('2026-11-24T12:00:00.000Z');

test.each([
  ['2026-11-24T11:59:31.000Z', 'now', 'الآن'],
  ['2026-11-24T12:00:05.000Z', 'now', 'الآن'], // a clock that goes behind
  ['2026-11-24T11:15:00.000Z', '45 minutes ago', 'قبل ٤٥ دقيقة'],
  ['2026-11-23T11:00:00.000Z', 'yesterday', 'أمس'],
  ['2026-11-21T12:00:00.000Z', '3 days ago', 'قبل ٣ أيام'],
  ['2026-08-20T12:00:00.000Z', '3 months ago', 'قبل ٣ أشهر'],
  ['2024-08-20T12:00:00.000Z', '2 years ago', 'قبل سنتين'],
])('%s is %s', (at, english, arabic) => {
  expect(makeFormat('en').ago(at, now)).toBe(english);
  expect(makeFormat('ar').ago(at, now)).toBe(arabic);
});

test('writes numbers, and Gregorian months, in each language', () => {
  const [en, ar] = [makeFormat('en'), makeFormat('ar')];
  expect([en.number(29955), ar.number(29955)]).toEqual(['29,955', '٢٩٬٩٥٥']);
  expect([en.percent(0.0015), en.percent(1)]).toEqual(['0.15%', '100%']);
  expect(en.month({ year: 2026, month: 1 }, 'long')).toBe('January 2026');
  expect(ar.month({ year: 2026, month: 1 }, 'long')).toBe('يناير ٢٠٢٦');
});

test('shows times in the zone that is asked for', () => {
  expect(makeFormat('en', 'Asia/Riyadh').dateTime('2026-11-23T22:30:00.000Z')).toBe('24 Nov 2026, 01:30');
  expect(makeFormat('en', 'UTC').time(new Date('2026-11-23T22:30:00.000Z'))).toBe('22:30');
});
