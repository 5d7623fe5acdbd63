import { Bound } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { join, type Sides, Text } from "./text.ts";
import { type Arguments, Callable, chargeFor, Dict, equal, kindOf, List, Num, type Value } from "./values.ts";

type Method<T> = (self: T, args: Arguments, budget: Budget) => Value;

/** As Python's str.splitlines() has it. */
const LINE_ENDS = "\\n-\\r\\x1c-\\x1e\\x85\\u2028\\u2029";
const LINE_END = new RegExp(`\\r\\n|[${LINE_ENDS}]`, "g");

const BOTH = { left: true, right: true };

function strip(name: string, sides: Sides): Method<Text> {
  return (self, args, budget) => {
    return self.strip(new Bound(name, ["chars"], args).text("chars", undefined)?.value, sides, budget);
  };
}

/** A method without parameters. */
function plain<T>(name: string, change: (self: T, budget: Budget) => Value): Method<T> {
  return (self, args, budget) => {
    new Bound(name, [], args);
    return change(self, budget);
  };
}

/** Of one string or any of a tuple. */
function affix(name: string, holds: (self: string, affix: string) => boolean): Method<Text> {
  return (self, args, budget) => {
    const wanted = new Bound(name, ["affix"], args).value("affix");
    const options = wanted instanceof List && wanted.isTuple ? wanted.items : [wanted];
    return options.some((option) => {
      if (!(option instanceof Text)) throw new Error(`${name} has ${kindOf(option)}; wanted a string`);
      budget.charge(1);
      budget.chargeText(Math.min(self.length, option.length));
      return holds(self.value, option.value);
    });
  };
}

type Cut = (self: Text, separator: string, most: number, budget: Budget) => Text[];

function split(name: string, cut: Cut): Method<Text> {
  return (self, args, budget) => {
    const bound = new Bound(name, ["sep", "maxsplit"], args);
    const separator = bound.text("sep", undefined);
    const most = bound.integer("maxsplit", -1);
    if (separator?.length === 0) throw new Error(`${name} has an empty separator`);
    const limit = most < 0 ? Infinity : most;
    if (separator) return new List(cut(self, separator.value, limit, budget));
    if (name === "rsplit()" && limit < Infinity) throw new Error("rsplit(maxsplit) needs a separator here");
    return new List(self.words(limit, budget));
  };
}

/** Words begin behind what is no letter, as Python's str.title() has them. */
export function title(self: Text, budget: Budget): Text {
  let inside = false;
  return self.map(budget, (point) => {
    const changed = inside ? point.toLowerCase() : point.toUpperCase();
    inside = /\p{L}/u.test(point);
    return changed;
  });
}

export function capitalize(self: Text, budget: Budget): Text {
  let first = true;
  return self.map(budget, (point) => {
    const changed = first ? point.toUpperCase() : point.toLowerCase();
    first = false;
    return changed;
  });
}

export const replace: Method<Text> = (self, args, budget) => {
  const bound = new Bound("replace()", ["old", "new", "count"], args);
  const count = bound.integer("count", -1);
  return self.replace(bound.text("old").value, bound.text("new"), count < 0 ? Infinity : count, budget);
};

const TEXT: Readonly<Record<string, Method<Text>>> = {
  strip: strip("strip()", BOTH),
  lstrip: strip("lstrip()", { left: true, right: false }),
  rstrip: strip("rstrip()", { left: false, right: true }),
  upper: plain("upper()", (self, budget) => self.upper(budget)),
  lower: plain("lower()", (self, budget) => self.lower(budget)),
  title: plain("title()", title),
  capitalize: plain("capitalize()", capitalize),
  startswith: affix("startswith()", (self, start) => self.startsWith(start)),
  endswith: affix("endswith()", (self, end) => self.endsWith(end)),
  split: split("split()", (self, ...cut) => self.split(...cut)),
  rsplit: split("rsplit()", (self, ...cut) => self.splitRight(...cut)),
  splitlines: plain("splitlines()", (self, budget) => {
    budget.charge(self.length);
    const lines: Text[] = [];
    let start = 0;
    for (const { 0: end, index } of self.value.matchAll(LINE_END)) {
      lines.push(self.slice(start, index));
      start = index + end.length;
    }
    return new List(start < self.length ? [...lines, self.slice(start)] : lines);
  }),
  replace,
  removeprefix(self, args) {
    const { value } = new Bound("removeprefix()", ["prefix"], args).text("prefix");
    return self.value.startsWith(value) ? self.slice(value.length) : self;
  },
  removesuffix(self, args) {
    const { value } = new Bound("removesuffix()", ["suffix"], args).text("suffix");
    return self.value.endsWith(value) ? self.slice(0, self.length - value.length) : self;
  },
  find(self, args, budget) {
    const part = new Bound("find()", ["sub"], args).text("sub");
    budget.chargeSearch(self, part);
    const found = self.value.indexOf(part.value);
    const points = found < 0 ? found : self.slice(0, found).pointCount;
    return new Num(points, { isTyped: self.isTyped });
  },
  count(self, args, budget) {
    const { value } = new Bound("count()", ["sub"], args).text("sub");
    const found = value === "" ? self.pointCount + 1 : self.split(value, Infinity, budget).length - 1;
    return new Num(found, { isTyped: self.isTyped });
  },
  join(self, args, budget) {
    const parts = new Bound("join()", ["iterable"], args).value("iterable");
    if (!(parts instanceof List)) throw new Error(`join() has ${kindOf(parts)}; wanted a list`);
    const texts = parts.items.map((part) => {
      if (!(part instanceof Text)) throw new Error(`join() has ${kindOf(part)} in its list; wanted strings`);
      return part;
    });
    return join(texts, self, budget);
  },
};

const LIST: Readonly<Record<string, Method<List>>> = {
  index(self, args, budget) {
    const wanted = new Bound("index()", ["value"], args).value("value");
    const found = self.items.findIndex((item) => equal(item, wanted, budget));
    if (found < 0) throw new Error("index() looks for what is not in the list");
    return new Num(found);
  },
  count(self, args, budget) {
    const wanted = new Bound("count()", ["value"], args).value("value");
    return new Num(self.items.filter((item) => equal(item, wanted, budget)).length);
  },
};

const DICT: Readonly<Record<string, Method<Dict>>> = {
  get(self, args) {
    const bound = new Bound("get()", ["key", "default"], args);
    const key = bound.value("key");
    const found = key instanceof Text ? self.entries.get(key.value) : undefined;
    return found ? found.value : bound.has("default") ? bound.value("default") : null;
  },
  items: plain("items()", (self) => self.items()),
  keys: plain("keys()", (self) => new List(self.keys())),
  values: plain("values()", (self) => new List([...self.entries.values()].map(({ value }) => value))),
};

/** The method of a value, or undefined. Each call costs what it reads; what it makes is charged where it is made. */
export function methodOf(self: Value, name: string, budget: Budget): Callable | undefined {
  const bind = <T extends Value>(methods: Readonly<Record<string, Method<T>>>, of: T) => {
    const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
    if (!method) return undefined;
    return new Callable((args) => {
      chargeFor(of, budget);
      const result = method(of, args, budget);
      chargeFor(result, budget);
      return result;
    });
  };
  if (self instanceof Text) return bind(TEXT, self);
  if (self instanceof List) return bind(LIST, self);
  return self instanceof Dict ? bind(DICT, self) : undefined;
}
