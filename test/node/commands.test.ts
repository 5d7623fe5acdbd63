import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { main } from "../../node/commands/main.ts";
import { negativeLogLikelihood, totalLoss } from "../../node/commands/perplexity.ts";
import { progressBar } from "../../node/commands/progress.ts";
import { testDeviceOptions } from "../support/gpu.ts";
import { fakeIo } from "../support/io.ts";
import { scatter } from "../support/model.ts";

/** The suite's own choice of rung and limits, as flags. */
const DEVICE_FLAGS = Object.entries(testDeviceOptions()).flatMap(([name, value]) => [
  `--${name}`,
  String(value),
]);

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziya-cli-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function run(args: readonly string[], input: string | Buffer = "") {
  const io = fakeIo({ input });
  const code = await main(args, io);
  return { code, out: io.out(), err: io.err() };
}

/** What a command that succeeds prints as JSON. */
async function json(args: readonly string[], input?: string) {
  const { code, out, err } = await run([...args, "--json"], input);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return JSON.parse(out);
}

describe("the command line", () => {
  test("has help for all and for each", async () => {
    const all = await run(["--help"]);
    expect(all.code).toBe(0);
    for (const name of [
      "chat",
      "generate",
      "tokenize",
      "detokenize",
      "logits",
      "perplexity",
      "convert",
      "verify",
      "doctor",
    ]) {
      expect(all.out).toContain(`  ${name}`);
      const one = await run([name, "--help"]);
      expect(one).toMatchObject({ code: 0, err: "" });
      expect(one.out).toMatch(new RegExp(`^ziya ${name}`));
      expect(one.out).toContain("--help");
    }
    expect((await run(["chat", "-h"])).out).toContain("--top-p P");
    expect((await run(["--version"])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test.each([
    [[], "Commands:"],
    [["sing"], 'There is no command "sing"'],
    [["constructor"], "There is no command"],
    [["chat", "--topk", "3"], "Unknown option '--topk'. See \"ziya chat --help\"."],
    [["chat", "--top-k"], "--top-k"],
    [
      ["chat", "--stop", "a", "--stop", "-b"],
      'ziya: --stop needs a value; write --stop=-b for one that begins with a dash. See "ziya chat --help".\n',
    ],
    [["chat", "--temperature=-1"], "temperature is -1; wanted a number from 0 to 100."],
    [["chat", "- apple"], 'goes behind --: ziya chat -- "- apple". See "ziya chat --help".\n'],
    [["chat", "-5"], "goes behind --: ziya chat -- -5."],
    [["chat", "-- apple", "--seed", "1"], 'ziya chat -- "-- apple".'],
    [["chat", "-hello"], "ziya chat -- -hello."],
    [["generate", "--prompt", "- apple"], 'write --prompt="- apple" for one that begins with a dash.'],
    [["chat", "caf\ufffd"], 'The argument "caf\ufffd" has U+FFFD, which stands for bytes that are not UTF-8'],
    [["chat", "a", "--file", "b"], "There are a PROMPT and --file; wanted one of them."],
    [["generate", "--prompt", "a", "--file", "b"], "There are --prompt and --file; wanted one of them."],
    [["chat", "a", "b"], "2 arguments besides the flags; wanted at most 1"],
    [["doctor", "a"], "wanted none"],
    [["chat", "--top-k", "x", "hi"], '--top-k is "x"; wanted a number.'],
    [["chat", "--seed", "", "hi"], '--seed is ""; wanted a number.'],
    [["generate"], "--prompt is missing."],
    [["logits", "--out", "f"], "--tokens is missing."],
    [["logits", "--tokens", "1,,2", "--out", "f"], '--tokens has ""; wanted token ids'],
    [["logits", "--tokens", "1;2", "--out", "f"], '--tokens has "1;2"'],
    // Without a model: nothing is loaded for a value that is refused.
    [["chat", "--top-p", "2", "--model", "none"], "top_p is 2; wanted a number from 0 to 1."],
    [["chat", "hi", "--overflow", "drop", "--model", "none"], 'overflow is "drop"; wanted'],
    [["chat", "hi", "--num-beams", "2", "--temperature", "1"], "temperature is 1 beside num_beams 2"],
    [
      ["chat", "hi", "--num-beams", "2", "--num-return-sequences", "3"],
      "wanted at most num_beams, which is 2",
    ],
    [["chat", "hi", "--early-stopping=yes"], "--early-stopping"],
    [["generate", "--prompt", "a", "--max-tokens", "0", "--model", "none"], "max_tokens is 0; wanted"],
    [["chat", "hi", "--weights", "q5"], 'weights is "q5"; wanted '],
    [["chat", "hi", "--depth", "9"], "depth is 9; wanted an integer from 1 to 8."],
    [["chat", "hi", "--decode", "fast"], 'decode is "fast"; wanted auto, plain, i8 16x4, '],
    [["chat", "hi", "--prefill", "fast"], 'prefill is "fast"; wanted auto, timed, i8 narrow, '],
    [["chat", "hi", "--kv", "q5"], '--kv is "q5"; wanted f16, f32, q8, q4.'],
  ])("refuses %j with exit code 2", async (args, message) => {
    const { code, out, err } = await run(args);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(message);
  });

  test("tells in a sentence what fails at run time", async () => {
    for (const args of [["chat", "hi"], ["tokenize"]]) {
      const { code, err } = await run([...args, "--model", join(folder, "none")]);
      expect(code).toBe(1);
      expect(err).toMatch(
        /^ziya: .*none, given as the model, does not exist; wanted a checkpoint folder in Hugging Face's layout.\n$/,
      );
    }
    const missing = await run(["perplexity", "--file", join(folder, "none.txt")]);
    expect(missing.code).toBe(1);
    expect(missing.err).toMatch(/^ziya: .*none\.txt could not be read: ENOENT.*\n$/);
    const binary = join(folder, "binary.txt");
    await writeFile(binary, Buffer.from("caf\xe9", "latin1"));
    const garbled = await run(["perplexity", "--file", binary]);
    expect(garbled.code).toBe(2);
    expect(garbled.err).toMatch(/^ziya: .*binary\.txt is not UTF-8; wanted a text: .*\n$/);
    for (const command of ["chat", "generate"]) {
      const unreadable = await run([command, "--file", binary]);
      expect(unreadable).toEqual({
        ...garbled,
        err: garbled.err.replace("perplexity --help", `${command} --help`),
      });
      const piped = await run([command, "--file", "-"], Buffer.from([0xe9]));
      expect(piped).toMatchObject({
        code: 2,
        err: expect.stringContaining("stdin is not UTF-8; wanted a text"),
      });
    }
    const line = await run(["tokenize"], Buffer.from([0x22, 0x61, 0x22, 10, 0x22, 0xe9, 0x22]));
    expect(line).toMatchObject({ code: 1, err: expect.stringContaining("Line 2 of stdin: it is not UTF-8") });
  });

  test("shows a terminal no control characters of names and texts", async () => {
    const name = "\x1b]0;owned\x07\x7f.txt";
    for (const terminal of [true, false]) {
      const io = fakeIo({ terminal });
      expect(await main(["perplexity", "--file", name], io)).toBe(1);
      expect(io.err()).toContain(terminal ? "\u241b]0;owned\u2407\u2421.txt" : name);
      expect(io.err().includes("\x1b") || io.err().includes("\x07")).toBe(!terminal);
      progressBar(io.stderr, name).show(1, 2);
      expect(io.err().includes("\x1b")).toBe(!terminal);
    }
  });

  test("takes a message of several lines from a file or a pipe", async () => {
    const message = "第一行\n\n- second line\n/reset";
    const path = join(folder, "message.txt");
    await writeFile(path, `\ufeff${message}\n`);
    for (const command of ["chat", "generate"]) {
      const one = ["--temperature", "0", "--max-tokens", "4", ...DEVICE_FLAGS];
      const given = command === "chat" ? [command, message] : [command, "--prompt", message];
      const wanted = await json([...given, ...one]);
      expect(wanted.usage.prompt_tokens).toBeGreaterThan(12);
      const piped = await json([command, "--file", "-", ...one], `${message}\n`);
      for (const { text, usage } of [await json([command, "--file", path, ...one]), piped]) {
        expect({ text, usage }).toEqual({ text: wanted.text, usage: wanted.usage });
      }
    }
  });
});

describe("tokenize and detokenize", () => {
  test("convert line by line, and back", async () => {
    const texts = ["你好", "", " a  b ", "<human>", "\u2028x\u2029", "😀", "tab\there"];
    const input = texts.map((text) => JSON.stringify(text)).join("\n");
    const ids = await run(["tokenize"], input);
    expect(ids).toMatchObject({ code: 0, err: "" });
    expect(ids.out.trim().split("\n")).toHaveLength(texts.length);
    const back = await run(["detokenize"], ids.out);
    expect(
      back.out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual(texts);
  });

  test("put BOS and special strings only where asked for", async () => {
    const ids = async (...flags: string[]) =>
      JSON.parse((await run(["tokenize", ...flags], '"<human>"')).out);
    const plain = await ids();
    const special = await ids("--special");
    expect(special).toHaveLength(1);
    expect(plain).not.toContain(special[0]);
    expect(await ids("--bos")).toEqual([1, ...plain]);
    const lines = async (...flags: string[]) =>
      JSON.parse((await run(["tokenize", "--special", ...flags], '"\\n<human>"')).out);
    expect(await lines()).toEqual(special);
    expect((await lines("--keep-newline")).slice(-2)).toEqual([13, ...special]);
    const text = async (...flags: string[]) =>
      (await run(["detokenize", ...flags], JSON.stringify(special))).out;
    expect(await text()).toBe('""\n');
    expect(await text("--special")).toBe('"<human>"\n');
  });

  test.each([
    ["tokenize", '"a"\n{"b": 1}\n"c"', "Line 2 of stdin: it is a JSON object; wanted a JSON string."],
    ["tokenize", '"a"\n\nnope', "Line 3 of stdin: "],
    ["tokenize", Buffer.from('"a"\n"\xff"\n', "latin1"), "Line 2 of stdin: "],
    ["detokenize", "[1]\n[1.5]", "Line 2 of stdin: it is an array of other things; wanted"],
    ["detokenize", "[1]\n[999999]", "Line 2 of stdin: "],
    ["detokenize", "[1]\nnull", "Line 2 of stdin: it is null"],
  ])("%s ends at a wrong line with its number", async (name, input, message) => {
    const { code, out, err } = await run([name], input);
    expect(code).toBe(1);
    expect(err).toContain(message);
    expect(out.trim().split("\n")).toHaveLength(1);
  });
});

describe("with the embedded model", () => {
  test("generate and chat print what the same seed gives again", async () => {
    const flags = ["--seed", "3", "--max-tokens", "6", "--weights", "q8", "--context", "64", ...DEVICE_FLAGS];
    const streamed = await run(["chat", "你好", ...flags]);
    expect(streamed).toMatchObject({ code: 0, err: "" });
    const result = await json(["chat", "你好", ...flags]);
    expect(streamed.out).toBe(`${result.text}\n`);
    expect(result).toMatchObject({ seed: 3, usage: { cached_tokens: 0 } });
    const kept = await json(["chat", "你好", "--keep-newline", ...flags]);
    expect(kept.usage.prompt_tokens).toBe(result.usage.prompt_tokens + 1);
    const continued = await json(["generate", "--prompt", "你好", ...flags]);
    expect(continued.usage.completion_tokens).toBeLessThanOrEqual(6);
  });

  test("a beam search prints its answers at the end, the best first", async () => {
    const beams = ["--num-beams", "3", "--num-return-sequences", "2", "--early-stopping"];
    const cache = ["--weights", "q8", "--context", "64", "--kv-tokens", "256"];
    const flags = [...beams, "--max-tokens", "4", ...cache, ...DEVICE_FLAGS];
    const { out } = await run(["chat", "你好", ...flags]);
    const { text, sequences } = await json(["chat", "你好", ...flags]);
    expect(sequences).toHaveLength(2);
    expect(sequences[0].text).toBe(text);
    expect(sequences[0].score).toBeGreaterThan(sequences[1].score);
    expect(out).toBe(`${text}\n\n${sequences[1].text}\n`);
  });

  test("logits writes [T, vocab_size] floats that predict as perplexity says", async () => {
    const file = join(folder, "text.txt");
    await writeFile(file, "你好，我是子牙。");
    const ids: number[] = JSON.parse((await run(["tokenize"], '"你好，我是子牙。"')).out);
    const out = join(folder, "logits.bin");
    const tokens = ["--tokens", [1, ...ids].join(), "--out", out];
    const { shape } = await json(["logits", ...tokens, ...DEVICE_FLAGS]);
    const bytes = await readFile(out);
    expect(shape[0]).toBe(ids.length + 1);
    expect(bytes.length).toBe(4 * shape[0] * shape[1]);
    const floats = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    const size = Number(JSON.parse(await readFile("models/ziya-tiny/config.json", "utf8")).vocab_size);
    expect(shape[1]).toBe(size);

    const measured = await json(["perplexity", "--file", file, ...DEVICE_FLAGS]);
    const { tokens: count, nll, perplexity } = measured;
    expect(count).toBe(ids.length);
    expect(perplexity).toBeCloseTo(Math.exp(nll), 6);
    // Padding rows are untrained, and take a little of the probability here but not there.
    const own = ids.map((id, i) => negativeLogLikelihood(floats.subarray(i * size, (i + 1) * size), id));
    const mean = own.reduce((a, b) => a + b, 0) / ids.length;
    expect(Math.abs(nll - mean)).toBeLessThan(0.05 * mean);
    const refused = await run([
      "logits",
      "--tokens",
      "1,999999",
      "--out",
      join(folder, "no.bin"),
      ...DEVICE_FLAGS,
    ]);
    expect(refused.code).toBe(2);
    await expect(readFile(join(folder, "no.bin.part"))).rejects.toThrow("ENOENT");
  });

  test("doctor tells the adapter and what a 13B model needs", async () => {
    const found = await json(["doctor", ...DEVICE_FLAGS]);
    expect(found.adapters).toContain(found.adapter);
    expect(found.limits.maxStorageBufferBindingSize).toBeGreaterThanOrEqual(128 * 2 ** 20);
    const [q4, q8, f16] = found.ziya_13b;
    // The published files of these formats: 7.36 GB of 4-bit groups, 26.18 GB of f16.
    expect(q4.weight_bytes / 1e9).toBeCloseTo(7.37, 1);
    expect(q8.weight_bytes / q4.weight_bytes).toBeCloseTo(8.5 / 4.5, 2);
    expect(f16.weight_bytes / 1e9).toBeCloseTo(26.18, 1);
    expect(f16.cache_bytes_per_token).toBe(819_200);
    const bits = Object.entries(found.ziya_13b_cache_bytes).map(([cache, bytes]) => [
      cache,
      (16 * Number(bytes)) / (2048 * 819_200),
    ]);
    expect(Object.fromEntries(bits)).toEqual({ f16: 16, f32: 32, q8: 9, q4: 5 });
    // On software a rule chooses, and elsewhere timing.
    expect(found.decode.way).toMatch(/^(i8|f32) (\d+x\d|narrow)$/);
    expect(found.decode.timings === undefined).toBe(found.software);
    const text = (await run(["doctor", ...DEVICE_FLAGS])).out;
    expect(text).toContain(`Stored as q4 it would decode with ${found.decode.way}, by `);
    expect(text).toContain(`Its prompts would be multiplied with ${found.prefill.way}, by `);
    expect(text).toContain(found.adapter);
    expect(text).toContain("Ziya-LLaMA-13B with a full KV cache of 2048 tokens");
    expect(text).toContain("The cache as f16 1.68 GB, f32 3.36 GB, q8 0.944 GB, q4 0.524 GB: --kv chooses.");
    const refused = await run(["doctor", "--adapter", "no such adapter"]);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain('No adapter matches "no such adapter"');
  });
});

describe("totalLoss", () => {
  test("predicts every token once, in windows that begin anew", async () => {
    const [vocab, size, context] = [20, 17, 5];
    const ids = Array.from({ length: 13 }, (_, i) => (i * 7) % size);
    const scorer = {
      model: { contextLength: context, config: { vocab_size: vocab } },
      tokenizer: { bosId: 1, size },
      async *logits(tokens: readonly number[]) {
        expect(tokens.length).toBeLessThanOrEqual(context);
        // Two rows at a time, as the model gives several.
        for (let at = 0; at < tokens.length; at += 2) {
          const rows = tokens.slice(at, at + 2).map((_, i) => scatter(tokens.slice(0, at + i + 1), vocab));
          yield Float32Array.from(rows.flatMap((row) => [...row]));
        }
      },
    };
    let wanted = 0;
    ids.forEach((id, i) => {
      const before = ids.slice(i - (i % context), i);
      const row = scatter([1, ...before], vocab).subarray(0, size);
      wanted -= Math.log(Math.exp(row[id]!) / row.reduce((sum, logit) => sum + Math.exp(logit), 0));
    });
    const progress: number[] = [];
    const found = await totalLoss(scorer, ids, (done) => progress.push(done));
    // Rounding of float64 sums.
    expect(Math.abs(found - wanted)).toBeLessThan(1e-9);
    expect(progress.at(-1)).toBe(ids.length);
  });
});

describe("progressBar", () => {
  test("draws on a terminal, cleans up, and is silent elsewhere", () => {
    for (const terminal of [true, false]) {
      const io = fakeIo({ terminal });
      const bar = progressBar(io.stderr, "Loading");
      bar.show(1, 2);
      bar.show(1, 2);
      bar.clear();
      const line = "Loading [############............] 50 %";
      expect(io.err()).toBe(terminal ? `\r${line}\r${" ".repeat(line.length)}\r` : "");
    }
  });
});
