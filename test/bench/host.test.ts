import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { findLaboratory } from "../../bench/isa/laboratory.ts";

it.skipIf(!findLaboratory("amd"))(
  "times the host on a driver without its card, which computes nothing",
  () => {
    const options = ["--card", "navi31", "--layers", "1", "--turns", "1", "--tokens", "4", "--out", "-"];
    const printed = execFileSync(process.execPath, ["dist/bench/host.js", ...options], { encoding: "utf8" });
    const [, cells] = printed.match(/^as it comes +([\d. ]+) x 1\.000$/m)!;
    const [encode, finish, submit, rest, token] = cells!.trim().split(/ +/).map(Number);
    expect(Math.min(encode!, submit!)).toBeGreaterThan(0);
    // Each is rounded to 0.001.
    expect(encode! + finish! + submit! + rest!).toBeCloseTo(token!, 2);
  },
  60_000,
);
