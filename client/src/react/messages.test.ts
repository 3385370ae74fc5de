import { expect, test } from 'vitest';
import { fill, messages, type Plural } from './messages.js';

// A form that says the number in words needs no placeholder: "one conversation".
const placeholders = (text: string | Plural) =>
  [...(typeof text === 'string' ? text : text.other).matchAll(/\{\w+\}/g)].map(([name]) => name).sort();

test('each language says everything, with the same values filled in', () => {
  for (const [key, english] of Object.entries(messages.en)) {
    const arabic = messages.ar[key as keyof typeof messages.ar];
    expect(arabic, key).not.toBe('');
    expect(placeholders(arabic), key).toEqual(placeholders(english));
  }
  expect(Object.keys(messages.ar)).toEqual(Object.keys(messages.en));
});

test('fills in values unchanged', () => {
  expect(fill('{from}–{to} of {total}', { from: '1', to: '$&', total: '{from}' })).toBe('1–$& of {from}');
  expect(fill('{other}', {})).toBe('{other}');
});

test('each language has a form for each of its numbers', () => {
  for (const locale of ['en', 'ar'] as const) {
    const forms = new Intl.PluralRules(locale).resolvedOptions().pluralCategories.sort();
    for (const [key, text] of Object.entries(messages[locale])) {
      if (typeof text !== 'string') expect(Object.keys(text).sort(), `${locale} ${key}`).toEqual(forms);
    }
  }
});
