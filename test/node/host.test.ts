import { expect, test } from "vitest";
import { memoryOf } from "../../node/host.ts";

test("the memory of a process is the container's where that is less than the machine's", () => {
  const machine = 64 * 2 ** 30;
  expect(memoryOf(machine, 8 * 2 ** 30)).toBe(8 * 2 ** 30);
  // What Node says where nothing bounds it, by version and kind of control group.
  for (const none of [undefined, 0, 2 ** 64 - 4096, 2 ** 63]) expect(memoryOf(machine, none)).toBe(machine);
});
