import type { Locale, Plural } from './messages.js';
import { fill } from './messages.js';

/** The digits of a language: Latin as in 123, or Arabic-Indic as in ١٢٣. */
export type NumberingSystem = 'latn' | 'arab';

/** How a language writes numbers and times. */
export interface Format {
  number(value: number): string;
  /** A change of an allowance, with its sign. */
  signed(value: number): string;
  /** A share from 0 to 1, rounded down, so that only all of it is 100 %. */
  percent(share: number): string;
  /** A number with its noun, in the language's form for this number. {n} is the number. */
  counted(value: number, forms: Plural): string;
  /** The same in parts: the number, undefined if the form says it in words, and the rest. */
  parts(value: number, forms: Plural): { number: string | undefined; words: string };
  /** A day with the time of day. */
  dateTime(at: string): string;
  /** A moment by the clocks of another zone, with the zone's name. */
  inZone(at: string, timeZone: string): string;
  time(at: Date): string;
  /** The age in calendar days: "yesterday", "3 days ago". A future time, from a clock that is ahead, is "now". */
  ago(at: string, now: Date): string;
  /** The age in seconds or minutes, for figures that were read a short time ago. */
  since(at: Date, now: Date): string;
  /** A month's short name, or its full name with the year. */
  month(of: { year: number; month: number }, style: 'short' | 'long'): string;
  /** A day of the form 2026-11-24, with its month's name. */
  day(date: string): string;
  list(parts: string[]): string;
  /**
   * An amount of money in words, "12.35 Saudi riyals". An amount below 1 has all its digits, because a few messages cost less
   * than the smallest coin.
   */
  money(of: { currency: string; amount: string }): string;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** Returns a zone if this platform knows it, otherwise undefined, which stands for the platform's own zone. */
export function knownZone(timeZone: string | undefined): string | undefined {
  try {
    new Intl.DateTimeFormat('en', { timeZone });
    return timeZone;
  } catch {
    return undefined;
  }
}

/** Returns the date of a moment in a zone. */
export function dateIn(at: Date, timeZone: string | undefined): { year: number; month: number; day: number } {
  const parts = new Intl.DateTimeFormat('en-u-ca-gregory-nu-latn', { timeZone, year: 'numeric', month: 'numeric', day: 'numeric' }).formatToParts(at);
  const part = (type: string) => Number(parts.find((p) => p.type === type)?.value);
  return { year: part('year'), month: part('month'), day: part('day') };
}

/** Returns the format of a language, with times in a zone (default: the browser's). */
export function makeFormat(locale: Locale, zone?: string, numberingSystem: NumberingSystem = 'latn'): Format {
  // Months are Gregorian, as the API's are. For Saudi Arabia, the platform's default would be the Islamic calendar.
  const tag = locale === 'ar' ? `ar-SA-u-ca-gregory-nu-${numberingSystem}` : 'en-GB';
  const hour = locale === 'ar' ? 'numeric' : '2-digit';
  const timeZone = knownZone(zone);
  const number = new Intl.NumberFormat(tag);
  const signed = new Intl.NumberFormat(tag, { signDisplay: 'exceptZero' });
  const percent = new Intl.NumberFormat(tag, { style: 'percent', maximumFractionDigits: 1 });
  const plural = new Intl.PluralRules(locale);
  const moment = { day: 'numeric', month: 'short', year: 'numeric', hour, minute: '2-digit' } as const;
  const dateTime = new Intl.DateTimeFormat(tag, { ...moment, timeZone });
  const time = new Intl.DateTimeFormat(tag, { timeStyle: 'short', timeZone });
  const relative = new Intl.RelativeTimeFormat(tag, { numeric: 'auto' });
  const short = new Intl.DateTimeFormat(tag, { month: 'short', timeZone: 'UTC' });
  const long = new Intl.DateTimeFormat(tag, { month: 'long', year: 'numeric', timeZone: 'UTC' });
  const day = new Intl.DateTimeFormat(tag, { day: 'numeric', month: 'long', timeZone: 'UTC' });
  const list = new Intl.ListFormat(tag, { type: 'unit' });
  const formOf = (value: number, forms: Plural) => forms[plural.select(value)] ?? forms.other;
  return {
    number: (value) => number.format(value),
    signed: (value) => signed.format(value),
    percent: (share) => percent.format(Math.floor(share * 1000 + 1e-9) / 1000),
    counted: (value, forms) => fill(formOf(value, forms), { n: number.format(value) }),
    parts(value, forms) {
      const form = formOf(value, forms);
      return { number: form.includes('{n}') ? number.format(value) : undefined, words: form.replace('{n}', '').trim() };
    },
    dateTime: (at) => dateTime.format(new Date(at)),
    inZone(at, itsZone) {
      const shown = knownZone(itsZone) ?? 'UTC';
      const name = new Intl.DateTimeFormat(tag, { timeZone: shown, timeZoneName: 'long' }).formatToParts(new Date(at))
        .find(({ type }) => type === 'timeZoneName')?.value ?? shown;
      return `${new Intl.DateTimeFormat(tag, { ...moment, timeZone: shown }).format(new Date(at))} (${name})`;
    },
    time: (at) => time.format(at),
    ago(at, now) {
      const passed = now.getTime() - new Date(at).getTime();
      if (passed < minuteMs) return relative.format(0, 'second');
      if (passed < hourMs) return relative.format(-Math.floor(passed / minuteMs), 'minute');
      const [then, today] = [dateIn(new Date(at), timeZone), dateIn(now, timeZone)];
      const days = Math.round((Date.UTC(today.year, today.month - 1, today.day) - Date.UTC(then.year, then.month - 1, then.day)) / dayMs);
      if (days === 0) return relative.format(-Math.floor(passed / hourMs), 'hour');
      const months = (today.year - then.year) * 12 + today.month - then.month - (today.day < then.day ? 1 : 0);
      if (months < 1) return relative.format(-days, 'day');
      return months < 12 ? relative.format(-months, 'month') : relative.format(-Math.floor(months / 12), 'year');
    },
    since(at, now) {
      const seconds = Math.max(0, Math.floor((now.getTime() - at.getTime()) / 10_000) * 10);
      return seconds < 60 ? relative.format(-seconds, 'second') : this.ago(at.toISOString(), now);
    },
    month: ({ year, month }, style) => (style === 'short' ? short : long).format(new Date(Date.UTC(year, month - 1, 1))),
    day: (date) => day.format(new Date(date)),
    list: (parts) => list.format(parts),
    money({ currency, amount }) {
      const digits = Number(amount) < 1 ? { maximumFractionDigits: 6 } : {};
      return new Intl.NumberFormat(tag, { style: 'currency', currency, currencyDisplay: 'name', ...digits }).format(Number(amount));
    },
  };
}
