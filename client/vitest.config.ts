import { configDefaults, defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    testTimeout: 120_000, // for slow machines
    include: ['test/**/*.test.ts', 'src/**/*.test.{ts,tsx}', 'app/**/*.test.ts'],
    // `make test-client` starts a local stack and runs these tests too.
    exclude: [...configDefaults.exclude, ...(process.env.SUFRAH_API ? [] : ['test/stack.test.ts'])],
  },
});
