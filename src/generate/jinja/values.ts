import type { Budget } from "./budget.ts";
import { concat, join, ORIGIN, Text } from "./text.ts";

/** A value of a template; null is None and undefined is Jinja's Undefined. */
export type Value = Text | Num | List | Dict | Namespace | Callable | boolean | null | undefined;

/** An integer or a float, and whether it was made of what the messages say: its digits are theirs then. */
export class Num {
  readonly value: number;
  readonly isFloat: boolean;
  readonly isTyped: boolean;

  constructor(value: number, { isFloat = false, isTyped = false } = {}) {
    if (!isFloat && !Number.isSafeInteger(value)) throw new Error("an integer is beyond 2^53");
    this.value = value;
    this.isFloat = isFloat;
    this.isTyped = isTyped;
  }
}

/** A list or a tuple. */
export class List {
  readonly items: readonly Value[];
  readonly isTuple: boolean;
  constructor(items: readonly Value[], isTuple = false) {
    this.items = items;
    this.isTuple = isTuple;
  }
}

/** A mapping with strings for keys, in the order of their first setting. */
export class Dict {
  readonly entries: ReadonlyMap<string, { readonly key: Text; readonly value: Value }>;
  constructor(entries: Iterable<readonly [Text, Value]>) {
    this.entries = new Map([...entries].map(([key, value]) => [key.value, { key, value }]));
  }

  keys(): Text[] {
    return [...this.entries.values()].map(({ key }) => key);
  }

  items(): List {
    return new List([...this.entries.values()].map(({ key, value }) => new List([key, value], true)));
  }
}

/** What `namespace()` makes: the one thing that can be assigned to. */
export class Namespace {
  readonly fields: Map<string, Value>;
  constructor(fields: Map<string, Value>) {
    this.fields = fields;
  }
}

export interface Arguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** A function or a macro. */
export class Callable {
  readonly call: (args: Arguments) => Value;
  constructor(call: (args: Arguments) => Value) {
    this.call = call;
  }
}

/** How messages call a value. */
export function kindOf(value: Value): string {
  if (value === undefined) return "an undefined value";
  if (value === null) return "None";
  if (value instanceof Text) return "a string";
  if (value instanceof Num) return value.isFloat ? "a float" : "an integer";
  if (value instanceof List) return value.isTuple ? "a tuple" : "a list";
  if (value instanceof Dict) return "a mapping";
  return value instanceof Namespace ? "a namespace" : value instanceof Callable ? "a function" : "a boolean";
}

/** The steps that an operation takes over a value: see `Budget`. */
export function chargeFor(value: Value, budget: Budget): void {
  if (value instanceof Text) budget.chargeText(value.length);
  else if (value instanceof List) budget.charge(value.items.length);
  else if (value instanceof Dict) budget.charge(value.entries.size);
}

export function isTrue(value: Value): boolean {
  if (value instanceof Text) return value.length > 0;
  if (value instanceof Num) return value.value !== 0;
  if (value instanceof List) return value.items.length > 0;
  if (value instanceof Dict) return value.entries.size > 0;
  return value instanceof Namespace || value instanceof Callable || value === true;
}

/** A number or a boolean as a number; undefined for anything else. */
export function numberOf(value: Value): Num | undefined {
  return typeof value === "boolean" ? new Num(Number(value)) : value instanceof Num ? value : undefined;
}

/** Python's `==`: nothing equals a value of another kind, but for booleans, which are 0 and 1. */
export function equal(a: Value, b: Value, budget: Budget): boolean {
  budget.charge(1);
  const [m, n] = [numberOf(a), numberOf(b)];
  if (m && n) return m.value === n.value;
  if (a instanceof Text && b instanceof Text) {
    if (a.length === b.length) budget.chargeText(a.length);
    return a.value === b.value;
  }
  if (a instanceof List && b instanceof List) {
    if (a.isTuple !== b.isTuple || a.items.length !== b.items.length) return false;
    return budget.deeper(() => a.items.every((item, i) => equal(item, b.items[i], budget)));
  }
  if (a instanceof Dict && b instanceof Dict) {
    if (a.entries.size !== b.entries.size) return false;
    return budget.deeper(() =>
      [...a.entries].every(([key, { value }]) => {
        const other = b.entries.get(key);
        return other !== undefined && equal(value, other.value, budget);
      }),
    );
  }
  return a === b;
}

/** Python's order of numbers and of strings: negative, 0 or positive. */
export function compare(a: Value, b: Value, budget: Budget): number {
  const [m, n] = [numberOf(a), numberOf(b)];
  if (m && n) return m.value - n.value;
  if (a instanceof Text && b instanceof Text) {
    budget.charge(1);
    budget.chargeText(Math.min(a.length, b.length));
    return a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
  }
  throw new Error(`${kindOf(a)} and ${kindOf(b)} have no order`);
}

function numberText({ value, isFloat, isTyped }: Num): Text {
  const digits =
    isFloat && Number.isInteger(value) && Math.abs(value) < 1e16 ? value.toFixed(1) : String(value);
  return Text.of(digits, isTyped ? ORIGIN.message : ORIGIN.template);
}

/** Python's `str()`. */
export function toText(value: Value, budget: Budget): Text {
  if (value instanceof Text) return value;
  if (value === undefined) return Text.of("");
  return write(value, PYTHON, budget, 0);
}

interface JsonLayout {
  /** Spaces of one level; null keeps all in one line. */
  readonly indent: number | null;
  readonly separators: readonly [Text, Text] | undefined;
  readonly sortKeys: boolean;
}

/** JSON as Python's `json.dumps(…, ensure_ascii=False)` writes it. */
export function toJson(value: Value, { indent, separators, sortKeys }: JsonLayout, budget: Budget): Text {
  const item = Text.of(indent === null ? ", " : ",");
  const style: Style = {
    words: { none: "null", true: "true", false: "false" },
    quote: quoteJson,
    separators: separators ?? [item, Text.of(": ")],
    indent,
    sortKeys,
    tuple: ["[", "]"],
  };
  return write(value, style, budget, 0);
}

interface Style {
  readonly words: { readonly none: string; readonly true: string; readonly false: string };
  readonly quote: (text: Text, budget: Budget) => Text;
  readonly separators: readonly [Text, Text];
  readonly indent: number | null;
  readonly sortKeys: boolean;
  readonly tuple: readonly [string, string];
}

const PYTHON: Style = {
  words: { none: "None", true: "True", false: "False" },
  quote: quotePython,
  separators: [Text.of(", "), Text.of(": ")],
  indent: null,
  sortKeys: false,
  tuple: ["(", ")"],
};

/** What the texts around and between the items of a list or a mapping cost. */
const STEPS_PER_CONTAINER = 8;

function write(value: Value, style: Style, budget: Budget, level: number): Text {
  budget.charge(1);
  if (value instanceof Text) return style.quote(value, budget);
  if (value instanceof Num) return numberText(value);
  if (value === null) return Text.of(style.words.none);
  if (typeof value === "boolean") return Text.of(value ? style.words.true : style.words.false);
  const inner = (item: Value) => budget.deeper(() => write(item, style, budget, level + 1));
  const [separator, colon] = style.separators;
  if (value instanceof List) {
    const [open, close] = value.isTuple ? style.tuple : ["[", "]"];
    const end = value.isTuple && style === PYTHON && value.items.length === 1 ? `,${close}` : close;
    return enclose(open, value.items.map(inner), end);
  }
  if (value instanceof Dict) {
    const entries = [...value.entries.values()];
    if (style.sortKeys) entries.sort((a, b) => compare(a.key, b.key, budget));
    const pairs = entries.map((entry) =>
      concat([style.quote(entry.key, budget), colon, inner(entry.value)], budget),
    );
    return enclose("{", pairs, "}");
  }
  throw new Error(`${kindOf(value)} cannot be written`);

  function enclose(open: string, parts: Text[], close: string): Text {
    budget.charge(STEPS_PER_CONTAINER);
    if (style.indent === null || parts.length === 0) {
      return concat([Text.of(open), join(parts, separator, budget), Text.of(close)], budget);
    }
    const line = (depth: number) => {
      budget.chargeText(style.indent! * depth);
      return Text.of(`\n${" ".repeat(style.indent! * depth)}`);
    };
    const between = concat([separator, line(level + 1)], budget);
    const body = [line(level + 1), join(parts, between, budget), line(level)];
    return concat([Text.of(open), ...body, Text.of(close)], budget);
  }
}

const ESCAPED_JSON = /["\\\p{Cc}]/u;

/** Escapes are of whom they stand for, the quotes are the template's. */
function quoteJson(text: Text, budget: Budget): Text {
  budget.chargeText(text.length);
  const escaped = ESCAPED_JSON.test(text.value)
    ? text.map(budget, (point) => (ESCAPED_JSON.test(point) ? JSON.stringify(point).slice(1, -1) : point))
    : text;
  return concat([Text.of('"'), escaped, Text.of('"')], budget);
}

function quotePython(text: Text, budget: Budget): Text {
  const quote = text.value.includes("'") && !text.value.includes('"') ? '"' : "'";
  const names: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };
  const escaped = text.map(
    budget,
    (point) =>
      names[point] ??
      (point === quote
        ? `\\${quote}`
        : /\p{Cc}/u.test(point)
          ? `\\x${point.charCodeAt(0).toString(16).padStart(2, "0")}`
          : point),
  );
  const mark = Text.of(quote);
  return new Text(mark.value + escaped.value + mark.value, mark.origins + escaped.origins + mark.origins);
}
