import { describe, expect, test } from "vitest";
import { llamaHead, writeModel } from "../../fixtures/model-proto.ts";
import { folder, ziyaJson } from "../../fixtures/vocabulary.ts";
import { TokenizerError } from "../../src/errors.ts";
import { loadTokenizer } from "../../src/tokenizer/load-tokenizer.ts";
import { readSentencePieceModel } from "../../src/tokenizer/sentencepiece.ts";
import { fixtureModel } from "./fixtures.ts";

const model = fixtureModel("plain");
/** Pieces of the toy model: the first id that can be added. */
const SIZE = 600;

const added = { "<human>": SIZE, "<bot>": SIZE + 1 };
const files = { ...ziyaJson, "tokenizer.model": model, "added_tokens.json": added };

const load = async (changes: Record<string, unknown> = {}, strip = true) =>
  (await loadTokenizer(folder({ ...files, ...changes }), { strip })).tokenizer;

const special = (text: string) => ({ text, special: true });
const data = (text: string) => ({ text, special: false });
const bytes = (text: string) => new TextEncoder().encode(text);

describe("special strings", () => {
  test("are known by id, longest first, and make the vocabulary longer", async () => {
    const tokenizer = await load();
    expect(tokenizer.size).toBe(SIZE + 2);
    expect(tokenizer.specials).toEqual(["<human>", "<unk>", "<bot>", "</s>", "<s>"]);
    expect(tokenizer.specialId("<bot>")).toBe(SIZE + 1);
    expect(tokenizer.specialId("<human")).toBeUndefined();
  });

  test("in text that a person typed are ordinary text", async () => {
    const tokenizer = await load();
    for (const text of ["<human>", "</s>", "<s>", "<unk>", "<0x0A>", "a<bot>b"]) {
      const ids = tokenizer.encode(text);
      expect(
        ids.every((id) => id > 2 && id < SIZE),
        text,
      ).toBe(true);
      expect(tokenizer.encodeSpans([data(text)])).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(text);
    }
  });

  test("count only where they lie wholly within one special span", async () => {
    const tokenizer = await load();
    expect(tokenizer.encodeSpans([special("<bo"), data("t>")])).toEqual(tokenizer.encode("<bot>"));
    expect(tokenizer.encodeSpans([special("<bo"), special("t>")])).toEqual(tokenizer.encode("<bot>"));
    expect(tokenizer.encodeSpans([special("a<bot>"), data("<bot>")])).toEqual([
      ...tokenizer.encode("a"),
      SIZE + 1,
      ...tokenizer.encode("<bot>"),
    ]);
  });

  test("adjacent spans are one text; a null is a boundary", async () => {
    const tokenizer = await load();
    const joined = tokenizer.encode("the cat");
    expect(tokenizer.encodeSpans([data("the"), special(" c"), data(""), data("at")])).toEqual(joined);
    const apart = [...tokenizer.encode("the"), ...tokenizer.encode(" cat")];
    expect(tokenizer.encodeSpans([data("the"), null, data(" cat")])).toEqual(apart);
    expect(apart).not.toEqual(joined);
    expect(tokenizer.encodeSpans([null, null])).toEqual([]);
  });
});

/** `symbols` has "<sep>" and "ing" as user-defined pieces, which SentencePiece finds in any text. */
describe("a special string that is a user-defined piece of the model", () => {
  const symbols = fixtureModel("symbols");
  const { pieces } = readSentencePieceModel(symbols);
  const [SEP, ING] = [pieces.indexOf("<sep>"), pieces.indexOf("ing")];
  const entry = (special: boolean) => ({
    [SEP]: { content: "<sep>", special },
    [ING]: { content: "ing", special: false },
  });
  const loadSymbols = async (changes: Record<string, unknown>) =>
    (await loadTokenizer(folder({ "tokenizer.model": symbols, ...changes }))).tokenizer;

  test.each<[string, Record<string, unknown>]>([
    ["additional_special_tokens", { "special_tokens_map.json": { additional_special_tokens: ["<sep>"] } }],
    ["eos_token", { "tokenizer_config.json": { eos_token: "<sep>" } }],
    ["added_tokens_decoder", { "tokenizer_config.json": { added_tokens_decoder: entry(true) } }],
    [
      "a role, whatever its flag says",
      { "tokenizer_config.json": { added_tokens_decoder: entry(false), pad_token: "<sep>" } },
    ],
  ])("is text where a person types it: %s", async (_, files) => {
    const tokenizer = await loadSymbols(files);
    for (const text of ["<sep>", "a<sep>b", "<<sep>>", "sin<sep>", "<sep"]) {
      const ids = tokenizer.encode(text);
      expect(ids, text).not.toContain(SEP);
      expect(tokenizer.decode(ids)).toBe(text);
    }
    expect(tokenizer.encode("sing")).toContain(ING);
    expect(tokenizer.encodeSpans([special("<sep>"), data("<sep>")])).toEqual([
      SEP,
      ...tokenizer.encode("<sep>"),
    ]);
  });

  test("stays a piece of text where the files say that it is not special", async () => {
    for (const files of [
      {},
      { "tokenizer_config.json": { added_tokens_decoder: entry(false) } },
      { "added_tokens.json": { "<sep>": SEP } },
    ]) {
      expect((await loadSymbols(files)).encode("<sep>")).toContain(SEP);
    }
  });

  test("a normal piece of several characters too, but not one that is a character", async () => {
    const pieces = [
      ...llamaHead(),
      ..."\u2581 ! < | <| <|! a".split(" ").map((piece) => ({ piece, score: -1 })),
    ];
    const { tokenizer } = await loadTokenizer(
      folder({
        "tokenizer.model": writeModel({ pieces }),
        "special_tokens_map.json": { pad_token: "!", additional_special_tokens: ["<|!"] },
      }),
    );
    expect(tokenizer.encode("<|!")).toEqual([259, 263, 260]);
    expect(tokenizer.encode("<|!", { special: true })).toEqual([264]);
  });
});

describe("white space around special strings", () => {
  // Everything that Python's str.strip() removes, and a few characters that it leaves.
  const stripped =
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2005\u200a\u2028\u2029\u202f\u205f\u3000";
  const left = ["\u200b", "\ufeff", "\u180e", "\0"];

  test("goes on both sides of a token given as a plain string, as in training", async () => {
    const tokenizer = await load();
    const want = [SIZE, ...tokenizer.encode("a  b"), SIZE + 1, ...tokenizer.encode("c")];
    expect(
      tokenizer.encode(`${stripped}<human>${stripped}a  b${stripped}<bot>${stripped}c`, { special: true }),
    ).toEqual(want);
    expect(
      tokenizer.encodeSpans([special("<human>"), data(" \na  b"), special("\n<bot>"), data(" c")]),
    ).toEqual(want);
    for (const character of left) {
      const ids = tokenizer.encode(`<human>${character}a`, { special: true });
      expect(ids).toEqual([SIZE, ...tokenizer.encode(`${character}a`)]);
    }
  });

  test("is not stripped across a boundary, nor at the outer ends", async () => {
    const tokenizer = await load();
    expect(tokenizer.encodeSpans([special("<bot>"), null, data(" a")])).toEqual([
      SIZE + 1,
      ...tokenizer.encode(" a"),
    ]);
    expect(tokenizer.encode(" a<bot>b ", { special: true })).toEqual([
      ...tokenizer.encode(" a"),
      SIZE + 1,
      ...tokenizer.encode("b "),
    ]);
  });

  test("stays with strip: false, and around <s>, </s> and <unk>", async () => {
    const kept = await load({}, false);
    expect(kept.encode("a\n<bot> b", { special: true })).toEqual([
      ...kept.encode("a\n"),
      SIZE + 1,
      ...kept.encode(" b"),
    ]);
    const tokenizer = await load();
    expect(tokenizer.encode("a\n</s> b", { special: true })).toEqual([
      ...kept.encode("a\n"),
      2,
      ...kept.encode(" b"),
    ]);
  });

  test("stays where only one of Ziya's two tokens is there", async () => {
    const one = folder({ "tokenizer.model": model, "added_tokens.json": { "<human>": SIZE } });
    const { tokenizer: kept } = await loadTokenizer(one);
    expect(kept.encode("a <human> b", { special: true })).toEqual([
      ...kept.encode("a "),
      SIZE,
      ...kept.encode(" b"),
    ]);
  });

  test("goes for tokens that only added_tokens.json names, and by lstrip and rstrip of objects", async () => {
    const plain = await load({ "special_tokens_map.json": undefined });
    expect(plain.encode("a <bot> b", { special: true })).toEqual([
      ...plain.encode("a"),
      SIZE + 1,
      ...plain.encode("b"),
    ]);
    const token = (content: string, lstrip: boolean, rstrip: boolean) => ({
      content,
      lstrip,
      rstrip,
      single_word: false,
    });
    const config = {
      ...(ziyaJson["tokenizer_config.json"] as object),
      added_tokens_decoder: {
        0: token("<unk>", false, false),
        [SIZE]: token("<human>", true, false),
        [SIZE + 1]: token("<bot>", false, true),
      },
    };
    const objects = await load({ "added_tokens.json": undefined, "tokenizer_config.json": config });
    expect(objects.encode("a <human> b <bot> c", { special: true })).toEqual([
      ...plain.encode("a"),
      SIZE,
      ...plain.encode(" b "),
      SIZE + 1,
      ...plain.encode("c"),
    ]);
  });

  test("legacy: false gives the dummy prefix to the first stretch of a run alone", async () => {
    const config = { ...(ziyaJson["tokenizer_config.json"] as object), legacy: false };
    const tokenizer = await load({ "tokenizer_config.json": config });
    const ids = tokenizer.encode("the<bot>的", { special: true });
    const withPrefix = tokenizer.encode("的");
    expect(withPrefix).toHaveLength(2);
    expect(ids).toEqual([...tokenizer.encode("the"), SIZE + 1, withPrefix[1]]);
    expect(tokenizer.encode("<bot>的", { special: true })).toEqual([SIZE + 1, withPrefix[1]]);
  });
});

/** What makes the folder that of a model that is not Ziya. */
const NO_ZIYA = { "added_tokens.json": undefined, "special_tokens_map.json": undefined };

describe("added tokens that are not special", () => {
  const entry = (content: string, special: boolean) => ({ content, special, lstrip: false, rstrip: false });
  const config = {
    added_tokens_decoder: { [SIZE]: entry("newword", false), [SIZE + 1]: entry("<|im_end|>", true) },
  };
  const loadWords = () => load({ ...NO_ZIYA, "tokenizer_config.json": config });

  test("are found in any text, and shown in answers, streamed or whole", async () => {
    const tokenizer = await loadWords();
    const ids = [...tokenizer.encode("a"), SIZE, ...tokenizer.encode(" b")];
    expect(tokenizer.encode("anewword b")).toEqual(ids);
    expect(tokenizer.encodeSpans([data("anew"), special("word"), data(" b")])).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe("anewword  b");
    const stream = tokenizer.stream();
    expect(ids.map((id) => stream.push(id)).join("") + stream.end()).toBe("anewword  b");
    expect(tokenizer.specials).not.toContain("newword");
    expect(tokenizer.specialId("newword")).toBeUndefined();
  });

  test("are so where a file gives no flag, but not what begins Ziya's turns", async () => {
    const tokenizer = await load({
      "special_tokens_map.json": undefined,
      "added_tokens.json": { ...added, wwx: 602 },
    });
    expect(tokenizer.encode("wwx")).toEqual([602]);
    expect(tokenizer.decode([602])).toBe("wwx");
    expect(tokenizer.encode("<human><bot>").every((id) => id < SIZE)).toBe(true);
  });

  test("come from a tokenizer.json beside tokenizer.model too, and from the decoder before that", async () => {
    const json = { added_tokens: [{ id: SIZE, ...entry("newword", false) }] };
    const beside = await load({ ...NO_ZIYA, "tokenizer.json": json });
    expect(beside.encode("newword")).toEqual([SIZE]);
    const other = { added_tokens_decoder: { [SIZE]: entry("other", false) } };
    const both = await load({ ...NO_ZIYA, "tokenizer.json": json, "tokenizer_config.json": other });
    expect(both.encode("newword")).not.toContain(SIZE);
    expect(both.encode("other")).toEqual([SIZE]);
  });
});

describe("whether unflagged tokens strip follows from the files", () => {
  const chatml = {
    "special_tokens_map.json": { additional_special_tokens: ["<|im_start|>", "<|im_end|>"] },
    "added_tokens.json": { "<|im_start|>": SIZE, "<|im_end|>": SIZE + 1 },
  };
  const ids = async (strip: boolean | undefined) => {
    const options = strip === undefined ? {} : { strip };
    const { tokenizer } = await loadTokenizer(folder({ ...files, ...chatml }), options);
    return tokenizer.encode("a<|im_end|>\n<|im_start|>", { special: true });
  };

  test("a ChatML checkpoint keeps its newlines; strip: true takes them", async () => {
    const tokenizer = await load();
    const a = tokenizer.encode("a");
    expect(await ids(undefined)).toEqual([...a, SIZE + 1, ...tokenizer.encode("\n"), SIZE]);
    expect(await ids(false)).toEqual(await ids(undefined));
    expect(await ids(true)).toEqual([...a, SIZE + 1, SIZE]);
  });

  test("Ziya's go without being asked for", async () => {
    const { tokenizer } = await loadTokenizer(folder(files));
    expect(tokenizer.encode("a\n<bot>", { special: true })).toEqual([...tokenizer.encode("a"), SIZE + 1]);
  });
});

describe("roles", () => {
  test("an empty string fills none, as in early LLaMA folders", async () => {
    const names = { bos_token: "", eos_token: "", unk_token: "" };
    const tokenizer = await load({ ...NO_ZIYA, "tokenizer_config.json": names });
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.size]).toEqual([1, 2, SIZE]);
  });

  test("tokens without an id get the next ones, and need no row of the model", async () => {
    const map = { pad_token: "<pad>", sep_token: "<sep>", additional_special_tokens: ["<|x|>"] };
    const read = folder({ ...files, ...NO_ZIYA, "special_tokens_map.json": map });
    const { tokenizer, rowsNeeded } = await loadTokenizer(read);
    expect(["<sep>", "<pad>", "<|x|>"].map((text) => tokenizer.specialId(text))).toEqual([600, 601, 602]);
    expect([tokenizer.size, rowsNeeded]).toEqual([603, 600]);
    expect((await loadTokenizer(folder(files))).rowsNeeded).toBe(SIZE + 2);
    const eos = folder({ ...files, ...NO_ZIYA, "tokenizer_config.json": { eos_token: "<|x|>" } });
    expect((await loadTokenizer(eos)).rowsNeeded).toBe(SIZE + 1);
  });
});

describe("files that contradict each other", () => {
  const refused: [string, Record<string, unknown>, RegExp][] = [
    [
      "a gap in the ids",
      { "added_tokens.json": { "<human>": SIZE, "<bot>": SIZE + 2 } },
      /602 where 601 belongs/,
    ],
    ["an id far above", { "added_tokens.json": { "<human>": SIZE, "<bot>": 2 ** 40 } }, /where 601 belongs/],
    ["an id of another piece", { "added_tokens.json": { "<human>": 5 } }, /<0x02>/],
    ["an id that is none", { "added_tokens.json": { "<human>": "600" } }, /should be a token id/],
    ["an empty string", { "added_tokens.json": { "": SIZE } }, /1 to 256 characters/],
    [
      "two ids for one string",
      { "tokenizer_config.json": { added_tokens_decoder: { [SIZE + 1]: { content: "<human>" } } } },
      /601 where 600 belongs/,
    ],
    [
      "single_word",
      { "special_tokens_map.json": { pad_token: { content: "<pad>", single_word: true } } },
      /single_word/,
    ],
    ["a map that is a list", { "special_tokens_map.json": [] }, /not an object; wanted/],
    [
      "sampling",
      { "tokenizer_config.json": { sp_model_kwargs: { enable_sampling: true } } },
      /sp_model_kwargs/,
    ],
    ["no UTF-8", { "added_tokens.json": new Uint8Array([0x7b, 0xff]) }, /added_tokens.json is not JSON/],
    ["no JSON", { "added_tokens.json": bytes('{"a"}') }, /added_tokens.json is not JSON \(/],
    ["an id twice", { "added_tokens.json": bytes('{"<a>": 600, "<\\u0061>": 601}') }, /the key "<a>" twice/],
    [
      "nesting without end",
      { "added_tokens.json": bytes(`{"a": ${"[".repeat(64)}${"]".repeat(64)}}`) },
      /more than 64 deep/,
    ],
  ];
  test.each(refused)("%s", async (_, changes, message) => {
    await expect(load(changes)).rejects.toThrow(TokenizerError);
    await expect(load(changes)).rejects.toThrow(message);
  });
});
