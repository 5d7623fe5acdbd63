import { describe, expect, test } from "vitest";
import { type Builder, isOpaque, type PickleValue, readPickle } from "../../src/checkpoint/pickle.ts";
import { CheckpointError } from "../../src/errors.ts";
import { op, pickle } from "./torch-file.ts";

/** A builder that writes down what it was asked for. */
const builder: Builder = {
  global: (name) => ({ kind: `name ${name}` }),
  call: (callee, args) => [callee.kind, ...args],
  persistent: (id) => ({ kind: `id ${id}` }),
};
const read = (...pieces: Parameters<typeof pickle>): PickleValue =>
  readPickle(pickle(...pieces, op.STOP), "data.pkl", builder);

const BINPUT = 0x71;
const BINGET = 0x68;
const LONG_BINPUT = 0x72;
const LONG_BINGET = 0x6a;

describe("plain data", () => {
  test.each<[string, (number | readonly number[])[], PickleValue]>([
    ["None", [op.NONE], null],
    ["True", [0x88], true],
    ["False", [op.FALSE], false],
    ["BININT1", [0x4b, 255], 255],
    ["BININT2", [0x4d, 0xff, 0xff], 65535],
    ["BININT", [0x4a, 0xfe, 0xff, 0xff, 0xff], -2],
    ["LONG1 of no bytes", [0x8a, 0], 0],
    ["LONG1 of one byte", [0x8a, 1, 0xff], -1],
    ["LONG1 of five bytes", [0x8a, 5, 0, 0, 0, 0x80, 0], 2 ** 31],
    ["a string", [op.text("子牙")], "子牙"],
    ["the empty tuple", [op.EMPTY_TUPLE], []],
    ["a list", [0x5d], []],
    ["a tuple", [op.MARK, op.NONE, op.FALSE, op.TUPLE], [null, false]],
    [
      "one, two and three",
      [op.NONE, op.TUPLE1, op.NONE, 0x86, op.NONE, op.NONE, 0x87],
      [[[null], null], null, null],
    ],
  ])("%s", (_, pieces, value) => {
    expect(read(op.PROTO2, ...pieces)).toEqual(value);
  });

  test("dicts, by one item and by many", () => {
    const dict = read(
      op.PROTO2,
      op.EMPTY_DICT,
      op.text("a"),
      op.NONE,
      op.SETITEM,
      op.MARK,
      op.text("b"),
      op.FALSE,
      op.SETITEMS,
    );
    expect(dict).toEqual(
      new Map<string, PickleValue>([
        ["a", null],
        ["b", false],
      ]),
    );
  });

  test("what was kept is recalled", () => {
    expect(read(op.text("x"), BINPUT, 7, BINGET, 7, 0x86)).toEqual(["x", "x"]);
    expect(read(op.text("x"), LONG_BINPUT, [1, 1, 0, 0], LONG_BINGET, [1, 1, 0, 0], 0x86)).toEqual([
      "x",
      "x",
    ]);
  });

  test("names, calls and persistent ids go to the builder", () => {
    expect(read(op.GLOBAL, "collections", "OrderedDict", op.EMPTY_TUPLE, op.REDUCE)).toEqual([
      "name collections.OrderedDict",
    ]);
    const id = read(op.text("7"), op.BINPERSID);
    expect(isOpaque(id) && id.kind).toBe("id 7");
  });

  test("attributes of a dict are dropped", () => {
    expect(read(op.EMPTY_DICT, op.EMPTY_DICT, op.BUILD)).toEqual(new Map());
  });
});

describe("refuses", () => {
  test.each<[string, (number | string | readonly number[])[], string]>([
    ["an unknown opcode", [0xff], "uses the opcode 0xff"],
    ["INST", [0x69, "os", "system"], "uses the opcode 0x69"],
    ["OBJ", [0x6f], "uses the opcode 0x6f"],
    ["NEWOBJ", [0x81], "uses the opcode 0x81"],
    ["EXT1", [0x82, 1], "uses the opcode 0x82"],
    ["STACK_GLOBAL", [0x93], "uses the opcode 0x93"],
    ["PERSID", [0x50, "1"], "uses the opcode 0x50"],
    ["protocol 5", [0x80, 5], "is of protocol 5; wanted 2"],
    ["a second beginning", [op.PROTO2, op.PROTO2], "begins twice"],
    ["a pop from nothing", [op.TUPLE1], "takes a value from an empty stack"],
    ["a pop through a mark", [op.MARK, op.NONE, 0x86], "takes a value from an empty stack"],
    ["the mark as a value", [op.MARK, op.BINPERSID], "takes a value from an empty stack"],
    ["a tuple without a mark", [op.NONE, op.TUPLE], "a mark that it never set"],
    ["a result too many", [op.NONE, op.NONE], "leaves 1 values besides its result"],
    ["an unknown memo", [BINGET, 3], "recalls the value 3"],
    ["keeping nothing", [BINPUT, 0], "takes a value from an empty stack"],
    [
      "items of a tuple",
      [op.EMPTY_TUPLE, op.text("a"), op.NONE, op.SETITEM],
      "sets items of something other than a dict",
    ],
    ["a key alone", [op.EMPTY_DICT, op.MARK, op.text("a"), op.SETITEMS], "a key without a value"],
    [
      "a key that is a number",
      [op.EMPTY_DICT, op.int(1), op.NONE, op.SETITEM],
      "a dict key that is the number 1",
    ],
    ["a call of a string", [op.text("a"), op.EMPTY_TUPLE, op.REDUCE], "calls something that is no function"],
    [
      "a call without arguments",
      [op.GLOBAL, "a", "b", op.NONE, op.REDUCE],
      "calls something that is no function",
    ],
    ["attributes of None", [op.NONE, op.NONE, op.BUILD], "sets attributes of something other than a dict"],
    ["an integer of nine bytes", [0x8a, 9, ...Array(9).fill(0)], "an integer of 9 bytes"],
    ["an integer beyond 2^53", [op.int(2 ** 60)], "the integer 1152921504606846976"],
    ["a string longer than the file", [0x58, 255, 255, 255, 255], "ends too early"],
    ["a string that is not UTF-8", [0x58, 1, 0, 0, 0, 0xff], "is not UTF-8"],
    ["a name that does not end", [op.GLOBAL, "os", 0x78], "ends inside a name"],
  ])("%s", (_, pieces, message) => {
    expect(() => read(...pieces)).toThrow(CheckpointError);
    expect(() => read(...pieces)).toThrow(message);
  });

  test("a pickle without an end, and an empty one", () => {
    for (const bytes of [pickle(op.NONE), new Uint8Array(0)]) {
      expect(() => readPickle(bytes, "data.pkl", builder)).toThrow("ends too early");
    }
  });

  // Bytes that would make a reader of Python's generality run long or out of memory.
  test.each([
    ["containers", [0x7d]],
    ["nesting", [0x5d, 0x85]],
    ["marks", [op.MARK]],
    ["values", [op.NONE]],
    ["doubling", [op.NONE, BINPUT, 0, BINGET, 0, 0x86]],
  ] as const)("millions of %s, soon", (_, piece) => {
    const bytes = new Uint8Array(8 << 20).map((_, i) => piece[i % piece.length]!);
    const start = performance.now();
    expect(() => readPickle(bytes, "data.pkl", builder)).toThrow(CheckpointError);
    expect(performance.now() - start).toBeLessThan(5000);
    expect(() => readPickle(new Uint8Array((8 << 20) + 1), "data.pkl", builder)).toThrow("at most 8388608");
  });
});
