import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const text = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');

test('the documentation has every exported name', () => {
  const names = [...text('index.ts').replace(/from '.*'|\/\/.*/g, '').matchAll(/\b(?:type )?([A-Z]\w+)/g)].map(([, name]) => name);
  expect(names).toContain('UsageDashboard');
  const docs = text('../../../docs/USAGE_API_CLIENT.md');
  expect(names.filter((name) => !docs.includes(`\`${name}\``))).toEqual([]);
});
