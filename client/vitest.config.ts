import { configDefaults, defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    testTimeout: 120_000, // a slow machine may take its time
    include: ['test/**/*.test.ts', 'src/**/*.test.{ts,tsx}', 'app/**/*.test.ts'],
    // `make test-client` runs these too, with a local stack for them.
    exclude: [...configDefaults.exclude, ...(process.env.SUFRAH_API ? [] : ['test/stack.test.ts'])],
  },
});
