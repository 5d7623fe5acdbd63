import type { Budget } from "./budget.ts";
import { concat, Text } from "./text.ts";
import { compare, kindOf, List, Num, numberOf, toText, type Value } from "./values.ts";

const ORDERS: Readonly<Record<string, (difference: number) => boolean>> = {
  "<": (difference) => difference < 0,
  "<=": (difference) => difference <= 0,
  ">": (difference) => difference > 0,
  ">=": (difference) => difference >= 0,
};

const ARITHMETIC: Readonly<Record<string, (a: number, b: number) => number>> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "**": (a, b) => a ** b,
  "/": (a, b) => a / divisor(b),
  "//": (a, b) => Math.floor(a / divisor(b)),
  // The remainder has the sign of the divisor, as Python's.
  "%": (a, b) => a - b * Math.floor(a / divisor(b)),
};

function divisor(b: number): number {
  if (b === 0) throw new Error("a division by zero");
  return b;
}

/** The operators between two values, but for those of truth, equality and membership. */
export function operate(operator: string, a: Value, b: Value, budget: Budget): Value {
  if (operator === "~") return concat([toText(a, budget), toText(b, budget)], budget);
  const order = ORDERS[operator];
  if (order) {
    return order(compare(a, b, budget));
  }
  const arithmetic = ARITHMETIC[operator];
  const [m, n] = [numberOf(a), numberOf(b)];
  if (arithmetic && m && n) {
    const isFloat = m.isFloat || n.isFloat || operator === "/" || (operator === "**" && n.value < 0);
    return new Num(arithmetic(m.value, n.value), { isFloat, isTyped: m.isTyped || n.isTyped });
  }
  if (operator === "+") {
    if (a instanceof Text && b instanceof Text) return concat([a, b], budget);
    if (a instanceof List && b instanceof List && a.isTuple === b.isTuple) {
      budget.charge(a.items.length + b.items.length);
      return new List([...a.items, ...b.items], a.isTuple);
    }
  }
  if (operator === "*" && a instanceof Text && n) return repeatText(a, n.value, budget);
  if (operator === "*" && m && b instanceof Text) return repeatText(b, m.value, budget);
  if (operator === "*" && a instanceof List && n) {
    const times = Math.max(0, n.value);
    budget.charge((a.items.length + 1) * times);
    return new List(Array.from({ length: times }, () => a.items).flat(), a.isTuple);
  }
  throw new Error(`${kindOf(a)} ${operator} ${kindOf(b)} is not supported`);
}

function repeatText(text: Text, times: number, budget: Budget): Text {
  const count = Math.max(0, times);
  budget.chargeText(text.length * count);
  return new Text(text.value.repeat(count), text.origins.repeat(count));
}
