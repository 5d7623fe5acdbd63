import { expect, test } from "vitest";
import { show, showBytes } from "../src/show.ts";

test("values are shown with their type, in a line or two", () => {
  const circle: unknown[] = [];
  circle.push(circle);
  const values = ["1", 1, Number.NaN, Infinity, 5n, null, undefined, { a: ["吗"] }, Symbol("s"), circle];
  expect(values.map(show)).toEqual([
    ...['"1"', "1", "NaN", "Infinity", "5", "null", "undefined", '{"a":["吗"]}', "Symbol(s)"],
    "an object nested too deep to show",
  ]);
  expect(show({ toJSON: () => undefined })).toBe("an object");
  expect(show("x".repeat(198))).toHaveLength(200);
  expect(show("x".repeat(199))).toBe(`"${"x".repeat(199)}…`);
});

test("sizes are shown in megabytes and gigabytes", () => {
  const sizes = [0, 13_107_200, 99_999_999, 1e8, 328_200_000, 1e9, 26_181_000_000];
  expect(sizes.map(showBytes)).toEqual([
    ...["0.00 MB", "13.11 MB", "100.00 MB", "0.100 GB", "0.328 GB", "1.00 GB", "26.18 GB"],
  ]);
});
