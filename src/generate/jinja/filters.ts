import { Bound } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { type Change, capitalized, type Method, TEXT } from "./methods.ts";
import { applyTest, itemsOf } from "./tests.ts";
import { concat, join, Text } from "./text.ts";
import {
  type Arguments,
  chargeFor,
  compare,
  Dict,
  equal,
  isTrue,
  kindOf,
  List,
  Namespace,
  Num,
  numberOf,
  toJson,
  toText,
  type Value,
} from "./values.ts";

type Filter = (self: Value, args: Arguments, budget: Budget) => Value;

/** A filter of texts, which others are written as first, as Jinja does. */
function ofText(...[names, change]: Method<Text>): Filter {
  return (self, args, budget) => change(toText(self, budget), new Bound("the filter", names, args), budget);
}

function ofItems(names: readonly string[], change: Change<readonly Value[]>): Filter {
  return (self, args, budget) => change(itemsOf(self, budget), new Bound("the filter", names, args), budget);
}

function lengthOf(self: Value): Num {
  if (self instanceof Text) return new Num(self.pointCount, { isTyped: self.isTyped });
  if (self === undefined || self instanceof List || self instanceof Dict) {
    return new Num(self instanceof Dict ? self.entries.size : (self?.items.length ?? 0));
  }
  throw new Error(`${kindOf(self)} has no length`);
}

/** Of a number or of the number that a text begins as; a text that is none gives the default. */
function toNumber(isFloat: boolean): Filter {
  return (self, args) => {
    const bound = new Bound("the filter", ["default"], args);
    const given = numberOf(self);
    const isTyped = self instanceof Text ? self.isTyped : (given?.isTyped ?? false);
    const text = self instanceof Text ? self.value.trim() : "";
    const value =
      given?.value ?? (/^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined);
    if (value !== undefined) return new Num(isFloat ? value : Math.trunc(value), { isFloat, isTyped });
    return bound.has("default") ? bound.value("default") : new Num(0, { isFloat });
  };
}

function attributeOf(value: Value, path: string, budget: Budget): Value {
  budget.charge(path.length);
  return path.split(".").reduce<Value>((inner, name) => {
    if (inner instanceof Dict) return inner.entries.get(name)?.value;
    return inner instanceof Namespace ? inner.fields.get(name) : undefined;
  }, value);
}

/** select and its kin: those items of which a test holds, or does not. */
function choosing(by: "item" | "attribute", wanted: boolean): Filter {
  return (self, { positional, named }, budget) => {
    if (named.size > 0) throw new Error("the filter takes no named arguments");
    const [path, rest] = by === "item" ? [undefined, positional] : [positional[0], positional.slice(1)];
    if (by === "attribute" && !(path instanceof Text))
      throw new Error("the filter needs an attribute's name");
    const [name, ...operands] = rest;
    if (name !== undefined && !(name instanceof Text)) throw new Error("the filter needs a test's name");
    const chosen = itemsOf(self, budget).filter((item) => {
      const value = path instanceof Text ? attributeOf(item, path.value, budget) : item;
      const holds = name === undefined ? isTrue(value) : applyTest(name.value, value, operands, budget);
      return holds === wanted;
    });
    return new List(chosen);
  };
}

/** What two items are compared by: without case, and by an attribute where one is named. */
function sortKey(bound: Bound, budget: Budget): (item: Value) => Value {
  const attribute = bound.text("attribute", undefined)?.value;
  const caseless = !bound.flag("case_sensitive");
  return (item) => {
    const value = attribute === undefined ? item : attributeOf(item, attribute, budget);
    return caseless && value instanceof Text ? value.lower(budget) : value;
  };
}

function sorted(
  items: readonly Value[],
  key: (item: Value) => Value,
  reverse: boolean,
  budget: Budget,
): Value[] {
  const keyed = items.map((item) => ({ item, key: key(item) }));
  keyed.sort((a, b) => (reverse ? -1 : 1) * compare(a.key, b.key, budget));
  return keyed.map(({ item }) => item);
}

const FILTERS: Readonly<Record<string, Filter>> = {
  safe: (self) => self,
  string: ofText([], (self) => self),
  trim: ofText(...TEXT.strip),
  upper: ofText(...TEXT.upper),
  lower: ofText(...TEXT.lower),
  capitalize: ofText(...TEXT.capitalize),
  replace: ofText(...TEXT.replace),
  // Words begin behind white space and opening brackets, unlike those of the method of this name.
  title: ofText(...capitalized(/[-\s({[<]/)),
  indent: ofText(["width", "first", "blank"], (self, bound, budget) => {
    const width = bound.value("width");
    const spaces = bound.integer("width", 4);
    if (width instanceof Num) budget.chargeText(Math.abs(spaces));
    const margin = Text.of(" ".repeat(Math.max(0, spaces)));
    const [first, blank] = [bound.flag("first"), bound.flag("blank")];
    const lines = self.split("\n", Infinity, budget).map((line, i) => {
      const indents = i === 0 ? first : blank || line.length > 0;
      return indents ? concat([margin, line], budget) : line;
    });
    return join(lines, Text.of("\n"), budget);
  }),
  length: lengthOf,
  int: toNumber(false),
  float: toNumber(true),
  abs(self) {
    const number = numberOf(self);
    if (!number) throw new Error(`${kindOf(self)} has no absolute value`);
    return new Num(Math.abs(number.value), number);
  },
  default(self, args) {
    const bound = new Bound("the filter", ["default_value", "boolean"], args);
    const missing = self === undefined || (bound.flag("boolean") && !isTrue(self));
    return missing ? (bound.has("default_value") ? bound.value("default_value") : Text.of("")) : self;
  },
  list: ofItems([], (items) => new List(items)),
  first: ofItems([], (items) => items[0]),
  last: ofItems([], (items) => items.at(-1)),
  reverse: (self, args, budget) => {
    const items = ofItems([], (all) => new List(all.toReversed()))(self, args, budget);
    return self instanceof Text && items instanceof List ? concat(items.items as Text[], budget) : items;
  },
  join: ofItems(["d", "attribute"], (items, bound, budget) => {
    const attribute = bound.text("attribute", undefined)?.value;
    const parts = items.map((item) => {
      return toText(attribute === undefined ? item : attributeOf(item, attribute, budget), budget);
    });
    return join(parts, bound.text("d", Text.of(""))!, budget);
  }),
  items: (self, _, budget) => (self instanceof Dict ? self.items() : new List(itemsOf(self, budget))),
  dictsort(self, args, budget) {
    if (!(self instanceof Dict)) throw new Error(`${kindOf(self)} is no mapping`);
    const bound = new Bound("dictsort", ["case_sensitive", "by", "reverse", "attribute"], args);
    const place = bound.text("by", Text.of("key"))!.value === "value" ? 1 : 0;
    const key = sortKey(bound, budget);
    const pairs = self.items().items;
    return new List(sorted(pairs, (pair) => key((pair as List).items[place]), bound.flag("reverse"), budget));
  },
  sort: ofItems(
    ["reverse", "case_sensitive", "attribute"],
    (items, bound, budget) => new List(sorted(items, sortKey(bound, budget), bound.flag("reverse"), budget)),
  ),
  unique: ofItems(["case_sensitive", "attribute"], (items, bound, budget) => {
    const key = sortKey(bound, budget);
    const kept: { item: Value; key: Value }[] = [];
    for (const item of items) {
      const candidate = { item, key: key(item) };
      if (!kept.some((other) => equal(other.key, candidate.key, budget))) kept.push(candidate);
    }
    return new List(kept.map(({ item }) => item));
  }),
  map(self, { positional, named }, budget) {
    const items = itemsOf(self, budget);
    const attribute = named.get("attribute");
    if (attribute instanceof Text) {
      return new List(
        items.map((item) => attributeOf(item, attribute.value, budget) ?? named.get("default")),
      );
    }
    const [name, ...rest] = positional;
    if (!(name instanceof Text)) throw new Error("map needs a filter's name or an attribute");
    return new List(items.map((item) => applyFilter(name.value, item, { positional: rest, named }, budget)));
  },
  select: choosing("item", true),
  reject: choosing("item", false),
  selectattr: choosing("attribute", true),
  rejectattr: choosing("attribute", false),
  tojson(self, args, budget) {
    const bound = new Bound("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"], args);
    if (bound.flag("ensure_ascii")) throw new Error("tojson with ensure_ascii is not supported");
    const pair = bound.value("separators");
    const separators = pair instanceof List ? pair.items : [];
    const [item, key] = separators;
    if (pair !== undefined && pair !== null && !(item instanceof Text && key instanceof Text)) {
      throw new Error("tojson has separators that are no two strings");
    }
    return toJson(
      self,
      {
        indent: (bound.value("indent") ?? null) === null ? null : bound.integer("indent", 0),
        separators: item instanceof Text && key instanceof Text ? [item, key] : undefined,
        sortKeys: bound.flag("sort_keys"),
      },
      budget,
    );
  },
};

const ALIASES: Readonly<Record<string, string>> = { count: "length", d: "default" };

/** @throws Error for a filter that there is none of, or that cannot be applied. */
export function applyFilter(name: string, self: Value, args: Arguments, budget: Budget): Value {
  const known = ALIASES[name] ?? name;
  const filter = Object.hasOwn(FILTERS, known) ? FILTERS[known] : undefined;
  if (!filter) throw new Error(`there is no filter "${name}" here`);
  budget.charge(1);
  chargeFor(self, budget);
  const result = filter(self, args, budget);
  chargeFor(result, budget);
  return result;
}
