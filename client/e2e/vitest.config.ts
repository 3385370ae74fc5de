import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// Tests in a real browser, against the local stack at SUFRAH_API. They share it, so they run one after the other.
export default defineConfig({
  test: {
    root: fileURLToPath(new URL('.', import.meta.url)),
    include: ['**/*.e2e.ts'],
    fileParallelism: false,
    testTimeout: 300_000, // a slow machine may take its time
    hookTimeout: 300_000,
  },
});
