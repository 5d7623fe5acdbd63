import type { Budget } from "./budget.ts";
import { methodOf } from "./methods.ts";
import { concat, Text } from "./text.ts";
import { chargeFor, Dict, kindOf, List, Namespace, Num, type Value } from "./values.ts";

/** Start, stop and step, each of which may be missing. */
type Bounds = readonly (number | undefined)[];

/** The items that Python's `items[start:stop:step]` takes. */
function slice<T>(items: readonly T[], [start, stop, step = 1]: Bounds): T[] {
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
function textSlice(of: Text, bounds: Bounds, budget: Budget): Text {
  budget.chargeText(of.length);
  const [start = 0, stop, step = 1] = bounds;
  if (step === 1 && !/[\ud800-\udfff]/.test(of.value)) return of.slice(start, stop);
  return concat(slice(of.points(budget), bounds), budget);
}

/** What `of[start:stop:step]` is. */
export function sliceOf(of: Value, bounds: readonly Value[], budget: Budget): Value {
  const integers = bounds.map((bound) => {
    if (bound === undefined || bound === null) return undefined;
    if (bound instanceof Num && !bound.isFloat) return bound.value;
    throw new Error("a slice has bounds that are no integers");
  });
  chargeFor(of, budget);
  if (of instanceof Text) return textSlice(of, integers, budget);
  if (of instanceof List) return new List(slice(of.items, integers), of.isTuple);
  throw new Error(`${kindOf(of)} cannot be sliced`);
}

/** What `of[key]` is, or `of.key` where the key is not computed. */
export function partOf(of: Value, key: Value, computed: boolean, budget: Budget): Value {
  if (key instanceof Num && of instanceof List) return of.items.at(key.value);
  if (key instanceof Num && of instanceof Text) {
    const found = textSlice(of, [key.value, key.value === -1 ? undefined : key.value + 1], budget);
    return found.length > 0 ? found : undefined;
  }
  if (!(key instanceof Text)) return undefined;
  if (of instanceof Namespace) return of.fields.get(key.value);
  const method = methodOf(of, key.value, budget);
  const entry = of instanceof Dict ? of.entries.get(key.value) : undefined;
  // d.name is the method before the entry, d["name"] the entry before the method.
  return entry && (computed || !method) ? entry.value : method;
}
