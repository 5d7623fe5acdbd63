import { describe, expect, test } from "vitest";
import { llamaHead, type PieceSpec, writeModel } from "../../fixtures/model-proto.ts";
import { folder, llamaJsonStages } from "../../fixtures/vocabulary.ts";
import { TokenizerError } from "../../src/errors.ts";
import { readTokenizerJson } from "../../src/tokenizer/huggingface.ts";
import { loadTokenizer } from "../../src/tokenizer/load-tokenizer.ts";
import { Merger } from "../../src/tokenizer/merge.ts";
import { readSentencePieceModel } from "../../src/tokenizer/sentencepiece.ts";
import { randomStream } from "../support/random.ts";
import { fixtureModel } from "./fixtures.ts";
import { RandomText } from "./random-text.ts";

type Order = "longest left first" | "shortest left first" | "pairs, not strings";

/** A tokenizer.json as transformers converts it: every split of every piece, in the order of the pieces' scores. */
function convert(model: Uint8Array, order: Order): Record<string, unknown> {
  const { pieces, merges } = readSentencePieceModel(model);
  const splits: { left: string; right: string; rank: number }[] = [];
  for (const [id, piece] of pieces.entries()) {
    for (let end = 1; end < piece.length; end++) {
      const [left, right] = [pieces.indexOf(piece.slice(0, end)), pieces.indexOf(piece.slice(end))];
      if (left < 0 || right < 0) continue;
      const entry = merges.pairs.get(left, right);
      if (entry < 0 || merges.merged[entry] !== id) continue;
      splits.push({ left: pieces[left]!, right: pieces[right]!, rank: merges.ranks[entry]! });
    }
  }
  const sign = order === "shortest left first" ? -1 : 1;
  splits.sort((a, b) => a.rank - b.rank || sign * (b.left.length - a.left.length));
  return {
    version: "1.0",
    added_tokens: pieces
      .slice(0, 3)
      .map((content, id) => ({ id, content, special: true, lstrip: false, rstrip: false })),
    ...llamaJsonStages,
    model: {
      type: "BPE",
      unk_token: "<unk>",
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges: splits.map(({ left, right }) =>
        order === "pairs, not strings" ? [left, right] : `${left} ${right}`,
      ),
    },
  };
}

const load = async (files: Record<string, unknown>) => (await loadTokenizer(folder(files))).tokenizer;

describe("tokenizer.json gives the ids of the tokenizer.model it came from", () => {
  test.each<Order>(["longest left first", "shortest left first", "pairs, not strings"])(
    "%s",
    async (order) => {
      const model = fixtureModel("plain");
      const [want, found] = [
        await load({ "tokenizer.model": model }),
        await load({ "tokenizer.json": convert(model, order) }),
      ];
      expect(found.size).toBe(want.size);
      const random = new RandomText(randomStream(3));
      for (let round = 0; round < 1000; round++) {
        const text = random.text();
        expect(found.encode(text), JSON.stringify(text.slice(0, 200))).toEqual(want.encode(text));
        expect(found.decode(want.encode(text))).toBe(want.decode(want.encode(text)));
      }
    },
  );

  test.each<Order>(["longest left first", "shortest left first"])(
    "of overlapping splits the leftmost: %s",
    (order) => {
      const words = ["\u2581", "x", "y", "xy", "yx", "xyx"].map(
        (piece, rank): PieceSpec => ({ piece, score: -rank }),
      );
      const model = writeModel({ pieces: [...llamaHead(), ...words] });
      const [x, xy, yx, xyx] = [260, 262, 263, 264];
      for (const vocabulary of [readSentencePieceModel(model), readTokenizerJson(convert(model, order))]) {
        const symbols = Int32Array.of(xy, x, yx);
        const end = new Merger(vocabulary.merges).merge(symbols, 0, 3);
        expect([...symbols.subarray(0, end)]).toEqual([xyx, yx]);
      }
    },
  );
});

describe("a tokenizer.json that is not LLaMA-like is refused by name", () => {
  const good = convert(fixtureModel("plain"), "longest left first");
  const model = good.model as Record<string, unknown>;
  const vocab = model.vocab as Record<string, number>;
  const refused: [string, Record<string, unknown>, RegExp][] = [
    ["another model", { model: { ...model, type: "Unigram" } }, /model.type is "Unigram"/],
    ["no model", { model: null }, /model should be an object/],
    ["no byte fallback", { model: { ...model, byte_fallback: false } }, /model.byte_fallback is false/],
    ["dropout", { model: { ...model, dropout: 0.1 } }, /model.dropout is 0.1/],
    ["ignore_merges", { model: { ...model, ignore_merges: true } }, /ignore_merges/],
    [
      "a normalizer",
      { normalizer: { type: "NFKC" } },
      /normalizer is {"type":"NFKC"}, which is not supported/,
    ],
    [
      "a pre-tokenizer",
      { pre_tokenizer: { type: "ByteLevel" } },
      /pre_tokenizer, beside a normalizer is {"type":"ByteLevel"}/,
    ],
    [
      "neither normalizer nor Metaspace",
      { normalizer: null },
      /pre_tokenizer, without a normalizer is null.*"prepend_scheme":"first","split":false/,
    ],
    [
      "a Metaspace that splits",
      { normalizer: null, pre_tokenizer: metaspace({ split: true }) },
      /"split":true/,
    ],
    [
      "a Metaspace of another scheme",
      { normalizer: null, pre_tokenizer: metaspace({ prepend_scheme: "toString" }) },
      /"toString".*not supported/,
    ],
    [
      "an unknown token that is a byte",
      { model: { ...model, unk_token: "<0x0A>" } },
      /"<0x0A>" as its unknown/,
    ],
    ["an unknown token that is none", { model: { ...model, unk_token: "<nil>" } }, /no piece "<nil>"/],
    [
      "a byte that is special",
      { added_tokens: [{ id: 13, content: "<0x0A>", special: true }] },
      /makes "<0x0A>" special, which is a byte/,
    ],
    ["a byte as EOS", { eos_token: "<0x0A>" }, /makes "<0x0A>" special, which is a byte/],
    [
      "another post-processor",
      { post_processor: { type: "BertProcessing" } },
      /post_processor.type is "Bert/,
    ],
    ["BOS twice", { post_processor: template(["<s>", "<s>", null]) }, /at most a token on each side/],
    ["no text", { post_processor: template(["<s>"]) }, /at most a token on each side/],
    ["another token first", { post_processor: template(["<unk>", null]) }, /puts "<unk>" around a text/],
    ["another token last", { post_processor: template([null, "<s>"]) }, /puts "<s>" around a text/],
    ["another decoder", { decoder: null }, /decoder is null/],
    ["an id twice", { model: { ...model, vocab: { ...vocab, new: 5 } } }, /gives "new" the id 5/],
    ["a gap in the ids", { model: { ...model, vocab: { ...vocab, new: 601 } } }, /gives "new" the id 601/],
    ["a long piece", { model: { ...model, vocab: { ...vocab, ["x".repeat(300)]: 600 } } }, /above 128 bytes/],
    [
      "no bytes",
      { model: { ...model, vocab: { "<unk>": 0, "<s>": 1, "</s>": 2 }, merges: [] } },
      /no piece "<0x00>"/,
    ],
    ["a merge of no pieces", { model: { ...model, merges: ["龘 龘"] } }, /merges\[0\] is "龘 龘"/],
    ["a merge of three", { model: { ...model, merges: ["a b c"] } }, /should be two pieces/],
    ["merges nested deep", { model: { ...model, merges: [nest(20_000)] } }, /nested more than 64 deep/],
  ];
  test.each(refused)("%s", async (_, changes, message) => {
    const { eos_token, ...json } = { ...good, ...changes };
    const files = {
      "tokenizer.json": new TextEncoder().encode(stringify(json)),
      "tokenizer_config.json": { eos_token },
    };
    await expect(load(files)).rejects.toThrow(TokenizerError);
    await expect(load(files)).rejects.toThrow(message);
  });
});

function metaspace(changes: object): object {
  return { type: "Metaspace", replacement: "\u2581", prepend_scheme: "first", split: false, ...changes };
}

/** A post-processor of these tokens; null is the text. */
function template(parts: readonly (string | null)[]): object {
  const single = parts.map((id) =>
    id === null ? { Sequence: { id: "A", type_id: 0 } } : { SpecialToken: { id, type_id: 0 } },
  );
  return { type: "TemplateProcessing", single, pair: [], special_tokens: {} };
}

/** Stands for an array of arrays, too deep for JSON.stringify. */
function nest(depth: number): string {
  return `nest:${depth}`;
}

function stringify(value: unknown): string {
  return JSON.stringify(value).replace(
    /"nest:(\d+)"/,
    (_, depth) => "[".repeat(Number(depth)) + "]".repeat(Number(depth)),
  );
}
