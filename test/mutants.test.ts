import { expect, test } from "vitest";
import { readMutants, withoutTest } from "./mutants/mutants.mjs";

test("every mutant has its line and its file of tests", () => {
  const { mutants, stale } = readMutants();
  expect(mutants.length).toBeGreaterThan(0);
  expect(stale).toEqual([]);
});

test("every mutant has its test, and one that has none is found", async () => {
  const { mutants } = readMutants();
  const [first] = mutants;
  const renamed = { ...first!, name: `${first!.name}, as nobody calls it` };
  // In another file.
  const moved = { ...first!, test: mutants.find(({ test }) => test !== first!.test)!.test };
  expect(await withoutTest([...mutants, renamed, moved])).toEqual([renamed, moved]);
});
