// Two suites: `fast` is `npm test`, `slow` is `npm run test:slow` with its seed printed (SEED=… repeats a run).

import { defineConfig, type ViteUserConfig } from 'vitest/config'

const shared = { pool: 'forks', testTimeout: 120_000, hookTimeout: 60_000, setupFiles: ['test/fast-check.ts'] }

const config: ViteUserConfig = defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      { test: { ...shared, name: 'fast', include: ['src/**/*.test.ts', 'test/*.test.ts'] } },
      {
        test: {
          ...shared,
          name: 'slow',
          include: ['test/slow/**/*.test.ts'],
          globalSetup: ['test/slow/seed.ts'],
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
})

export default config
