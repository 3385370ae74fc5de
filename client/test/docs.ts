import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of package.json. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

export const docs = readFileSync(join(root, '../docs/USAGE_API_CLIENT.md'), 'utf8');

/** A block of code in the documentation. */
export interface Block {
  line: number;
  language: string;
  /** The file below src that has the same text, if the block names one: ```ts from client.ts */
  source: string | undefined;
  code: string;
}

const blocks: Block[] = [...docs.matchAll(/^```(\w+)(?: from (\S+))?\n(.*?)^```$/gms)].map((match) => ({
  line: docs.slice(0, match.index).split('\n').length,
  language: match[1]!,
  source: match[2],
  code: match[3]!,
}));

/** Blocks that are taken from the sources. */
export const taken = blocks.filter((b) => b.source);

/** Blocks that are modules of their own. */
export const modules = blocks.filter((b) => !b.source && /^(ts|tsx|js|jsx)$/.test(b.language));
