import { describe, expect, test } from "vitest";
import { llamaHead, writeModel } from "../../fixtures/model-proto.ts";
import { folder } from "../../fixtures/vocabulary.ts";
import { OptionError, TokenizerError } from "../../src/errors.ts";
import { loadTokenizer } from "../../src/tokenizer/load-tokenizer.ts";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { randomStream } from "../support/random.ts";
import { FIXTURES, type FixtureName, fixtureLines, fixtureModel } from "./fixtures.ts";

async function fixture(name: FixtureName): Promise<Tokenizer> {
  return (await loadTokenizer(folder({ "tokenizer.model": fixtureModel(name) }))).tokenizer;
}

describe.each(FIXTURES)("what sentencepiece made of %s", (name) => {
  test("the same ids", async () => {
    const tokenizer = await fixture(name);
    const lines = fixtureLines(name).filter((line) => line.text !== undefined);
    expect(lines.length).toBeGreaterThan(1000);
    for (const { text, ids } of lines) expect(tokenizer.encode(text!), JSON.stringify(text)).toEqual(ids);
  });

  test("the same text from ids, whole and streamed", async () => {
    const tokenizer = await fixture(name);
    for (const { ids, decoding } of fixtureLines(name)) {
      expect(tokenizer.decode(ids), JSON.stringify(ids)).toBe(decoding);
      const stream = tokenizer.stream();
      const pieces = ids.map((id) => stream.push(id));
      expect([...pieces, stream.end()].join("")).toBe(decoding);
    }
  });
});

describe("encode", () => {
  test("an empty text has no ids, and BOS only where asked for", async () => {
    const tokenizer = await fixture("plain");
    expect(tokenizer.encode("")).toEqual([]);
    expect(tokenizer.encode("", { bos: true })).toEqual([1]);
  });

  test("lone surrogates are U+FFFD, as TextEncoder has them", async () => {
    const tokenizer = await fixture("plain");
    for (const broken of ["\ud83e", "\udd99", "a\ud83eb", "\udd99\ud83e", "\ud83e\ud83e\udd99"]) {
      expect(tokenizer.encode(broken)).toEqual(
        tokenizer.encode(new TextDecoder().decode(new TextEncoder().encode(broken))),
      );
    }
  });

  test("an unknown option, or one of the wrong type, is refused by name", async () => {
    const tokenizer = await fixture("plain");
    expect(() => tokenizer.encode("a", { addBos: true } as object)).toThrow(OptionError);
    expect(() => tokenizer.encode("a", { addBos: true } as object)).toThrow("addBos");
    expect(() => tokenizer.encode("a", { bos: "no" } as object)).toThrow("bos is true or false");
    expect(() => tokenizer.decode([1], { skip: true } as object)).toThrow("skip");
  });

  test("a merge may pass through characters that are no pieces themselves", async () => {
    // SentencePiece only asks whether the joined text is a piece: "x" and "y" need not be.
    const pieces = [
      ...llamaHead(),
      { piece: "\u2581", score: -3 },
      { piece: "xy", score: -1 },
      { piece: "xyz", score: -2 },
    ];
    const { tokenizer } = await loadTokenizer(folder({ "tokenizer.model": writeModel({ pieces }) }));
    expect(tokenizer.encode("xyz")).toEqual([259, 261]);
    expect(tokenizer.encode("yx")).toEqual([259, 3 + 0x79, 3 + 0x78]);
  });
});

describe("streaming", () => {
  test("a character comes whole, with its last byte", async () => {
    const tokenizer = await fixture("plain");
    const stream = tokenizer.stream();
    const bytes = [...new TextEncoder().encode("🦙é")].map((byte) => byte + 3);
    expect(bytes.map((id) => stream.push(id))).toEqual(["", "", "", "🦙", "", "é"]);
    expect(stream.end()).toBe("");
  });

  test("an unfinished character is U+FFFD per byte, when something else follows or at the end", async () => {
    const tokenizer = await fixture("plain");
    const letter = tokenizer.encode("的").at(-1)!;
    const stream = tokenizer.stream();
    expect([0xe4 + 3, 0xbd + 3, letter, 0xe4 + 3].map((id) => stream.push(id))).toEqual([
      "",
      "",
      "\ufffd\ufffd的",
      "",
    ]);
    expect(stream.end()).toBe("\ufffd");
  });

  test("only the first leading space goes", async () => {
    const tokenizer = await fixture("plain");
    const stream = tokenizer.stream();
    const ids = tokenizer.encode("  the cat likes apples");
    expect(ids.map((id) => stream.push(id)).join("")).toBe("  the cat likes apples");
    expect(tokenizer.stream().push(ids[0]!)).toBe(tokenizer.decode([ids[0]!]));
    const letter = tokenizer.encode("的").at(-1)!;
    const all = Array.from({ length: tokenizer.size }, (_, id) => id);
    const space = all.slice(3 + 256).find((id) => tokenizer.decode([letter, id]) === "的 ")!;
    expect([1, 2, 3].map((count) => tokenizer.decode(Array(count).fill(space)))).toEqual(["", " ", "  "]);
  });

  test("random ids: pieces joined are the decoding of the whole, specials shown or not", async () => {
    const next = randomStream(7);
    for (const name of FIXTURES) {
      const tokenizer = await fixture(name);
      for (let round = 0; round < 300; round++) {
        const ids = Array.from({ length: 20 }, () => Math.floor(next() * tokenizer.size));
        for (const special of [false, true]) {
          const stream = tokenizer.stream({ special });
          const text = ids.map((id) => stream.push(id)).join("") + stream.end();
          expect(text).toBe(tokenizer.decode(ids, { special }));
        }
      }
    }
  });
});

describe("decode", () => {
  test("an id without a piece is refused with the range of ids", async () => {
    const tokenizer = await fixture("plain");
    for (const id of [tokenizer.size, -1, 1.5, Number.NaN]) {
      expect(() => tokenizer.decode([id])).toThrow(TokenizerError);
      expect(() => tokenizer.decode([id])).toThrow(
        `Token id ${id} has no piece: ids run from 0 to ${tokenizer.size - 1}`,
      );
    }
  });

  test("with special strings shown, a text encodes to the same ids again", async () => {
    const tokenizer = await fixture("plain");
    const ids = tokenizer.encode("<s>the cat</s>a teacher<unk>", { special: true });
    expect(ids.filter((id) => id < 3)).toEqual([1, 2, 0]);
    expect(tokenizer.decode(ids, { special: true })).toBe("<s>the cat</s>a teacher<unk>");
    expect(tokenizer.decode(ids)).toBe("the cat a teacher \u2047 ");
  });
});
