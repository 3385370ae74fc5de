import { configDefaults, defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'src/**/*.test.{ts,tsx}'],
    // `make test-client` runs these too, with a local stack for them.
    exclude: [...configDefaults.exclude, ...(process.env.SUFRAH_API ? [] : ['test/stack.test.ts'])],
  },
});
