import { Bound } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { join, type Sides, Text } from "./text.ts";
import { Callable, chargeFor, Dict, equal, kindOf, List, Num, type Value } from "./values.ts";

/** What is made of a value and the arguments of a call. */
export type Change<Self> = (self: Self, bound: Bound, budget: Budget) => Value;
/** The names of the parameters, and what is made of them. */
export type Method<Self> = readonly [parameters: readonly string[], change: Change<Self>];

function method<Self>(parameters: readonly string[], change: Change<Self>): Method<Self> {
  return [parameters, change];
}

/** As Python's str.splitlines() has it. */
const LINE_ENDS = "\\n-\\r\\x1c-\\x1e\\x85\\u2028\\u2029";
const LINE_END = new RegExp(`\\r\\n|[${LINE_ENDS}]`, "g");

function strip(sides: Sides): Method<Text> {
  return method(["chars"], (self, bound, budget) => {
    return self.strip(bound.text("chars", undefined)?.value, sides, budget);
  });
}

/** Of one string or any of a tuple. */
function affix(holds: (self: string, affix: string) => boolean): Method<Text> {
  return method(["affix"], (self, bound, budget) => {
    const wanted = bound.value("affix");
    const options = wanted instanceof List && wanted.isTuple ? wanted.items : [wanted];
    return options.some((option) => {
      if (!(option instanceof Text)) throw new Error(`${bound.what} has ${kindOf(option)}; wanted a string`);
      budget.charge(1);
      budget.chargeText(Math.min(self.length, option.length));
      return holds(self.value, option.value);
    });
  });
}

type Cut = (self: Text, separator: string, most: number, budget: Budget) => Text[];

/** @param words What cuts at white space, for want of a separator. */
function split(cut: Cut, words: (self: Text, most: number, budget: Budget) => Text[]): Method<Text> {
  return method(["sep", "maxsplit"], (self, bound, budget) => {
    const separator = bound.text("sep", undefined);
    const most = bound.integer("maxsplit", -1);
    if (separator?.length === 0) throw new Error(`${bound.what} has an empty separator`);
    const limit = most < 0 ? Infinity : most;
    return new List(separator ? cut(self, separator.value, limit, budget) : words(self, limit, budget));
  });
}

/** The first character in upper case, as each behind one that `begins` a word, and the others in lower case. */
export function capitalized(begins?: RegExp): Method<Text> {
  return method([], (self, _, budget) => {
    let upper = true;
    return self.map(budget, (point) => {
      const changed = upper ? point.toUpperCase() : point.toLowerCase();
      upper = begins?.test(point) ?? false;
      return changed;
    });
  });
}

/** The methods of strings; filters of the same names do the same. */
export const TEXT = {
  strip: strip({ left: true, right: true }),
  lstrip: strip({ left: true, right: false }),
  rstrip: strip({ left: false, right: true }),
  upper: method([], (self, _, budget) => self.upper(budget)),
  lower: method([], (self, _, budget) => self.lower(budget)),
  // As Python's str.title() has them, words begin behind what is no letter.
  title: capitalized(/\P{L}/u),
  capitalize: capitalized(),
  startswith: affix((self, start) => self.startsWith(start)),
  endswith: affix((self, end) => self.endsWith(end)),
  split: split(
    (self, ...at) => self.split(...at),
    (self, ...at) => self.words(...at),
  ),
  rsplit: split(
    (self, ...at) => self.splitRight(...at),
    (self, most, budget) => {
      if (most < Infinity) throw new Error("rsplit(maxsplit) needs a separator here");
      return self.words(most, budget);
    },
  ),
  splitlines: method([], (self, _, budget) => {
    budget.charge(self.length);
    const lines: Text[] = [];
    let start = 0;
    for (const { 0: end, index } of self.value.matchAll(LINE_END)) {
      lines.push(self.slice(start, index));
      start = index + end.length;
    }
    return new List(start < self.length ? [...lines, self.slice(start)] : lines);
  }),
  replace: method(["old", "new", "count"], (self, bound, budget) => {
    const count = bound.integer("count", -1);
    return self.replace(bound.text("old").value, bound.text("new"), count < 0 ? Infinity : count, budget);
  }),
  removeprefix: method(["prefix"], (self, bound) => {
    const { value } = bound.text("prefix");
    return self.value.startsWith(value) ? self.slice(value.length) : self;
  }),
  removesuffix: method(["suffix"], (self, bound) => {
    const { value } = bound.text("suffix");
    return self.value.endsWith(value) ? self.slice(0, self.length - value.length) : self;
  }),
  find: method(["sub"], (self, bound, budget) => {
    const part = bound.text("sub");
    budget.chargeSearch(self, part);
    const found = self.value.indexOf(part.value);
    const points = found < 0 ? found : self.slice(0, found).pointCount;
    return new Num(points, { isTyped: self.isTyped });
  }),
  count: method(["sub"], (self, bound, budget) => {
    const { value } = bound.text("sub");
    const found = value === "" ? self.pointCount + 1 : self.split(value, Infinity, budget).length - 1;
    return new Num(found, { isTyped: self.isTyped });
  }),
  join: method(["iterable"], (self, bound, budget) => {
    const parts = bound.value("iterable");
    if (!(parts instanceof List)) throw new Error(`join() has ${kindOf(parts)}; wanted a list`);
    const texts = parts.items.map((part) => {
      if (!(part instanceof Text)) throw new Error(`join() has ${kindOf(part)} in its list; wanted strings`);
      return part;
    });
    return join(texts, self, budget);
  }),
} as const satisfies Readonly<Record<string, Method<Text>>>;

const LIST: Readonly<Record<string, Method<List>>> = {
  index: method(["value"], (self, bound, budget) => {
    const found = self.items.findIndex((item) => equal(item, bound.value("value"), budget));
    if (found < 0) throw new Error("index() looks for what is not in the list");
    return new Num(found);
  }),
  count: method(["value"], (self, bound, budget) => {
    return new Num(self.items.filter((item) => equal(item, bound.value("value"), budget)).length);
  }),
};

const DICT: Readonly<Record<string, Method<Dict>>> = {
  get: method(["key", "default"], (self, bound) => {
    const key = bound.value("key");
    const found = key instanceof Text ? self.entries.get(key.value) : undefined;
    return found ? found.value : bound.has("default") ? bound.value("default") : null;
  }),
  items: method([], (self) => self.items()),
  keys: method([], (self) => new List(self.keys())),
  values: method([], (self) => new List([...self.entries.values()].map(({ value }) => value))),
};

/** The method of a value, or undefined. Each call costs what it reads; what it makes is charged where it is made. */
export function methodOf(self: Value, name: string, budget: Budget): Callable | undefined {
  const bind = <T extends Value>(methods: Readonly<Record<string, Method<T>>>, of: T) => {
    const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
    if (!method) return undefined;
    const [parameters, change] = method;
    return new Callable((args) => {
      chargeFor(of, budget);
      const result = change(of, new Bound(`${name}()`, parameters, args), budget);
      chargeFor(result, budget);
      return result;
    });
  };
  if (self instanceof Text) return bind(TEXT, self);
  if (self instanceof List) return bind(LIST, self);
  return self instanceof Dict ? bind(DICT, self) : undefined;
}
