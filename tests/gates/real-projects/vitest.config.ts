import { defineConfig } from 'vitest/config';

/** Not among the tests, because it needs the package registries and takes minutes: `npm run compare:gates`. */
export default defineConfig({
  test: {
    include: ['tests/gates/real-projects/compare.ts'],
    testTimeout: 1_200_000,
    hookTimeout: 1_200_000,
    maxWorkers: 1,
    expect: { requireAssertions: true },
  },
});
