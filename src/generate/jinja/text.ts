import type { Budget } from "./budget.ts";

/** Who wrote a character: the template, the messages, or nobody (the mark of a boundary). */
export const ORIGIN = { template: "t", message: "m", boundary: "|" } as const;
type Origin = (typeof ORIGIN)[keyof typeof ORIGIN];

export interface Sides {
  readonly left: boolean;
  readonly right: boolean;
}

/** A text that knows of each of its UTF-16 units who wrote it, whatever a template does with it. */
export class Text {
  readonly value: string;
  /** As long as `value`: the origin of each unit. */
  readonly origins: string;

  constructor(value: string, origins: string) {
    this.value = value;
    this.origins = origins;
  }

  static of(value: string, origin: Origin = ORIGIN.template): Text {
    return new Text(value, origin.repeat(value.length));
  }

  get length(): number {
    return this.value.length;
  }

  /** Whether any of it comes from the messages. */
  get isTyped(): boolean {
    return this.origins.includes(ORIGIN.message);
  }

  /** By UTF-16 units, from 0 to the length. */
  slice(start: number, end: number = this.length): Text {
    return new Text(this.value.slice(start, end), this.origins.slice(start, end));
  }

  /** How many characters it has, as Python counts them: code points. */
  get pointCount(): number {
    let count = 0;
    for (let at = 0; at < this.length; count++) at += this.value.codePointAt(at)! > 0xffff ? 2 : 1;
    return count;
  }

  /** Its characters. */
  points(budget: Budget): Text[] {
    budget.charge(this.length);
    let at = 0;
    return Array.from(this.value, (point) => {
      at += point.length;
      return this.slice(at - point.length, at);
    });
  }

  /** Each code point through `convert`; what comes of one has its origin. */
  map(budget: Budget, convert: (point: string) => string): Text {
    budget.charge(this.length);
    const parts = this.points(budget).map((point) => {
      const converted = convert(point.value);
      return new Text(
        converted,
        (point.isTyped ? ORIGIN.message : point.origins[0]!).repeat(converted.length),
      );
    });
    return new Text(parts.map(({ value }) => value).join(""), parts.map(({ origins }) => origins).join(""));
  }

  upper(budget: Budget): Text {
    return this.withCase(budget, this.value.toUpperCase(), (point) => point.toUpperCase());
  }

  lower(budget: Budget): Text {
    return this.withCase(budget, this.value.toLowerCase(), (point) => point.toLowerCase());
  }

  /** Letters depend on their neighbours (a final sigma); where the length changes, each is taken alone. */
  private withCase(budget: Budget, whole: string, convert: (point: string) => string): Text {
    budget.chargeText(this.length);
    return whole.length === this.length ? new Text(whole, this.origins) : this.map(budget, convert);
  }

  /** Without the characters of `set` at its ends; Python's white space by default. */
  strip(set: string | undefined, { left, right }: Sides, budget: Budget): Text {
    budget.chargeSearch(this, set ?? "");
    const goes = (unit: string) => (set === undefined ? isSpace(unit) : set.includes(unit));
    let [start, end] = [0, this.length];
    while (left && start < end && goes(this.value[start]!)) start++;
    while (right && end > start && goes(this.value[end - 1]!)) end--;
    return this.slice(start, end);
  }

  /** What is between the occurrences of `separator`, cut at most `most` times from the left. */
  split(separator: string, most: number, budget: Budget): Text[] {
    budget.chargeSearch(this, separator);
    const parts: Text[] = [];
    let start = 0;
    for (let found = this.value.indexOf(separator); found >= 0 && parts.length < most; ) {
      budget.charge(1);
      parts.push(this.slice(start, found));
      start = found + separator.length;
      found = this.value.indexOf(separator, start);
    }
    return [...parts, this.slice(start)];
  }

  /** As `split`, cut from the right. */
  splitRight(separator: string, most: number, budget: Budget): Text[] {
    const all = this.split(separator, Infinity, budget);
    const kept = Math.max(0, all.length - 1 - most);
    const head = all
      .slice(0, kept + 1)
      .reduce((length, part) => length + part.length, kept * separator.length);
    return [this.slice(0, head), ...all.slice(kept + 1)];
  }

  /** Its words: what is between runs of white space, cut at most `most` times; the rest keeps its own spaces. */
  words(most: number, budget: Budget): Text[] {
    budget.charge(this.length);
    const parts: Text[] = [];
    let at = 0;
    for (;;) {
      while (at < this.length && isSpace(this.value[at]!)) at++;
      if (at === this.length) return parts;
      if (parts.length >= most) return [...parts, this.slice(at)];
      const start = at;
      while (at < this.length && !isSpace(this.value[at]!)) at++;
      parts.push(this.slice(start, at));
    }
  }

  /** The first `most` occurrences of `old` as `by`; an empty `old` is between all characters. */
  replace(old: string, by: Text, most: number, budget: Budget): Text {
    const empty = Text.of("");
    const parts = old === "" ? [empty, ...this.points(budget), empty] : this.split(old, most, budget);
    if (old !== "" || most >= parts.length - 1) return join(parts, by, budget);
    const cut = parts.slice(0, most).flatMap((part) => [part, by]);
    return join([...cut, ...parts.slice(most)], empty, budget);
  }
}

/** The parts with `separator` between them. It is charged before it is made: parts and separators multiply. */
export function join(parts: readonly Text[], separator: Text, budget: Budget): Text {
  budget.charge(parts.length);
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  budget.chargeText(length + separator.length * Math.max(0, parts.length - 1));
  return new Text(
    parts.map(({ value }) => value).join(separator.value),
    parts.map(({ origins }) => origins).join(separator.origins),
  );
}

export function concat(parts: readonly Text[], budget: Budget): Text {
  return join(parts, Text.of(""), budget);
}

// White space as Python's str.strip() has it: JavaScript's trim() strips U+FEFF too, but not 0x1C to 0x1F and 0x85.
const SPACES = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const SPACE = new RegExp(`[${SPACES}]`);

function isSpace(unit: string): boolean {
  return SPACE.test(unit);
}
