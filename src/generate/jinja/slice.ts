import type { Budget } from "./budget.ts";
import { concat, type Text } from "./text.ts";

/** Start, stop and step, each of which may be missing. */
type Bounds = readonly (number | undefined)[];

/** The items that Python's `items[start:stop:step]` takes. */
export function slice<T>(items: readonly T[], [start, stop, step = 1]: Bounds): T[] {
  if (step === 0) throw new Error("a slice has a step of 0");
  const { length } = items;
  const [least, most] = step > 0 ? [0, length] : [-1, length - 1];
  const clamp = (index: number) => Math.min(most, Math.max(least, index < 0 ? index + length : index));
  const from = start === undefined ? (step > 0 ? 0 : length - 1) : clamp(start);
  const to = stop === undefined ? (step > 0 ? length : -1) : clamp(stop);
  const taken: T[] = [];
  for (let i = from; step > 0 ? i < to : i > to; i += step) taken.push(items[i]!);
  return taken;
}

/** A slice by code points; where there are no surrogates, and in steps of 1, those are units. */
export function textSlice(of: Text, bounds: Bounds, budget: Budget): Text {
  budget.chargeText(of.length);
  const [start = 0, stop, step = 1] = bounds;
  if (step === 1 && !/[\ud800-\udfff]/.test(of.value)) return of.slice(start, stop);
  return concat(slice(of.points(budget), bounds), budget);
}
