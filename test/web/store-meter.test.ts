import { expect, test } from "vitest";
import type { TransferProgress } from "../../web/api.ts";
import { Meter } from "../../web/store/meter.ts";
import { describeNoRoom } from "../../web/store/space.ts";

/** A meter of 100 000 bytes, with a clock of its own. */
function meterOf() {
  const reports: TransferProgress[] = [];
  let now = 0;
  const meter = new Meter(
    "download",
    (progress) => reports.push(progress),
    () => now,
  );
  meter.total = 100_000;
  return {
    meter,
    reports,
    /** Brings so many bytes after so many milliseconds. */
    bring(bytes: number, after: number) {
      now += after;
      meter.add(bytes, "shard");
      return reports.at(-1)!;
    },
  };
}

test("counts what was there before in bytes, and not in the rate", () => {
  const { meter, bring } = meterOf();
  meter.correct(50_000);
  expect(bring(1000, 1000)).toEqual({
    phase: "download",
    done: 51_000,
    total: 100_000,
    rate: 1000,
    left: 49,
    file: "shard",
  });
});

test("knows no rate at first", () => {
  expect(meterOf().bring(1000, 200)).toMatchObject({ done: 1000, rate: null, left: null });
});

test("has the rate of the last seconds, not of all", () => {
  const { bring } = meterOf();
  for (let second = 0; second < 10; second++) bring(100, 1000);
  for (let second = 0; second < 4; second++) bring(5000, 1000);
  expect(bring(5000, 1000)).toMatchObject({ done: 26_000, rate: 5000, left: 14.8 });
});

test("takes back what is to come again, and reports at most ten times a second", () => {
  const { meter, reports, bring } = meterOf();
  for (let i = 0; i < 100; i++) bring(100, 10);
  expect(reports).toHaveLength(10);
  meter.correct(-10_000);
  expect(bring(100, 1000).done).toBe(100);
});

test("names need, have and what could go; where nothing could, the disk", () => {
  const stored = [
    { name: "a", whole: true, done: 2e9, total: 2e9, changed: 0 },
    { name: "b", whole: false, done: 0, total: 2e9, changed: 0 },
    { name: "new", whole: false, done: 1e9, total: 2e9, changed: 0 },
  ];
  expect(describeNoRoom("new", 3e9, 1e9, stored)).toBe(
    "new needs 3.00 GB more, and the browser's storage has 1.00 GB free. Delete a model that you can do without: " +
      "a (2.00 GB), and begin again: what is there is kept.",
  );
  expect(describeNoRoom("new", undefined, 1e9, [])).toBe(
    "new needs more room, and the browser has no room for it, although it counts 1.00 GB as free. Free some disk space, and " +
      "begin again: what is there is kept.",
  );
});
