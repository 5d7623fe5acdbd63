import { describe, expect, test } from "vitest";
import { BusyError } from "../../src/errors.ts";
import { answering, collect, tokenizer, user } from "../support/engine.ts";
import { certain } from "../support/model.ts";

describe("cancellation", () => {
  test("leaving the loop ends the answer and frees the engine", async () => {
    const { engine, model } = answering("abcdef");
    const stream = engine.chat([user("hi")]);
    for await (const piece of stream) {
      if (piece === "b") break;
    }
    expect(await stream.result).toMatchObject({ text: "ab", finish_reason: "abort" });
    const calls = model.calls.length;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(model.calls.length).toBe(calls);
    expect((await engine.chat([user("hi")]).complete()).text).toBe("abcdef");
  });

  test("a signal ends it in the prompt, between pieces, and before it began", async () => {
    const early = AbortSignal.abort();
    const { engine } = answering("abcdef");
    expect(await engine.chat([user("hi")], { signal: early }).complete()).toMatchObject({
      text: "",
      finish_reason: "abort",
      usage: { completion_tokens: 0 },
      timings: { time_to_first_token_ms: null, decode_tokens_per_second: null },
    });
    const controller = new AbortController();
    const pieces: string[] = [];
    const stream = engine.chat([user("hi")], { signal: controller.signal });
    for await (const piece of stream) {
      pieces.push(piece);
      if (piece === "c") controller.abort();
    }
    expect(pieces).toEqual(["a", "b", "c"]);
    expect(await stream.result).toMatchObject({ text: "abc", finish_reason: "abort" });
    const during = new AbortController();
    const slow = answering("abc", { onPass: () => during.abort() });
    const aborted = await slow.engine.chat([user("hi")], { signal: during.signal }).complete();
    expect(aborted).toMatchObject({ text: "", finish_reason: "abort" });
  });

  test("a signal frees the engine of a stream that nobody reads any more", async () => {
    const { engine } = answering("abcdef", { scheduling: { parallel: 1, queue: 0 } });
    const controller = new AbortController();
    const stream = engine.chat([user("hi")], { signal: controller.signal });
    await stream[Symbol.asyncIterator]().next();
    await expect(engine.chat([user("hi")]).complete()).rejects.toThrow(BusyError);
    controller.abort();
    expect(await stream.result).toMatchObject({ text: "a", finish_reason: "abort" });
    expect((await engine.chat([user("hi")]).complete()).text).toBe("abcdef");
  });

  test("a signal that fails at the end leaves the engine free", async () => {
    const { engine } = answering("abc");
    const fail = () => {
      throw new Error("no listener to remove");
    };
    const signal = Object.assign(new AbortController().signal, { removeEventListener: fail });
    await expect(engine.chat([user("hi")], { signal }).complete()).rejects.toThrow("no listener to remove");
    expect((await engine.chat([user("hi")]).complete()).text).toBe("abc");
  });

  test("a stream that is closed before it was read has a result", async () => {
    const { engine } = answering("abc");
    const stream = engine.chat([user("hi")]);
    await stream[Symbol.asyncIterator]().return?.();
    expect(await stream.result).toMatchObject({ text: "", finish_reason: "abort" });
  });

  test("an error reaches the reader and the result, and an unread result harms nobody", async () => {
    const failures: unknown[] = [];
    const note = (error: unknown) => failures.push(error);
    process.on("unhandledRejection", note);
    const { engine } = answering("abc", {
      logitsAfter: (tokens) => {
        if (tokens.at(-1)! > 16 + 0x60) throw new Error("device gone");
        return certain(16 + 0x61, tokenizer.size);
      },
    });
    const stream = engine.chat([user("\u0020")]);
    await expect(collect(stream)).rejects.toThrow("device gone");
    await new Promise((resolve) => setTimeout(resolve, 10));
    process.off("unhandledRejection", note);
    expect(failures).toEqual([]);
    await expect(stream.result).rejects.toThrow("device gone");
    await expect(engine.chat([user(" ")]).complete()).rejects.toThrow("device gone");
  });

  test("an answer too many is refused, and does not disturb the first", async () => {
    const { engine } = answering("abc", { scheduling: { parallel: 1, queue: 0 } });
    const first = engine.chat([user("hi")]);
    const iterator = first[Symbol.asyncIterator]();
    await iterator.next();
    await expect(collect(engine.chat([user("hi")]))).rejects.toThrow(BusyError);
    // What comes between two passes does not wait for it.
    expect((await engine.logits([1]).next()).value).toBeInstanceOf(Float32Array);
    expect((await iterator.next()).value).toBe("b");
    expect((await iterator.next()).value).toBe("c");
    expect((await iterator.next()).done).toBe(true);
    expect(await first.result).toMatchObject({ text: "abc" });
  });
});
