// Two suites: `fast` is `npm test`, `slow` is `npm run test:slow` with its seed printed (SEED=… repeats a run).

import { defineConfig, type ViteUserConfig } from 'vitest/config'

// V8 13.6 (Node 24) ends a process with SIGSEGV, once in some thousand threads, where it recompiles what lies between WebAssembly and JavaScript in one thread
// (Runtime_TierUpWasmToJSWrapper, WasmEngine::FreeDeadCode, NativeModule::FreeCode) while others end. Threads started from TypeScript load such code to strip
// its types; the package has none to strip. With so large a budget nothing is recompiled.
const execArgv = ['--wasm-wrapper-tiering-budget=1000000000']

const shared = { pool: 'forks', execArgv, testTimeout: 120_000, hookTimeout: 60_000, setupFiles: ['test/fast-check.ts'] }

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
