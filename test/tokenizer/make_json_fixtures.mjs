// Makes test/fixtures/tokenizer/tokenizers.json: tokenizer.json files with random stages, flags and added tokens, and
// what the Rust library `tokenizers` makes of random texts with them. It is no dependency of the package:
//   npm install --no-save tokenizers@0.23.2 && node test/tokenizer/make_json_fixtures.mjs
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer } from "tokenizers";

const SPACE = "\u2581";
const CASES = 120;
const TEXTS = 10;

// mulberry32: the same file on every run.
let state = 20261125;
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
const pick = (list) => list[Math.floor(random() * list.length)];
const chance = (share) => random() < share;

const bytes = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
);
const merges = [
  [SPACE, SPACE],
  ["n", "e"],
  ["ne", "w"],
  [SPACE, "a"],
  [SPACE, "b"],
  [SPACE, "ne"],
  [SPACE, "new"],
  ["a", "b"],
];
const characters = [SPACE, ..."abnew<>|的"];
const pieces = ["<unk>", "<s>", "</s>", ...bytes, ...characters, ...merges.map((pair) => pair.join(""))];
const vocab = Object.fromEntries(pieces.map((piece, id) => [piece, id]));

const replace = { type: "Replace", pattern: { String: " " }, content: SPACE };
const prepend = { type: "Prepend", prepend: SPACE };
const metaspace = (scheme) => ({
  type: "Metaspace",
  replacement: SPACE,
  prepend_scheme: scheme,
  split: false,
});
const stages = [
  { normalizer: { type: "Sequence", normalizers: [prepend, replace] }, pre_tokenizer: null },
  { normalizer: { type: "Sequence", normalizers: [replace] }, pre_tokenizer: null },
  { normalizer: replace, pre_tokenizer: null },
  { normalizer: null, pre_tokenizer: metaspace("first") },
  { normalizer: null, pre_tokenizer: metaspace("always") },
  { normalizer: null, pre_tokenizer: metaspace("never") },
];
const decoders = [
  { type: "Replace", pattern: { String: SPACE }, content: " " },
  { type: "ByteFallback" },
  { type: "Fuse" },
];
const strip = { type: "Strip", content: " ", start: 1, stop: 0 };

const flags = (mayStrip) => ({
  single_word: chance(0.25),
  lstrip: mayStrip && chance(0.3),
  rstrip: mayStrip && chance(0.3),
});

/** Three special tokens of the vocabulary, special and other added ones beside it, sometimes one of its own pieces. */
function addedTokens() {
  const base = pieces.slice(0, 3).map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const contents = ["ZZ", "new", "ZZZ", "Z Z", "的", "|x|", "\n", "ab"].filter(() => chance(0.45));
  // A token of white space beside one that strips it is found by the library, and dropped, by rules of its own.
  const mayStrip = !contents.includes("\n");
  let next = pieces.length;
  const others = contents.map((content) => ({
    id: vocab[content] ?? next++,
    content,
    ...flags(mayStrip),
    normalized: chance(0.5),
    special: false,
  }));
  const special = ["<human>", "<|end|>"].map((content) => ({
    id: next++,
    content,
    ...flags(mayStrip),
    normalized: false,
    special: true,
  }));
  return [...base, ...others, ...special];
}

const template = (bos, eos) => ({
  type: "TemplateProcessing",
  single: [
    ...(bos ? [{ SpecialToken: { id: "<s>", type_id: 0 } }] : []),
    { Sequence: { id: "A", type_id: 0 } },
    ...(eos ? [{ SpecialToken: { id: "</s>", type_id: 0 } }] : []),
  ],
  pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
  special_tokens: {
    "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] },
    "</s>": { id: "</s>", ids: [2], tokens: ["</s>"] },
  },
});

const PARTS = [
  "a",
  "b",
  "new",
  "ne",
  "ZZ",
  "Z",
  "的",
  "|x|",
  "\n",
  " ",
  "  ",
  SPACE,
  "\t",
  "中",
  "🦙",
  "1",
  "_",
];
const SPECIALS = ["<s>", "</s>", "<human>", "<|end|>"];

function randomText(special) {
  const count = 1 + Math.floor(random() * 9);
  return Array.from({ length: count }, () => (special && chance(0.3) ? pick(SPECIALS) : pick(PARTS))).join(
    "",
  );
}

async function makeCase(index) {
  const changes = {
    ...stages[index % stages.length],
    added_tokens: addedTokens(),
    post_processor: pick([null, template(true, false), template(false, false), template(true, true)]),
    decoder: { type: "Sequence", decoders: chance(0.7) ? [...decoders, strip] : decoders },
    model: {
      unk_token: pick(["<unk>", null]),
      dropout: pick([null, 0]),
      continuing_subword_prefix: pick([null, ""]),
      end_of_word_suffix: pick([null, ""]),
      fuse_unk: chance(0.5),
      ...(chance(0.5) && { ignore_merges: false }),
    },
  };
  const file = { version: "1.0", truncation: null, padding: null, ...changes };
  file.model = { type: "BPE", byte_fallback: true, ...changes.model, vocab, merges };
  const tokenizer = Tokenizer.fromString(JSON.stringify(file));
  const texts = [];
  for (let round = 0; round < TEXTS; round++) {
    // In every second text special strings: read as such, as there is no way to have them as text from this binding.
    const special = round % 2 === 1;
    const text = randomText(special);
    const encode = async (addSpecialTokens) =>
      (await tokenizer.encode(text, null, { addSpecialTokens })).getIds();
    const ids = await encode(false);
    texts.push([text, special, ids, await encode(true), await tokenizer.decode(ids, true)]);
  }
  return { changes, texts };
}

const cases = [];
for (let index = 0; index < CASES; index++) cases.push(await makeCase(index));
const folder = join(import.meta.dirname, "..", "fixtures", "tokenizer");
writeFileSync(
  join(folder, "tokenizers.json"),
  `{"pieces":${JSON.stringify(pieces)},\n"merges":${JSON.stringify(merges)},\n"cases":[\n${cases.map((entry) => JSON.stringify(entry)).join(",\n")}\n]}\n`,
);
