import { describe, expect, test } from "vitest";
import {
  block,
  concat,
  float,
  integer,
  llamaHead,
  type ModelSpec,
  varint,
  writeModel,
} from "../../fixtures/model-proto.ts";
import { folder } from "../../fixtures/vocabulary.ts";
import { TokenizerError } from "../../src/errors.ts";
import { loadTokenizer } from "../../src/tokenizer/load-tokenizer.ts";
import { MAX_MODEL_BYTES, readSentencePieceModel } from "../../src/tokenizer/sentencepiece.ts";
import { randomStream } from "../support/random.ts";
import { FIXTURES, fixtureModel } from "./fixtures.ts";

const MUTATIONS = 3_000;
/** Far above what a toy model takes (5 ms), far below what a walk out of bounds or a quadratic one would. */
const MUTATION_LIMIT_MS = 1_000;

const pieces = [...llamaHead(), { piece: "\u2581", score: -1 }, { piece: "a", score: -2 }];
const write = (changes: Partial<ModelSpec> = {}) => writeModel({ pieces, ...changes });
const withPiece = (piece: string, kind?: number, score = 0) =>
  write({ pieces: [...pieces, kind === undefined ? { piece, score } : { piece, score, kind }] });

describe("readSentencePieceModel", () => {
  test("reads pieces, kinds and what the model says of itself", () => {
    const vocabulary = readSentencePieceModel(write({ dummyPrefix: false }));
    expect(vocabulary.pieces).toHaveLength(261);
    expect(vocabulary.kinds.slice(0, 4)).toEqual([2, 3, 3, 6]);
    expect(vocabulary).toMatchObject({
      unknownId: 0,
      bosId: 1,
      eosId: 2,
      byteFallback: true,
      rules: { by: "slow", prefix: "never" },
    });
  });

  test("skips fields it does not know, of every wire type", () => {
    const extra = [
      varint(200 * 8 + 1),
      new Uint8Array(8),
      float(201, 1),
      integer(202, 300),
      block(203, new Uint8Array(9)),
    ];
    expect(readSentencePieceModel(concat([write(), ...extra])).pieces).toHaveLength(261);
  });

  test("keeps a piece that begins with U+FEFF", () => {
    expect(readSentencePieceModel(withPiece("\ufeffx")).pieces.at(-1)).toBe("\ufeffx");
  });

  const refused: [string, Uint8Array, RegExp][] = [
    ["a unigram model", write({ modelType: 1 }), /unigram model/],
    ["a word model", write({ modelType: 3 }), /word model/],
    ["a model that does not say its type", write().subarray(0, 20), /tokenizer.model/],
    ["a normalisation table", write({ charsMap: new Uint8Array(4) }), /precompiled_charsmap/],
    ["spaces as suffix", write({ suffix: true }), /treat_whitespace_as_suffix/],
    ["spaces not escaped", write({ escapeSpaces: false }), /escape_whitespaces/],
    ["no BOS", write({ bosId: 259 }), /bos_id 259, which is not a control piece/],
    [
      "byte pieces without byte fallback",
      write({ byteFallback: false }),
      /256 byte pieces, and byte_fallback false wants 0/,
    ],
    [
      "a missing byte",
      write({ pieces: pieces.filter(({ piece }) => piece !== "<0x41>") }),
      /255 byte pieces/,
    ],
    ["a byte that is none", withPiece("<0x4g>", 6), /calls "<0x4g>" a byte/],
    ["two unknown pieces", withPiece("<unk2>", 2), /exactly one piece of the kind "unknown"/],
    ["no unknown piece", write({ pieces: pieces.slice(1), bosId: 0 }), /exactly one piece/],
    ["an empty piece", withPiece(""), /empty piece with id 261/],
    ["a piece twice", withPiece("a"), /"a" twice, with ids 260 and 261/],
    ["a piece of 300 bytes", withPiece("a".repeat(300)), /300 bytes; up to 128/],
    ["a kind that is none", withPiece("b", 9), /kind 9/],
    ["a score that is no number", withPiece("b", 1, Number.NaN), /score NaN/],
    ["a piece that is not UTF-8", concat([block(1, block(1, Uint8Array.of(0xff))), write()]), /not UTF-8/],
    ["no pieces", write({ pieces: [] }), /0 pieces/],
    ["an empty file", new Uint8Array(0), /unigram model/],
    ["a file above the limit", new Uint8Array(MAX_MODEL_BYTES + 1), /up to 8388608 are read/],
    ["a length beyond the end", concat([varint(10), varint(1000)]), /field 1 of 1000 bytes where 0 are left/],
    ["a length above 4 GiB", concat([varint(10), varint(2 ** 40)]), /length above 4 GiB/],
    ["an endless number", new Uint8Array(64).fill(0xff), /number longer than 10 bytes/],
    ["an end inside a number", Uint8Array.of(0x80), /end of file inside a number/],
    ["a group", Uint8Array.of(0x0b), /wire type 3/],
    ["field 0", Uint8Array.of(0x00, 0x00), /field numbered 0/],
    ["a piece that is a number", integer(1, 5), /varint value where a length-delimited value belongs/],
  ];
  test.each(refused)("refuses %s", (_, bytes, message) => {
    expect(() => readSentencePieceModel(bytes)).toThrow(TokenizerError);
    expect(() => readSentencePieceModel(bytes)).toThrow(message);
  });

  test("every beginning of a model is refused", () => {
    const bytes = fixtureModel("plain");
    for (let length = 0; length < bytes.length - 1; length += 7) {
      expect(() => readSentencePieceModel(bytes.subarray(0, length)), `${length} bytes`).toThrow(
        TokenizerError,
      );
    }
  });

  test(`${MUTATIONS} mutated models are read or refused, and what is read can encode and decode`, async () => {
    const next = randomStream(5);
    const below = (limit: number) => Math.floor(next() * limit);
    let read = 0;
    for (let round = 0; round < MUTATIONS; round++) {
      const source = fixtureModel(FIXTURES[round % FIXTURES.length]!);
      const bytes = source.slice(0, next() < 0.1 ? below(source.length) : source.length);
      for (let count = 1 + below(3); count > 0; count--) bytes[below(bytes.length)] = below(256);
      const start = process.cpuUsage();
      try {
        const { tokenizer } = await loadTokenizer(folder({ "tokenizer.model": bytes }));
        read++;
        tokenizer.decode(tokenizer.encode("the cat likes 苹果 🦙\ud83e  ing电影"));
      } catch (error) {
        expect(error, `round ${round}: ${String(error)}`).toBeInstanceOf(TokenizerError);
      }
      expect(process.cpuUsage(start).user / 1000, `round ${round}`).toBeLessThan(MUTATION_LIMIT_MS);
    }
    // Otherwise the mutations are too coarse to get past the outermost checks.
    expect(read).toBeGreaterThan(MUTATIONS / 10);
    expect(read).toBeLessThan(MUTATIONS);
  });

  test("more pieces than are read are refused on the way", () => {
    const empty = new Uint8Array(MAX_MODEL_BYTES);
    for (let at = 0; at < empty.length; at += 2) empty[at] = 0x0a;
    expect(() => readSentencePieceModel(empty)).toThrow("more than 524288 pieces");
  });
});
