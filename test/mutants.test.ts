import { expect, test } from "vitest";
import { readMutants } from "./mutants/mutants.mjs";

test("every mutant has its line and its test", () => {
  const { mutants, stale } = readMutants();
  expect(mutants.length).toBeGreaterThan(0);
  expect(stale).toEqual([]);
});
