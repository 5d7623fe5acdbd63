import { Text } from "./text.ts";
import { type Arguments, isTrue, kindOf, List, Num, type Value } from "./values.ts";

/** The arguments of one call by the names of its parameters. */
export class Bound {
  /** What messages call the function. */
  readonly what: string;
  private readonly values: ReadonlyMap<string, Value>;

  /** @throws Error for arguments that the function does not have. */
  constructor(what: string, parameters: readonly string[], { positional, named }: Arguments) {
    if (positional.length > parameters.length) {
      throw new Error(`${what} takes at most ${parameters.length} arguments; found ${positional.length}`);
    }
    const values = new Map(positional.map((value, i) => [parameters[i]!, value]));
    for (const [name, value] of named) {
      if (!parameters.includes(name) || values.has(name)) throw new Error(`${what} cannot take ${name}`);
      values.set(name, value);
    }
    this.what = what;
    this.values = values;
  }

  has(name: string): boolean {
    return this.values.has(name);
  }

  value(name: string): Value {
    return this.values.get(name);
  }

  text(name: string): Text;
  text(name: string, missing: Text | undefined): Text | undefined;
  text(name: string, ...missing: [] | [Text | undefined]): Text | undefined {
    if (missing.length > 0 && (this.value(name) ?? null) === null) return missing[0];
    const value = this.value(name);
    if (value instanceof Text) return value;
    throw new Error(`${this.what} has ${kindOf(value)} for ${name}; wanted a string`);
  }

  integer(name: string, missing: number): number {
    const value = this.value(name);
    if ((value ?? null) === null) return missing;
    if (value instanceof Num && !value.isFloat) return value.value;
    throw new Error(`${this.what} has ${kindOf(value)} for ${name}; wanted an integer`);
  }

  flag(name: string, missing = false): boolean {
    return this.has(name) ? isTrue(this.value(name)) : missing;
  }
}

/** The integers from `start` to before `stop`, or with one argument from 0 to it. */
export function rangeOf(args: Arguments, charge: (steps: number) => void): List {
  const bound = new Bound("range()", ["start", "stop", "step"], args);
  const first = bound.integer("start", 0);
  const [start, stop] = bound.has("stop") ? [first, bound.integer("stop", 0)] : [0, first];
  const step = bound.integer("step", 1);
  if (step === 0) throw new Error("range() has a step of 0");
  const count = Math.max(0, Math.ceil((stop - start) / step));
  charge(count);
  const isTyped = args.positional.some((value) => value instanceof Num && value.isTyped);
  return new List(Array.from({ length: count }, (_, i) => new Num(start + i * step, { isTyped })));
}
