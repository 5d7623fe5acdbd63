import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { UsageError } from "../../node/commands/command.ts";
import { converse } from "../../node/commands/repl.ts";
import { writeAnswer } from "../../node/commands/sampling.ts";
import type { GenerationOptions, Message } from "../../node/index.ts";
import { ChatFormat } from "../../src/generate/chat.ts";
import { CARD_DEFAULTS } from "../../src/generate/defaults.ts";
import { Engine } from "../../src/generate/engine.ts";
import { fakeIo } from "../support/io.ts";
import { certain, FakeModel, fakeSnapshots } from "../support/model.ts";
import { ToyTokenizer } from "../support/tokenizer.ts";

const [EOS, HUMAN, BOT] = [2, 3, 4];
const tokenizer = new ToyTokenizer();
const format = new ChatFormat(tokenizer, undefined);

/** An engine that answers `said`, or to "long" without an end, and notes the messages of each question. */
function engineOf(contextLength = 300, said = "ok.", onPass = () => {}) {
  const reply = [ToyTokenizer.PREFIX, ...ToyTokenizer.characters(said), EOS];
  const long = ToyTokenizer.characters("long").join();
  const model = new FakeModel({
    tokenCount: tokenizer.size,
    chunk: 4,
    contextLength,
    onPass,
    logitsAfter: (tokens) => {
      const at = tokens.lastIndexOf(BOT);
      const endless = tokens.slice(tokens.lastIndexOf(HUMAN), at).join().includes(long);
      return certain(
        (endless ? ToyTokenizer.characters("x")[0] : reply[tokens.length - at - 3]) ?? EOS,
        tokenizer.size,
      );
    },
  });
  const parts = {
    model,
    tokenizer,
    format,
    addBos: true,
    defaults: CARD_DEFAULTS,
    snapshots: fakeSnapshots(),
  };
  const engine = new Engine({ ...parts, eosIds: [EOS] });
  const asked: (readonly Message[])[] = [];
  const chat = engine.chat.bind(engine);
  engine.chat = (messages: readonly Message[], options?: GenerationOptions) => {
    asked.push(messages);
    return chat(messages, options);
  };
  return Object.assign(engine, { asked });
}

test("an answer on a terminal tells how far its prompt is, and takes that away before the first piece", async () => {
  const answered = async (terminal: boolean) => {
    const io = fakeIo({ terminal });
    const asked = [{ role: "user", content: "a prompt of several chunks" }] as const;
    await writeAnswer(io, false, (onPrefill) => engineOf().chat(asked, { onPrefill }));
    expect(io.out()).toBe("ok.\n");
    return io.err();
  };
  const shown = (await answered(true)).split("\r");
  expect(shown.filter((line) => /^Reading \[#+\.+\] \d+ %$/.test(line)).length).toBeGreaterThan(3);
  expect(shown.at(-2)!.trim()).toBe("");
  expect(shown.at(-1)).toBe("");
  expect(await answered(false)).toBe("");
});

describe("converse", () => {
  test("answers the lines of a pipe and remembers them until /reset", async () => {
    const io = fakeIo({ input: "one\n\n two \n/reset\nthree" });
    const engine = engineOf();
    expect(await converse(engine, io, false, {})).toBe(0);
    expect(io.out()).toBe("ok.\nok.\nok.\n");
    expect(engine.asked.map((messages) => messages.map(({ content }) => content))).toEqual([
      ["one"],
      ["one", "ok.", "two"],
      ["three"],
    ]);
  });

  test("has /stats, /help, and a hint for other commands", async () => {
    const io = fakeIo({ input: "/stats\none\n/stats\n/help\n/nope\n /reset\n" });
    const engine = engineOf();
    await converse(engine, io, false, { seed: 4 });
    expect(io.out()).toContain("There was no answer yet.");
    expect(io.out()).toMatch(/prompt {3}11 tokens, 0 of them/);
    expect(io.out()).toContain("answer   5 tokens, ended by stop, seed 4");
    expect(io.err()).toContain("There is no /nope.");
    expect(io.err().split("/reset      forget").length).toBe(3);
    expect(engine.asked.at(-1)?.at(-1)?.content).toBe("/reset");
  });

  test("shows the figures of the last answer with their units", async () => {
    let clock = 0;
    vi.spyOn(performance, "now").mockImplementation(() => clock);
    try {
      const engine = engineOf(300, "ok.", () => {
        clock += 625;
      });
      const io = fakeIo({ input: "one\n/stats\ntwo\n/stats\n" });
      await converse(engine, io, false, { seed: 4 });
      // 11 tokens in three passes; then four more tokens, one a pass.
      expect(io.out()).toContain(`ok.
prompt   11 tokens, 0 of them still in the cache
answer   5 tokens, ended by stop, seed 4
first    1875 ms to the first token
prefill  5.87 tokens/s
decode   1.60 tokens/s
`);
      // The prompt and the answer are there still; its end and the new turn are eleven tokens again.
      expect(io.out()).toContain(`ok.
prompt   26 tokens, 15 of them still in the cache
answer   5 tokens, ended by stop, seed 4
first    1875 ms to the first token
prefill  5.87 tokens/s
decode   1.60 tokens/s
`);
    } finally {
      vi.restoreAllMocks();
    }
  });

  test("answers the lines of a pipe up to the one that is not UTF-8", async () => {
    const io = fakeIo({
      input: Buffer.concat([Buffer.from("one\r\ntwo\u2028too\n"), Buffer.from([0xe9, 10])]),
    });
    const engine = engineOf();
    await expect(converse(engine, io, false, {})).rejects.toThrow(UsageError);
    expect(engine.asked.map((messages) => messages.at(-1)?.content)).toEqual(["one", "two\u2028too"]);
    const again = converse(engineOf(), fakeIo({ input: Buffer.from([0xe9]) }), false, {});
    await expect(again).rejects.toThrow("Line 1 of stdin is not UTF-8; wanted a text");
  });

  test("on a terminal, what the model says cannot steer it; a pipe has it as it is", async () => {
    const said = "a\x1b[2J\r\x07\x9b1mb\x7f\tc\nd";
    const io = fakeIo({ terminal: true });
    const end = converse(engineOf(300, said), io, false, {});
    await io.until("> ");
    io.stdin.write("one\r");
    await io.until("a\u241b[2J\u240d\u2407\ufffd1mb\u2421\tc\nd\n");
    io.stdin.write("\x04");
    expect(await end).toBe(0);
    const pipe = fakeIo({ input: "one\n" });
    await converse(engineOf(300, said), pipe, false, {});
    expect(pipe.out()).toBe(`${said}\n`);
    const json = fakeIo({ input: "one\n" });
    await converse(engineOf(300, said), json, true, {});
    expect(JSON.parse(json.out()).text).toBe(said);
  });

  test("keeps a conversation in a file, and goes on with it elsewhere", async () => {
    const folder = await mkdtemp(join(tmpdir(), "ziya-repl-"));
    try {
      const file = join(folder, "what was said");
      const io = fakeIo({ input: `one\n/save ${file}\n/save ${join(folder, "none", "file")}\n/save\n` });
      expect(await converse(engineOf(), io, false, {})).toBe(1);
      expect(io.err()).toContain(`2 messages kept in ${file}.`);
      expect(io.err()).toMatch(/none.file could not be written/);
      expect(io.err()).toContain("wants the name of a file");
      expect(await readdir(folder)).toEqual(["what was said"]);
      const later = fakeIo({ input: `/load ${file}\ntwo\n/stats\n/load ${folder}/nothing\n` });
      const engine = engineOf();
      expect(await converse(engine, later, false, {})).toBe(1);
      expect(engine.asked[0]?.map(({ content }) => content)).toEqual(["one", "ok.", "two"]);
      expect(later.out()).toContain("prompt   26 tokens, 15 of them still in the cache");
      expect(later.err()).toContain(`2 messages from ${file}.`);
      expect(later.err()).toContain("nothing does not exist: check the path.");
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("prints a result a line with json", async () => {
    const io = fakeIo({ input: "/stats\none\n/stats\ntwo\n" });
    await converse(engineOf(), io, true, { seed: 4 });
    const results = io
      .out()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const [none, first, stats, second] = results;
    expect(none).toEqual({ stats: null });
    expect([first, second]).toMatchObject([{ text: "ok." }, { text: "ok.", finish_reason: "stop" }]);
    const { text: _, ...figures } = first;
    expect(stats).toEqual({ stats: figures });
    expect(results).toHaveLength(4);
  });

  test("goes on after a message that does not fit, with exit code 1 from a pipe", async () => {
    const io = fakeIo({ input: `${"a".repeat(60)}\none\n` });
    expect(await converse(engineOf(50), io, false, {})).toBe(1);
    expect(io.out()).toBe("ok.\n");
    expect(io.err()).toContain("the context holds 50");
  });

  test("on a terminal, Ctrl-C stops the answer and keeps what came of it", async () => {
    const io = fakeIo({ terminal: true });
    const engine = engineOf();
    const end = converse(engine, io, false, {});
    await io.until("> ");
    io.stdin.write("long\r");
    await io.until("xxx");
    io.stdin.write("\x03");
    await io.until("\n");
    await io.until("> ");
    io.stdin.write("one\r");
    await io.until("\n");
    await io.until("> ");
    expect(engine.asked[1]?.map(({ role }) => role)).toEqual(["user", "assistant", "user"]);
    expect(engine.asked[1]?.[1]?.content).toMatch(/^x+$/);
    // Ctrl-D
    io.stdin.write("\x04");
    expect(await end).toBe(0);
  });

  test("on a terminal, Ctrl-D during an answer ends behind it, without another prompt", async () => {
    const io = fakeIo({ terminal: true });
    const end = converse(engineOf(), io, false, { max_tokens: 40 });
    await io.until("> ");
    io.stdin.write("long\r");
    await io.until("xxx");
    io.stdin.write("\x04");
    expect(await end).toBe(0);
    expect(io.out().split("> ")).toHaveLength(2);
    expect(io.out()).toMatch(/x{40}\n\n$/);
    expect(io.stdin.isPaused()).toBe(true);
  });

  test("on a terminal, Ctrl-C empties the line, and twice at an empty prompt ends", async () => {
    const io = fakeIo({ terminal: true });
    const engine = engineOf();
    const end = converse(engine, io, false, {});
    await io.until("> ");
    io.stdin.write("half a line");
    await io.until("half a line");
    io.stdin.write("\x03");
    await io.until("> ");
    io.stdin.write("\x03");
    await io.until("Ctrl-C again, or Ctrl-D, ends.");
    io.stdin.write("one\r");
    await io.until("ok.");
    await io.until("> ");
    expect(engine.asked).toEqual([[{ role: "user", content: "one" }]]);
    // A line between the two counts anew.
    io.stdin.write("\x03");
    await io.until("Ctrl-C again, or Ctrl-D, ends.");
    io.stdin.write("\x03");
    expect(await end).toBe(0);
  });
});
