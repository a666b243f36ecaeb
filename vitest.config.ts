import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/e2e/**'],
    testTimeout: 20_000,
    // Whoever waits for something waits no longer than that takes, and a busy machine takes its time.
    expect: { poll: { timeout: 8_000 } },
  },
})
