import type { Locale } from './messages.js';

/** How numbers and times are written in a language. */
export interface Format {
  number(value: number): string;
  /** A share from 0 to 1. */
  percent(share: number): string;
  /** A day with the time of day. */
  dateTime(at: string): string;
  time(at: Date): string;
  /** How long ago, in the largest unit that fits: "3 days ago". */
  ago(at: string, now: Date): string;
  /** A month's name, short or in full with its year. */
  month(of: { year: number; month: number }, style: 'short' | 'long'): string;
  /** A day of the form 2026-11-24, with its month. */
  day(date: string): string;
  list(parts: string[]): string;
}

// Months are Gregorian: the API counts by them, while Arabic as in Saudi Arabia would write the Islamic calendar's.
const habits: Record<Locale, { tag: string; hour: '2-digit' | 'numeric' }> = {
  en: { tag: 'en-GB', hour: '2-digit' },
  ar: { tag: 'ar-SA-u-ca-gregory-nu-arab', hour: 'numeric' },
};

const units: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 365 * 24 * 3600], ['month', 30 * 24 * 3600], ['day', 24 * 3600], ['hour', 3600], ['minute', 60],
];

/** Returns how a language writes, with times as the clocks of a zone show them (default: the browser's). */
export function makeFormat(locale: Locale, timeZone?: string): Format {
  const { tag, hour } = habits[locale];
  const number = new Intl.NumberFormat(tag);
  const percent = new Intl.NumberFormat(tag, { style: 'percent', maximumFractionDigits: 2 });
  const dateTime = new Intl.DateTimeFormat(tag, {
    day: 'numeric', month: 'short', year: 'numeric', hour, minute: '2-digit', timeZone,
  });
  const time = new Intl.DateTimeFormat(tag, { timeStyle: 'short', timeZone });
  const relative = new Intl.RelativeTimeFormat(tag, { numeric: 'auto' });
  const short = new Intl.DateTimeFormat(tag, { month: 'short', timeZone: 'UTC' });
  const long = new Intl.DateTimeFormat(tag, { month: 'long', year: 'numeric', timeZone: 'UTC' });
  const day = new Intl.DateTimeFormat(tag, { day: 'numeric', month: 'long', timeZone: 'UTC' });
  const list = new Intl.ListFormat(tag, { type: 'unit' });
  return {
    number: (value) => number.format(value),
    percent: (share) => percent.format(share),
    dateTime: (at) => dateTime.format(new Date(at)),
    time: (at) => time.format(at),
    ago(at, now) {
      const seconds = (new Date(at).getTime() - now.getTime()) / 1000;
      const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) ?? ['second', 1];
      return relative.format(unit === 'second' ? 0 : Math.trunc(seconds / size), unit);
    },
    month: ({ year, month }, style) => (style === 'short' ? short : long).format(new Date(Date.UTC(year, month - 1, 1))),
    day: (date) => day.format(new Date(date)),
    list: (parts) => list.format(parts),
  };
}
