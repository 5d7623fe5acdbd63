import { rangeOf } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import type { Node } from "./nodes.ts";
import { Text } from "./text.ts";
import { Callable, Dict, Namespace, Num, type Value } from "./values.ts";

/** Names and their values, and where to look for others. */
export class Scope {
  readonly values = new Map<string, Value>();
  readonly outer: Scope | undefined;

  constructor(outer?: Scope) {
    this.outer = outer;
  }

  get(name: string): Value {
    for (let scope: Scope | undefined = this; scope; scope = scope.outer) {
      if (scope.values.has(name)) return scope.values.get(name);
    }
    return undefined;
  }
}

/** How `break` and `continue` leave the blocks around them. */
export class LoopExit extends Error {
  readonly again: boolean;
  constructor(again: boolean) {
    super("break or continue is outside of a loop");
    this.again = again;
  }
}

/** What every template knows by name. */
export function builtins(budget: Budget): Readonly<Record<string, Value>> {
  return {
    ...{ true: true, True: true, false: false, False: false, none: null, None: null },
    range: new Callable((args) => rangeOf(args, (steps) => budget.charge(steps))),
    namespace: new Callable(({ named }) => new Namespace(new Map(named))),
    dict: new Callable(({ named }) => new Dict([...named].map(([key, value]) => [Text.of(key), value]))),
  };
}

/** The variable `loop` in round `i`, from 0. */
export function loopVariable(items: readonly Value[], i: number): Namespace {
  const { length } = items;
  const fields: Readonly<Record<string, Value>> = {
    index: new Num(i + 1),
    index0: new Num(i),
    revindex: new Num(length - i),
    revindex0: new Num(length - i - 1),
    first: i === 0,
    last: i === length - 1,
    length: new Num(length),
    previtem: items[i - 1],
    nextitem: items[i + 1],
    cycle: new Callable(({ positional }) => positional[i % positional.length]),
  };
  return new Namespace(new Map(Object.entries(fields)));
}

/** How messages call what an expression stands for. */
export function nameOfMember(node: Node): string {
  if (node.type === "Identifier") return node.value;
  if (node.type !== "MemberExpression") return "a value";
  const { property } = node;
  return property.type === "Identifier" || property.type === "StringLiteral" ? property.value : "an item";
}
