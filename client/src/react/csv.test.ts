import { expect, test } from 'vitest';
import { toCsv } from './csv.js';

test.each([
  ['=1+1', "'=1+1"], ['+966', "'+966"], ['-2', "'-2"], ['@cmd', "'@cmd"], ['\t=1', "'\t=1"], [' =1', "' =1"],
  ['=A("x","y")', `"'=A(""x"",""y"")"`], ['a,b', '"a,b"'], ['a\nb', '"a\nb"'], ['plain', 'plain'],
])('%j is harmless in a cell', (text, cell) => {
  expect(toCsv([[text]])).toBe(`\ufeff${cell}\r\n`);
});

test('numbers stay numbers, and nothing is empty', () => {
  expect(toCsv([['a', -1, true, null]])).toBe('\ufeffa,-1,true,\r\n');
});
