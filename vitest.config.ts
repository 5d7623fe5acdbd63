import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Dawn and the software adapter each use every core: files run one after another, in processes of their own.
    pool: "forks",
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // What is waited for may be slow beside others, and is right whenever it comes.
    expect: { poll: { timeout: 60_000 } },
  },
});
