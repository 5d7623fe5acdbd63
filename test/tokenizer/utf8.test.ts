import { describe, expect, test } from "vitest";
import { ByteDecoder } from "../../src/tokenizer/utf8.ts";

function decode(bytes: readonly number[]): string {
  const decoder = new ByteDecoder();
  return bytes.map((byte) => decoder.push(byte)).join("") + decoder.flush();
}

describe("ByteDecoder", () => {
  test("reads what TextEncoder writes", () => {
    for (const text of ["a\0é߿ࠀ中\ufffd\uffff𐀀🦙\u{10ffff}"])
      expect(decode([...new TextEncoder().encode(text)])).toBe(text);
  });

  test.each([
    ["a trail byte alone", [0x80], 1],
    ["a lead byte alone", [0xe4], 1],
    ["two of three bytes", [0xe4, 0xbd], 2],
    ["an overlong slash", [0xc0, 0xaf], 2],
    ["an overlong three", [0xe0, 0x80, 0x80], 3],
    ["a surrogate", [0xed, 0xa0, 0x80], 3],
    ["above U+10FFFF", [0xf4, 0x90, 0x80, 0x80], 4],
    ["no lead byte", [0xff, 0xfe], 2],
  ])("%s is one U+FFFD per byte", (_, bytes, count) => {
    expect(decode(bytes)).toBe("\ufffd".repeat(count));
    expect(decode([...bytes, 0x41])).toBe(`${"\ufffd".repeat(count)}A`);
    expect(decode([...bytes, 0xe4, 0xbd, 0xa0])).toBe(`${"\ufffd".repeat(count)}你`);
  });
});
