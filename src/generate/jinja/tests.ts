import type { Budget } from "./budget.ts";
import { Text } from "./text.ts";
import {
  Callable,
  chargeFor,
  Dict,
  equal,
  kindOf,
  List,
  Num,
  numberOf,
  toText,
  type Value,
} from "./values.ts";

type Test = (self: Value, args: readonly Value[], budget: Budget) => boolean;

/** What a loop, a join or a list sees of a value: items, keys or characters. */
export function itemsOf(value: Value, budget: Budget): readonly Value[] {
  if (value === undefined) return [];
  if (value instanceof List) return value.items;
  if (value instanceof Dict) return value.keys();
  if (value instanceof Text) return value.points(budget);
  throw new Error(`${kindOf(value)} cannot be iterated over`);
}

const is = (known: Value, value: Value, budget: Budget) => equal(known, value, budget);
const TESTS: Readonly<Record<string, Test>> = {
  defined: (self) => self !== undefined,
  undefined: (self) => self === undefined,
  none: (self) => self === null,
  true: (self) => self === true,
  false: (self) => self === false,
  boolean: (self) => typeof self === "boolean",
  string: (self) => self instanceof Text,
  number: (self) => numberOf(self) !== undefined,
  integer: (self) => self instanceof Num && !self.isFloat,
  float: (self) => self instanceof Num && self.isFloat,
  mapping: (self) => self instanceof Dict,
  sequence: (self) => self instanceof Text || self instanceof List || self instanceof Dict,
  iterable: (self) =>
    self === undefined || self instanceof Text || self instanceof List || self instanceof Dict,
  callable: (self) => self instanceof Callable,
  odd: (self) => remainder(self) === 1,
  even: (self) => remainder(self) === 0,
  lower: (self, _, budget) => isCased(toText(self, budget).value, (text) => text.toLowerCase()),
  upper: (self, _, budget) => isCased(toText(self, budget).value, (text) => text.toUpperCase()),
  eq: (self, [other], budget) => is(self, other, budget),
  ne: (self, [other], budget) => !is(self, other, budget),
  in: (self, [others], budget) => contains(others, self, budget),
};
const TEST_ALIASES: Readonly<Record<string, string>> = { equalto: "eq", "==": "eq", "!=": "ne" };

function remainder(self: Value): number {
  const number = numberOf(self);
  if (!number) throw new Error(`${kindOf(self)} is neither odd nor even`);
  return Math.abs(number.value % 2);
}

/** Python's islower() and isupper(): nothing is without a letter that has a case. */
function isCased(text: string, convert: (text: string) => string): boolean {
  return text === convert(text) && text.toLowerCase() !== text.toUpperCase();
}

/** @throws Error for a test that there is none of. */
export function applyTest(name: string, self: Value, args: readonly Value[], budget: Budget): boolean {
  const known = TEST_ALIASES[name] ?? name;
  const test = Object.hasOwn(TESTS, known) ? TESTS[known] : undefined;
  if (!test) throw new Error(`there is no test "${name}" here`);
  budget.charge(1);
  chargeFor(self, budget);
  return test(self, args, budget);
}

/** Python's `part in whole`. */
export function contains(whole: Value, part: Value, budget: Budget): boolean {
  if (whole === undefined) return false;
  chargeFor(whole, budget);
  if (whole instanceof List) return whole.items.some((item) => equal(item, part, budget));
  if (whole instanceof Dict) return part instanceof Text && whole.entries.has(part.value);
  if (whole instanceof Text && part instanceof Text) {
    budget.chargeSearch(whole, part);
    return whole.value.includes(part.value);
  }
  throw new Error(`${kindOf(part)} cannot be looked for in ${kindOf(whole)}`);
}
