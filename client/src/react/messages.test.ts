import { expect, test } from 'vitest';
import { fill, messages } from './messages.js';

const placeholders = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();

test('each language says everything, with the same values filled in', () => {
  for (const [key, english] of Object.entries(messages.en)) {
    const arabic = messages.ar[key as keyof typeof messages.ar];
    expect(arabic, key).not.toBe('');
    expect(placeholders(arabic), key).toEqual(placeholders(english));
  }
  expect(Object.keys(messages.ar)).toEqual(Object.keys(messages.en));
});

test('fills in what is given, as it is', () => {
  expect(fill('{from}–{to} of {total}', { from: '1', to: '$&', total: '{from}' })).toBe('1–$& of {from}');
  expect(fill('{other}', {})).toBe('{other}');
});
