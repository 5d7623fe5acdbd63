import { Bound } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { applyFilter } from "./filters.ts";
import type { BinaryNode, CallNode, FilterNode, MacroNode, Node } from "./nodes.ts";
import { operate } from "./operators.ts";
import { partOf, sliceOf } from "./parts.ts";
import { builtins, LoopExit, loopVariable, nameOfMember, Scope } from "./scope.ts";
import { applyTest, contains, itemsOf } from "./tests.ts";
import { concat, Text } from "./text.ts";
import {
  type Arguments,
  Callable,
  chargeFor,
  Dict,
  equal,
  isTrue,
  kindOf,
  List,
  Namespace,
  Num,
  toText,
  type Value,
} from "./values.ts";

/** What a round of a loop costs besides its body: a scope and the variable `loop`. */
const STEPS_PER_ROUND = 8;

type For = Extract<Node, { type: "For" }>;
type Set = Extract<Node, { type: "Set" }>;
type Member = Extract<Node, { type: "MemberExpression" }>;

/** Renders parsed templates as Python's Jinja does, over texts that know who wrote them, within a budget. */
export class Interpreter {
  private readonly budget: Budget;

  constructor(budget: Budget) {
    this.budget = budget;
  }

  /** @throws Error when the template fails, and whatever `variables` and the budget throw. */
  run(program: Node, variables: Readonly<Record<string, Value>>): Text {
    if (program.type !== "Program") throw new Error("it is no template");
    const globals = new Scope();
    for (const [name, value] of Object.entries({ ...builtins(this.budget), ...variables })) {
      globals.values.set(name, value);
    }
    return this.capture(program.body, new Scope(globals));
  }

  /** The text that statements write. */
  private capture(body: readonly Node[], scope: Scope): Text {
    const out: Text[] = [];
    this.write(body, scope, out);
    return concat(out, this.budget);
  }

  private write(body: readonly Node[], scope: Scope, out: Text[]): void {
    for (const node of body) this.budget.deeper(() => this.statement(node, scope, out));
  }

  private statement(node: Node, scope: Scope, out: Text[]): void {
    this.budget.charge(1);
    switch (node.type) {
      case "Comment":
        return;
      case "If":
        this.write(isTrue(this.value(node.test, scope)) ? node.body : node.alternate, scope, out);
        return;
      case "For":
        this.loop(node, scope, out);
        return;
      case "Break":
      case "Continue":
        throw new LoopExit(node.type === "Continue");
      case "Set":
        this.assign(node, scope);
        return;
      case "Macro":
        scope.values.set(node.name.value, this.macro(node, scope));
        return;
      case "CallStatement": {
        const caller = this.macro({ args: node.callerArgs ?? [], body: node.body }, scope);
        out.push(toText(this.call(node.call, scope, new Map([["caller", caller]])), this.budget));
        return;
      }
      case "FilterStatement":
        out.push(toText(this.filter(this.capture(node.body, scope), node.filter, scope), this.budget));
        return;
      default:
        out.push(toText(this.value(node, scope), this.budget));
    }
  }

  private loop(node: For, scope: Scope, out: Text[]): void {
    const { iterable, loopvar } = node;
    const selects = iterable.type === "SelectExpression";
    const all = this.value(selects ? iterable.lhs : iterable, scope);
    chargeFor(all, this.budget);
    const enter = (item: Value) => {
      this.budget.charge(STEPS_PER_ROUND);
      const inner = new Scope(scope);
      this.bind(loopvar, item, inner);
      return inner;
    };
    const items = selects
      ? itemsOf(all, this.budget).filter((item) => isTrue(this.value(iterable.test, enter(item))))
      : itemsOf(all, this.budget);
    if (items.length === 0) this.write(node.defaultBlock, new Scope(scope), out);
    for (const [i, item] of items.entries()) {
      const inner = enter(item);
      inner.values.set("loop", loopVariable(items, i));
      try {
        this.write(node.body, inner, out);
      } catch (exit) {
        if (!(exit instanceof LoopExit)) throw exit;
        if (!exit.again) return;
      }
    }
  }

  private assign({ assignee, value, body }: Set, scope: Scope): void {
    const assigned = value ? this.value(value, scope) : this.capture(body, scope);
    if (assignee.type !== "MemberExpression") {
      this.bind(assignee, assigned, scope);
      return;
    }
    const object = this.value(assignee.object, scope);
    if (!(object instanceof Namespace) || assignee.property.type !== "Identifier") {
      throw new Error("only attributes of a namespace can be set");
    }
    object.fields.set(assignee.property.value, assigned);
  }

  /** One name, or several for the items of a list. */
  private bind(target: Node, value: Value, scope: Scope): void {
    if (target.type === "Identifier") {
      scope.values.set(target.value, value);
      return;
    }
    if (target.type !== "TupleLiteral") throw new Error("only names can be set");
    const items = itemsOf(value, this.budget);
    if (items.length !== target.value.length) {
      throw new Error(`${target.value.length} names are set to ${items.length} values`);
    }
    for (const [i, name] of target.value.entries()) this.bind(name, items[i], scope);
  }

  private macro({ args, body }: Pick<MacroNode, "args" | "body">, scope: Scope): Callable {
    const parameters = args.map((arg) => {
      const [name, missing] =
        arg.type === "KeywordArgumentExpression" ? [arg.key, arg.value] : [arg, undefined];
      if (name.type !== "Identifier") throw new Error("a macro has a parameter without a name");
      return { name: name.value, missing };
    });
    const names = parameters.map(({ name }) => name);
    return new Callable(({ positional, named }) => {
      const { caller, ...others } = Object.fromEntries(named);
      const bound = new Bound("the macro", names, { positional, named: new Map(Object.entries(others)) });
      const inner = new Scope(scope);
      inner.values.set("caller", caller);
      for (const { name, missing } of parameters) {
        const value = bound.has(name) || !missing ? bound.value(name) : this.value(missing, inner);
        inner.values.set(name, value);
      }
      return this.capture(body, inner);
    });
  }

  private value(node: Node, scope: Scope): Value {
    this.budget.charge(1);
    return this.budget.deeper(() => this.evaluate(node, scope));
  }

  private evaluate(node: Node, scope: Scope): Value {
    const of = (inner: Node) => this.value(inner, scope);
    switch (node.type) {
      case "StringLiteral":
        return Text.of(node.value);
      case "IntegerLiteral":
      case "FloatLiteral":
        return new Num(node.value, { isFloat: node.type === "FloatLiteral" });
      case "ArrayLiteral":
      case "TupleLiteral":
        return new List(node.value.map(of), node.type === "TupleLiteral");
      case "ObjectLiteral":
        return new Dict([...node.value].map(([key, value]) => [this.key(key, scope), of(value)]));
      case "Identifier":
        return scope.get(node.value);
      case "CallExpression":
        return this.call(node, scope);
      case "MemberExpression":
        return this.member(node, scope);
      case "UnaryExpression": {
        const operand = of(node.argument);
        if (node.operator.value === "not") return !isTrue(operand);
        return operate(node.operator.value, new Num(0), operand, this.budget);
      }
      case "BinaryExpression":
        return this.binary(node, scope);
      case "FilterExpression":
        return this.filter(of(node.operand), node.filter, scope);
      case "TestExpression": {
        const holds = applyTest(node.test.value, of(node.operand), [], this.budget);
        return holds !== node.negate;
      }
      case "SelectExpression":
        return isTrue(of(node.test)) ? of(node.lhs) : undefined;
      case "Ternary":
        return isTrue(of(node.condition)) ? of(node.trueExpr) : of(node.falseExpr);
      default:
        throw new Error(`${node.type} is not supported here`);
    }
  }

  private key(node: Node, scope: Scope): Text {
    const key = this.value(node, scope);
    if (key instanceof Text) return key;
    throw new Error(`a mapping has ${kindOf(key)} for a key; wanted a string`);
  }

  private binary({ operator, left, right }: BinaryNode, scope: Scope): Value {
    const a = this.value(left, scope);
    if (operator.value === "and") return isTrue(a) ? this.value(right, scope) : a;
    if (operator.value === "or") return isTrue(a) ? a : this.value(right, scope);
    const b = this.value(right, scope);
    switch (operator.value) {
      case "==":
      case "!=":
        chargeFor(a, this.budget);
        return equal(a, b, this.budget) === (operator.value === "==");
      case "in":
      case "not in":
        return contains(b, a, this.budget) === (operator.value === "in");
      default:
        return operate(operator.value, a, b, this.budget);
    }
  }

  private arguments(nodes: readonly Node[], scope: Scope): Arguments {
    const positional: Value[] = [];
    const named = new Map<string, Value>();
    for (const node of nodes) {
      if (node.type === "KeywordArgumentExpression") named.set(node.key.value, this.value(node.value, scope));
      else if (node.type === "SpreadExpression") {
        const items = itemsOf(this.value(node.argument, scope), this.budget);
        this.budget.charge(items.length);
        for (const item of items) positional.push(item);
      } else if (node.type === "KeywordSpreadExpression") {
        const mapping = this.value(node.argument, scope);
        if (!(mapping instanceof Dict)) throw new Error("** needs a mapping");
        for (const [name, { value }] of mapping.entries) named.set(name, value);
      } else positional.push(this.value(node, scope));
    }
    return { positional, named };
  }

  private call(
    { callee, args }: CallNode,
    scope: Scope,
    extra: ReadonlyMap<string, Value> = new Map(),
  ): Value {
    const called = this.value(callee, scope);
    if (!(called instanceof Callable)) {
      throw new Error(`${nameOfMember(callee)} is ${kindOf(called)} and cannot be called`);
    }
    const { positional, named } = this.arguments(args, scope);
    return called.call({ positional, named: new Map([...named, ...extra]) });
  }

  private filter(value: Value, filter: FilterNode, scope: Scope): Value {
    const [name, args] = filter.type === "Identifier" ? [filter, []] : [filter.callee, filter.args];
    if (name.type !== "Identifier") throw new Error("a filter has no name");
    return applyFilter(name.value, value, this.arguments(args, scope), this.budget);
  }

  private member({ object, property, computed }: Member, scope: Scope): Value {
    const of = this.value(object, scope);
    if (of === undefined) throw new Error(`${nameOfMember(object)} is undefined and has no parts`);
    if (property.type === "SliceExpression") {
      const bounds = [property.start, property.stop, property.step].map(
        (bound) => bound && this.value(bound, scope),
      );
      return sliceOf(of, bounds, this.budget);
    }
    const isName = !computed && property.type === "Identifier";
    const key = isName ? Text.of(property.value) : this.value(property, scope);
    return partOf(of, key, computed, this.budget);
  }
}
