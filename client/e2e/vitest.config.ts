import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// Tests in a real browser, with the local stack at SUFRAH_API. They share the stack, so they run one after the other.
export default defineConfig({
  test: {
    root: fileURLToPath(new URL('.', import.meta.url)),
    include: ['**/*.e2e.ts'],
    fileParallelism: false,
    testTimeout: 300_000, // for slow machines
    hookTimeout: 300_000,
  },
});
