import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Tests limit the work, not the time: on a busy machine a short test may take long.
  test: { include: ['test/**/*.test.ts'], testTimeout: 60_000 }
});
