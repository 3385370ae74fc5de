import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { type Block, docs, modules, root, taken } from './docs.js';

test.each(taken)('the block in line $line is in $source', ({ source, code }) => {
  expect(readFileSync(join(root, 'src', source!), 'utf8')).toContain(code);
});

/** Compiles blocks, each with the package as its users see it, and returns the compiler's errors. */
function compile(blocks: Block[]): string[] {
  const files = new Map(blocks.map((b) => [join(root, 'test', `docs-line-${b.line}.${b.language}`), b.code]));
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile).config;
  const options: ts.CompilerOptions = {
    ...ts.parseJsonConfigFileContent(config, ts.sys, root).options,
    allowJs: true,
    checkJs: true,
    paths: { '@sufrah/usage-api': [join(root, 'src/index.ts')], '@sufrah/usage-api/proxy': [join(root, 'src/proxy.ts')], '@sufrah/usage-api/react': [join(root, 'src/react/index.ts')], '@sufrah/usage-api/react/*': [join(root, 'src/react/*')] },
  };
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile } = host;
  host.fileExists = (name) => files.has(name) || fileExists(name);
  host.readFile = (name) => files.get(name) ?? readFile(name); // getSourceFile uses it
  return ts.getPreEmitDiagnostics(ts.createProgram({ rootNames: [...files.keys()], options, host })).map((d) => {
    const line = d.file?.getLineAndCharacterOfPosition(d.start ?? 0).line ?? -1;
    return `${d.file?.fileName}:${line + 1}: ${ts.flattenDiagnosticMessageText(d.messageText, '\n')}`;
  });
}

describe('blocks of code', { timeout: 120_000 }, () => {
  test('compile', () => {
    expect(modules.length).toBeGreaterThan(5);
    expect(compile(modules)).toEqual([]);
  });

  test('faulty blocks don’t compile', () => {
    const code = "import { UsageApiClient } from '@sufrah/usage-api';\nnew UsageApiClient('http://localhost', 'pat');\n";
    expect(compile([{ line: 1, language: 'ts', source: undefined, code }])).toEqual([
      expect.stringMatching(/docs-line-1\.ts:2: Expected 3-5 arguments/),
    ]);
  });
});

test('every exported name and every code is explained', () => {
  const text = (file: string) => readFileSync(join(root, 'src', file), 'utf8');
  const names: string[] = [];
  ts.forEachChild(ts.createSourceFile('index.ts', text('index.ts'), ts.ScriptTarget.Latest), (node) => {
    if (ts.isTypeAliasDeclaration(node)) names.push(node.name.text);
    else if (ts.isExportDeclaration(node) && node.exportClause && ts.isNamedExports(node.exportClause)) {
      names.push(...node.exportClause.elements.map((e) => e.name.text));
    }
  });
  const unions = [/^\s*ErrorCode: (.*);$/m.exec(text('generated/openapi.ts')), /^export type ClientErrorCode = (.*);$/m.exec(text('errors.ts'))];
  const codes = unions.flatMap((union) => union![1]!.match(/\w+/g)!);
  expect(names).toContain('UsageApiClient');
  expect(codes).toEqual(expect.arrayContaining(['unauthorized', 'timeout']));
  expect([...names, ...codes].filter((name) => !docs.includes(`\`${name}\``))).toEqual([]);
});

test('the file that is to be installed is the one that is packed', () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  expect(docs).toContain(`npm install ../usage/client/sufrah-usage-api-${version}.tgz`);
});
