import { CheckpointError } from "../errors.ts";
import { show } from "../show.ts";
import { decodeText } from "./source.ts";

/**
 * The part of Python's pickle format (protocol 2) that a PyTorch state dict uses. A pickle is a program for a stack
 * machine that may call any function of any module; this machine knows the opcodes that build plain data, and calls nothing:
 * names of functions, calls and persistent ids go to `Builder`, which refuses what it does not know.
 */
export type PickleValue =
  | null
  | boolean
  | number
  | string
  | readonly PickleValue[]
  | Map<string, PickleValue>
  | Opaque;

/** Anything that a `Builder` made: the machine only hands it on. */
export interface Opaque {
  readonly kind: string;
}

export interface Builder {
  /** What the name `module.name` stands for. */
  global(name: string): Opaque;
  /** What a call of `callee` gives. */
  call(callee: Opaque, args: readonly PickleValue[]): PickleValue;
  /** What a persistent id, such as a storage, stands for. */
  persistent(id: PickleValue): Opaque;
}

/** Longest pickle that is believed: 403 tensors of a 13B model take 70 KB. */
export const PICKLE_LIMIT = 8 * 1024 * 1024;
/** Tuples, dicts and calls in one pickle; each tensor takes six. Single bytes could otherwise make gigabytes of them. */
const OBJECT_LIMIT = 1 << 19;

const MARK = Symbol("mark");
type Slot = PickleValue | typeof MARK;

/**
 * What a pickle builds.
 * @param what the pickle's name in messages
 * @throws CheckpointError for an opcode outside the list, a broken stack, or what the builder refuses. Time and memory
 * are linear in the length.
 */
export function readPickle(bytes: Uint8Array, what: string, builder: Builder): PickleValue {
  if (bytes.length > PICKLE_LIMIT) {
    throw new CheckpointError(`${what} has ${bytes.length} bytes; at most ${PICKLE_LIMIT} are believed.`);
  }
  return new Machine(bytes, what, builder).run();
}

class Machine {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly what: string;
  private readonly builder: Builder;
  private readonly stack: Slot[] = [];
  private readonly memo = new Map<number, PickleValue>();
  private at = 0;
  private objects = 0;

  constructor(bytes: Uint8Array, what: string, builder: Builder) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.what = what;
    this.builder = builder;
  }

  run(): PickleValue {
    while (true) {
      const opcode = this.byte();
      if (opcode === 0x2e) break; // STOP
      this.step(opcode);
    }
    const value = this.pop();
    if (this.stack.length > 0) this.fail(`leaves ${this.stack.length} values besides its result`);
    return value;
  }

  /** What the opcodes do of which a file that holds tensors is made. */
  private readonly steps: ReadonlyMap<number, () => void> = new Map([
    [0x80, () => this.protocol(this.byte())], // PROTO
    [0x28, () => this.stack.push(MARK)], // MARK
    [0x4e, () => this.stack.push(null)], // NONE
    [0x88, () => this.stack.push(true)], // NEWTRUE
    [0x89, () => this.stack.push(false)], // NEWFALSE
    [0x4a, () => this.stack.push(this.view.getInt32(this.take(4), true))], // BININT
    [0x4b, () => this.stack.push(this.byte())], // BININT1
    [0x4d, () => this.stack.push(this.view.getUint16(this.take(2), true))], // BININT2
    [0x8a, () => this.stack.push(this.long())], // LONG1
    [0x58, () => this.stack.push(this.text(this.word()))], // BINUNICODE
    [0x29, () => this.pushObject([])], // EMPTY_TUPLE
    [0x5d, () => this.pushObject([])], // EMPTY_LIST
    [0x74, () => this.pushObject(this.popToMark())], // TUPLE
    [0x85, () => this.pushObject(this.popSome(1))], // TUPLE1
    [0x86, () => this.pushObject(this.popSome(2))], // TUPLE2
    [0x87, () => this.pushObject(this.popSome(3))], // TUPLE3
    [0x7d, () => this.pushObject(new Map())], // EMPTY_DICT
    [0x73, () => this.setItems(this.popSome(2))], // SETITEM
    [0x75, () => this.setItems(this.popToMark())], // SETITEMS
    [0x71, () => this.memo.set(this.byte(), this.top())], // BINPUT
    [0x72, () => this.memo.set(this.word(), this.top())], // LONG_BINPUT
    [0x68, () => this.recall(this.byte())], // BINGET
    [0x6a, () => this.recall(this.word())], // LONG_BINGET
    [0x63, () => this.pushObject(this.builder.global(`${this.line()}.${this.line()}`))], // GLOBAL
    [0x51, () => this.pushObject(this.builder.persistent(this.pop()))], // BINPERSID
    [0x52, () => this.reduce()], // REDUCE
    [0x62, () => this.build()], // BUILD
  ]);

  private step(opcode: number): void {
    const step = this.steps.get(opcode);
    if (!step) {
      const hex = opcode.toString(16).padStart(2, "0");
      this.fail(`uses the opcode 0x${hex}, which is not one of those that hold tensors`);
    }
    step();
  }

  private protocol(version: number): void {
    if (version !== 2) this.fail(`is of protocol ${version}; wanted 2, PyTorch's default`);
    if (this.at !== 2) this.fail("begins twice");
  }

  private reduce(): void {
    const args = this.pop();
    const callee = this.pop();
    if (!Array.isArray(args) || !isOpaque(callee)) this.fail("calls something that is no function");
    this.pushObject(this.builder.call(callee, args));
  }

  /** A state dict carries its modules' version numbers as an attribute; nothing here needs them. */
  private build(): void {
    this.pop();
    if (!(this.top() instanceof Map)) this.fail("sets attributes of something other than a dict");
  }

  private setItems(items: readonly PickleValue[]): void {
    const dict = this.top();
    if (!(dict instanceof Map)) this.fail("sets items of something other than a dict");
    if (items.length % 2 !== 0) this.fail("sets a key without a value");
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i];
      if (typeof key !== "string") this.fail(`has a dict key that is ${describe(key!)}; wanted a name`);
      if (dict.has(key)) this.fail(`sets the key ${show(key)} twice`);
      dict.set(key, items[i + 1]!);
    }
  }

  private recall(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) this.fail(`recalls the value ${index}, which it never kept`);
    this.stack.push(value);
  }

  private pushObject(value: PickleValue): void {
    if (++this.objects > OBJECT_LIMIT) this.fail(`builds more than ${OBJECT_LIMIT} objects`);
    this.stack.push(value);
  }

  private pop(): PickleValue {
    const value = this.top();
    this.stack.pop();
    return value;
  }

  private top(): PickleValue {
    const value = this.stack.at(-1);
    if (value === undefined || value === MARK) this.fail("takes a value from an empty stack");
    return value;
  }

  private popSome(count: number): PickleValue[] {
    const values = this.stack.splice(Math.max(0, this.stack.length - count));
    if (values.length < count || values.includes(MARK)) this.fail("takes a value from an empty stack");
    return values as PickleValue[];
  }

  private popToMark(): PickleValue[] {
    const mark = this.stack.lastIndexOf(MARK);
    if (mark < 0) this.fail("takes values down to a mark that it never set");
    const values = this.stack.splice(mark + 1) as PickleValue[];
    this.stack.pop();
    return values;
  }

  private byte(): number {
    return this.bytes[this.take(1)]!;
  }

  private word(): number {
    return this.view.getUint32(this.take(4), true);
  }

  /** Numbers beyond 32 bits: the length of a storage of more than 2^31 elements. */
  private long(): number {
    const length = this.byte();
    if (length > 8) this.fail(`holds an integer of ${length} bytes`);
    const start = this.take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.bytes[start + i]!);
    value = BigInt.asIntN(8 * length, value);
    const number = Number(value);
    if (!Number.isSafeInteger(number)) this.fail(`holds the integer ${value}`);
    return number;
  }

  private text(length: number): string {
    const start = this.take(length);
    return decodeText(this.bytes.subarray(start, start + length), `A name in ${this.what}`);
  }

  private line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) this.fail("ends inside a name");
    const text = this.text(end - this.at);
    this.at++;
    return text;
  }

  /** Moves on by `length` bytes and returns where they begin. */
  private take(length: number): number {
    const start = this.at;
    if (start + length > this.bytes.length) this.fail("ends too early");
    this.at = start + length;
    return start;
  }

  private fail(reason: string): never {
    throw new CheckpointError(
      `${this.what} ${reason} (byte ${this.at} of ${this.bytes.length}): it is damaged or does not hold plain ` +
        `tensors, and nothing else is read from a pickle.`,
    );
  }
}

export function isOpaque(value: PickleValue | undefined): value is Opaque {
  return typeof value === "object" && value !== null && "kind" in value;
}

/** For messages: what kind of thing a value is. */
export function describe(value: PickleValue): string {
  if (value === null) return "None";
  if (Array.isArray(value)) return "a list or tuple";
  if (value instanceof Map) return "a dict";
  if (isOpaque(value)) return `a ${value.kind}`;
  return `the ${typeof value} ${String(value).slice(0, 100)}`;
}
