import { expect, it } from "vitest";
import { toggleFlags } from "../../bench/options.ts";

it("switches toggles on, and off those that a dash is before", () => {
  expect(toggleFlags(["a", "-b", "c", "-d-e"])).toEqual([
    "enable-dawn-features=a,c",
    "disable-dawn-features=b,d-e",
  ]);
});
