import { describe, expect, it } from "vitest";
import { GEMV_WAYS } from "../../src/kernels/gemv.ts";
import { pickWay, type Timing, timeWays } from "../../src/model/timing.ts";

/** Ways on a clock of their own: each run takes what it says, and a submit half a millisecond on top. */
function fake(cost: Readonly<Record<string, number>>) {
  let clock = 0;
  const runs: string[] = [];
  const trials = Object.entries(cost).map(([way, ms]) => ({
    way,
    run: async (repeats: number) => {
      runs.push(way);
      clock += 0.5 + repeats * ms;
      return (0.5 + repeats * ms) / repeats;
    },
  }));
  return { trials, runs, elapsed: () => clock };
}

describe("timeWays", () => {
  it("runs each in turn, and gives the median of three samples of some milliseconds", async () => {
    const { trials, runs, elapsed } = fake({ a: 0.5, b: 0.6 });
    const timings = await timeWays(trials, elapsed);
    expect(runs.join("")).toBe("abababab");
    // Four runs a sample: the best took one millisecond, its submit included.
    expect(timings).toEqual([
      { way: "a", ms: 0.625 },
      { way: "b", ms: 0.725 },
    ]);
  });

  it("drops after a run and another what is three times as slow as the best so far", async () => {
    const { trials, runs, elapsed } = fake({ a: 1, b: 10, c: 0.5 });
    const timings = await timeWays(trials, elapsed);
    expect(runs.filter((way) => way === "b").length).toBe(2);
    expect(timings.map(({ dropped }) => dropped)).toEqual([
      undefined,
      "more than 3 times as slow as the best",
      undefined,
    ]);
  });

  it("drops after one sample what a submit hid", async () => {
    const { trials, runs, elapsed } = fake({ a: 0.01, b: 0.2 });
    const timings = await timeWays(trials, elapsed);
    expect(runs.join("")).toBe("ababaa");
    expect(timings[1]!.dropped).toContain("3 times");
  });

  it("forgives a way a sample that something else held up, above all the only one", async () => {
    const times = [1, 1, 90, 1.5];
    const run = async () => times.shift()!;
    expect(await timeWays([{ way: "a", run }], () => 0)).toEqual([{ way: "a", ms: 1.5 }]);
  });

  it("drops none for a first run that something else held up", async () => {
    const held = [90, 1];
    const trials = [
      { way: "a", run: async () => 2 },
      { way: "b", run: async () => held.shift() ?? 1 },
    ];
    expect(await timeWays(trials, () => 0)).toEqual([
      { way: "a", ms: 2 },
      { way: "b", ms: 1 },
    ]);
  });

  it("ends when the time is over, once each was sampled", async () => {
    const { trials, runs, elapsed } = fake({ a: 100, b: 110, c: 120 });
    const timings = await timeWays(trials, elapsed);
    expect(runs.join("")).toBe("abcabc");
    expect(timings.map(({ ms }) => ms)).toEqual([100.5, 110.5, 120.5]);
  });
});

describe("pickWay", () => {
  const pick = (...timings: Timing[]) => pickWay(GEMV_WAYS, timings)?.name;

  it("takes what rounds activations for a gain of a tenth, and not for less", () => {
    const exact = { way: "f32 8x4", ms: 1.1 };
    expect(pick(exact, { way: "i8 16x4", ms: 1 })).toBe("i8 16x4");
    expect(pick(exact, { way: "i8 16x4", ms: 1.01 })).toBe("f32 8x4");
    expect(pick(exact, { way: "i8 16x4", ms: 3 })).toBe("f32 8x4");
  });

  it("takes the first of those that differ by noise", () => {
    expect(pick({ way: "f32 16x4", ms: 1.02 }, { way: "f32 8x4", ms: 1 })).toBe("f32 16x4");
    expect(pick({ way: "f32 16x4", ms: 1.04 }, { way: "f32 8x4", ms: 1 })).toBe("f32 8x4");
  });

  it("takes none that was dropped or not timed", () => {
    const dropped = { way: "i8 16x4", ms: 0.1, dropped: "wrong" };
    expect(pick(dropped, { way: "i8 8x4" }, { way: "i8 8x2", ms: 1 })).toBe("i8 8x2");
    expect(pick(dropped)).toBeUndefined();
  });
});
