import { describe, expect, test } from "vitest";
import { CheckpointError, DeviceError, DeviceLostError } from "../../src/errors.ts";
import { CARD_DEFAULTS } from "../../src/generate/defaults.ts";
import { Engine } from "../../src/generate/engine.ts";
import type { GenerationOptions } from "../../src/generate/options.ts";
import type { PlacedModel } from "../../src/generate/recovery.ts";
import type { Loss } from "../../src/gpu/device.ts";
import type { Sequence } from "../../src/model/sequence.ts";
import { collect, EOS, format, tokenizer, user } from "../support/engine.ts";
import { FakeModel, type FakeModelOptions, fakeSnapshots, scatter } from "../support/model.ts";
import { ToyTokenizer } from "../support/tokenizer.ts";

const LETTERS = ToyTokenizer.characters("abcdefgh");

/** Logits of letters that look random and depend on all that was before. */
function letters(tokens: readonly number[]): Float32Array {
  const logits = new Float32Array(tokenizer.size).fill(-30);
  const some = scatter(tokens, LETTERS.length);
  for (const [i, id] of LETTERS.entries()) logits[id] = some[i]!;
  return logits;
}

interface Losing extends Partial<FakeModelOptions> {
  /** In which pass of each device it is lost; after those, none is. */
  readonly lostAt?: readonly number[];
  readonly ranOut?: boolean;
  readonly onLost?: (error: Error, recovered: Promise<void>) => void;
  /** Called before a device is opened again; what it gives is how that device was lost at once. */
  readonly onReopen?: (signal: AbortSignal) => Promise<DeviceLostError | undefined>;
}

/** An engine whose devices are lost as planned. */
function losing({ lostAt = [], ranOut = false, onLost, onReopen, ...options }: Losing = {}) {
  const models: FakeModel[] = [];
  let freed = 0;
  const place = (): PlacedModel<FakeModel> => {
    const device = models.length;
    let loss: Loss | undefined;
    let passes = 0;
    const model = new FakeModel({
      tokenCount: tokenizer.size,
      contextLength: 96,
      pages: 64,
      chunk: 8,
      logitsAfter: letters,
      ...options,
      onPass() {
        if (++passes < (lostAt[device] ?? Number.POSITIVE_INFINITY)) return;
        loss ??= { error: new DeviceLostError(`device ${device} is lost`), ranOut };
        throw loss.error;
      },
    });
    models.push(model);
    const free = () => void freed++;
    return { model, snapshots: fakeSnapshots({}, model), need: "9 GB", loss: () => loss, free };
  };
  const engine = new Engine({
    ...place(),
    tokenizer,
    format,
    addBos: true,
    defaults: CARD_DEFAULTS,
    eosIds: [EOS],
    onDeviceLost: onLost,
    reopen: async (signal) => (await onReopen?.(signal)) ?? place(),
  });
  return { engine, models, freed: () => freed };
}

const PROMPT = "ab cd ef gh ab cd";
const SEEDED: GenerationOptions = { temperature: 1, seed: 7, max_tokens: 12 };
const KINDS: Record<string, GenerationOptions> = {
  greedy: { ...SEEDED, temperature: 0 },
  seeded: SEEDED,
  "with a penalty on what was seen": { ...SEEDED, repetition_penalty: 1.3 },
  "with drafts": { ...SEEDED, temperature: 0, prompt_lookup_num_tokens: 3 },
  "of a beam search": { num_beams: 3, max_tokens: 8, seed: 7 },
};
/** Of an answer's prompt of 18 tokens, 8 a pass, of its first tokens and its last one, and one more. */
const PASSES = [1, 3, 4, 5, 14, 15];

describe("an answer whose device is lost", () => {
  test.each(Object.entries(KINDS))("goes on with the same tokens, whenever it is: %s", async (_, options) => {
    const whole = await losing().engine.generate(PROMPT, options).complete();
    let recovered = 0;
    for (const pass of PASSES) {
      const { engine, models, freed } = losing({ lostAt: [pass] });
      const result = await engine.generate(PROMPT, options).complete();
      expect({ ...result, timings: null, usage: null }).toEqual({ ...whole, timings: null, usage: null });
      expect(result.usage.completion_tokens).toBe(whole.usage.completion_tokens);
      recovered += models.length - 1;
      expect(engine.model).toBe(models.at(-1));
      expect(models.slice(0, -1).every(({ destroyed }) => destroyed)).toBe(true);
      expect(freed()).toBe(models.length - 1);
    }
    expect(recovered).toBeGreaterThan(2);
  });

  test("does so beside others, each in its own stream, in as many pieces", async () => {
    const asked = Object.values(KINDS).map((options, i) => [`${PROMPT} ${"abcde"[i]}`, options] as const);
    const whole = await Promise.all(
      asked.map(([prompt, options]) => collect(losing().engine.generate(prompt, options))),
    );
    for (const pass of [1, 7, 16]) {
      const { engine, models } = losing({ lostAt: [pass, 6] });
      const streams = asked.map(([prompt, options]) => collect(engine.generate(prompt, options)));
      expect(await Promise.all(streams)).toEqual(whole);
      expect(models.length).toBe(3);
    }
  });

  test("leaves its reader what was drawn, and no page in use after it", async () => {
    const { engine, models } = losing({ lostAt: [6] });
    const stream = engine.generate(PROMPT, SEEDED)[Symbol.asyncIterator]();
    const { value } = await stream.next();
    expect(value).not.toBe("");
    while (!(await stream.next()).done);
    const everything = models[1]!.open();
    everything.reserve(96);
    everything.discard();
    await Promise.all(["h", "g", "f"].map((prompt) => engine.generate(prompt, SEEDED).complete()));
  });

  test("counts a token between two losses: three in a row are the end of it, and not of the next one", async () => {
    const whole = await losing().engine.generate(PROMPT, SEEDED).complete();
    // Its prompt takes three passes; what was drawn is run again, a pass each.
    const often = losing({ lostAt: [4, 5, 6, 7, 8] });
    expect((await often.engine.generate(PROMPT, SEEDED).complete()).text).toBe(whole.text);
    expect(often.models.length).toBe(6);
    const rows = losing({ lostAt: [6, 2, 2] });
    const pieces: string[] = [];
    const failing = (async () => {
      for await (const piece of rows.engine.generate(PROMPT, SEEDED)) pieces.push(piece);
    })();
    await expect(failing).rejects.toThrow(DeviceLostError);
    await expect(failing).rejects.toThrow(
      "was lost 3 times without a token in between, the last time: device 2 is lost",
    );
    expect(pieces.join("").length).toBeGreaterThan(1);
    expect(whole.text.startsWith(pieces.join(""))).toBe(true);
    expect((await rows.engine.generate(PROMPT, SEEDED).complete()).text).toBe(whole.text);
  });

  test("of a search ends after three losses that it never got past, and others go on", async () => {
    const { engine } = losing({ lostAt: [7, 7, 7] });
    await expect(engine.generate(PROMPT, KINDS["of a beam search"]).complete()).rejects.toThrow("3 times");
    expect((await engine.generate(PROMPT, KINDS["of a beam search"]).complete()).text).not.toBe("");
    // What came of it counts: the next loss is the first.
    const patient = losing({ lostAt: [7, 7] }).engine;
    await patient.generate(PROMPT, KINDS["of a beam search"]).complete();
  });
});

describe("the engine meanwhile", () => {
  /** An engine whose device is lost in the fifth pass, and opened again when `open` is called. */
  function held(more: Losing = {}) {
    let open!: (loss?: DeviceLostError) => void;
    let asked!: () => void;
    const opening = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const gate = new Promise<DeviceLostError | undefined>((resolve) => {
      open = resolve;
    });
    const onReopen = () => {
      asked();
      return gate;
    };
    return { ...losing({ lostAt: [5], onReopen, ...more }), open, opening };
  }

  test("tells of the loss and of the recovery, once each", async () => {
    const told: string[] = [];
    const { engine, open, opening } = held({
      onLost(error, recovered) {
        told.push(error.message);
        recovered.then(() => told.push("recovered"));
      },
    });
    const answer = engine.generate(PROMPT, SEEDED).complete();
    await opening;
    expect(told).toEqual(["device 0 is lost"]);
    open();
    await answer;
    expect(told).toEqual(["device 0 is lost", "recovered"]);
  });

  test("lets new requests wait, and ends those that are stopped at once", async () => {
    const whole = (await losing().engine.generate(PROMPT, SEEDED).complete()).text;
    const { engine, models, open, opening } = held();
    const stop = new AbortController();
    const options = [SEEDED, { ...SEEDED, signal: stop.signal }];
    const streams = options.map((one) => engine.generate(PROMPT, one));
    const answers = streams.map((stream) => stream.complete());
    const search = { num_beams: 2, max_tokens: 8, signal: stop.signal };
    const searching = engine.generate("h", search).complete();
    await opening;
    const late = [engine.generate(PROMPT, SEEDED).complete(), engine.generate("h", search).complete()];
    stop.abort();
    for (const stopped of [answers[1]!, searching, late[1]!]) {
      expect((await stopped).finish_reason).toBe("abort");
    }
    expect(models.length).toBe(1);
    open();
    expect((await answers[0]!).text).toBe(whole);
    expect((await late[0]!).text).toBe(whole);
  });

  test("ends all that wait with what stands in the way, and tries again for the next one", async () => {
    let ways = 0;
    const { engine, models } = losing({
      lostAt: [5],
      onReopen: async () => {
        if (++ways === 1) throw new CheckpointError("model.safetensors is gone");
        return undefined;
      },
    });
    const answers = [PROMPT, "h"].map((prompt) => engine.generate(prompt, SEEDED).complete());
    const scores = engine.logits([5, 6, 7]).next();
    for (const result of await Promise.allSettled(answers)) {
      expect(result).toMatchObject({ status: "rejected", reason: { message: "model.safetensors is gone" } });
    }
    await scores;
    expect((await engine.generate("h", SEEDED).complete()).text).not.toBe("");
    expect([ways, models.length]).toEqual([2, 2]);
  });

  test("that is destroyed opens nothing more, and releases what was just opened", async () => {
    const { engine, models, open, opening, freed } = held();
    const answer = engine.generate(PROMPT, SEEDED).complete();
    await opening;
    engine.destroy();
    open();
    await expect(answer).rejects.toThrow(DeviceLostError);
    expect(models.every(({ destroyed }) => destroyed)).toBe(true);
    expect(freed()).toBeGreaterThanOrEqual(models.length);
    await expect(engine.generate("h", SEEDED).complete()).rejects.toThrow("device 0 is lost");
    expect(models.length).toBe(2);
  });

  test("counts a device that is lost while the model is loaded", async () => {
    let opened = 0;
    const again = () => new DeviceLostError(`opened ${++opened} times`);
    const { engine } = losing({ lostAt: [5], onReopen: async () => again() });
    await expect(engine.generate(PROMPT, SEEDED).complete()).rejects.toThrow("the last time: opened 2 times");
    expect(opened).toBe(2);
  });
});

test("memory that runs out again as soon as the model is back is an error with the need, and no loop", async () => {
  const { engine, models } = losing({ lostAt: [5, 1, 1], ranOut: true });
  const answer = engine.generate(PROMPT, SEEDED).complete();
  await expect(answer).rejects.toThrow(DeviceError);
  await expect(answer).rejects.toThrow(
    "as soon as the model was back on it, which needs 9 GB. device 1 is lost",
  );
  expect(models.length).toBe(2);
  // Once, it was somebody else's.
  const once = losing({ lostAt: [5, 8], ranOut: true });
  expect((await once.engine.generate(PROMPT, SEEDED).complete()).text).not.toBe("");
  expect(once.models.length).toBe(3);
});

test("logits of every token come once each, from another model after a loss", async () => {
  const rows = async (engine: Engine<FakeModel>) => {
    const all: Float32Array[] = [];
    for await (const row of engine.logits([5, 6, 7, 8])) all.push(row);
    return all;
  };
  const { engine, models } = losing();
  const [first] = models;
  const whole = await rows(engine);
  let loss: Loss | undefined;
  const broken = Object.create(first!, {
    score: {
      async value(sequence: Sequence, tokens: readonly number[]) {
        if (sequence.length < 2) return first!.score(sequence, tokens);
        loss = { error: new DeviceLostError("gone"), ranOut: false };
        throw loss.error;
      },
    },
  });
  const parts = { tokenizer, format, addBos: true, defaults: CARD_DEFAULTS, eosIds: [EOS] };
  const recovering = new Engine<FakeModel>({
    ...parts,
    model: broken,
    loss: () => loss,
    reopen: async () => ({ model: first! }),
  });
  expect(await rows(recovering)).toEqual(whole);
  expect(recovering.model).toBe(first);
});

test("a calibration begins again on another device, three times at most", async () => {
  const windows = ["ab", "cdef", "gh"].map((text) => ToyTokenizer.characters(text));
  function* once() {
    yield* windows;
  }
  const whole = await losing().engine.calibrate(windows);
  expect([...whole.values()].map(([count]) => count)).toEqual([2, 4, 2]);
  const { engine, models } = losing({ lostAt: [3, 2] });
  expect(await engine.calibrate(once())).toEqual(whole);
  expect(models.map(({ passes }) => passes.length)).toEqual([3, 2, 3]);
  const hopeless = losing({ lostAt: [3, 3, 3] }).engine;
  await expect(hopeless.calibrate(windows)).rejects.toThrow("lost 3 times without a token in between");
  expect(await hopeless.calibrate(windows)).toEqual(whole);
  const stopped = { signal: AbortSignal.abort(new Error("enough")) };
  await expect(hopeless.calibrate(windows, stopped)).rejects.toThrow("enough");
  await expect(hopeless.calibrate([[-1]])).rejects.toThrow("token id -1");
});

test("conversations are saved and restored across a loss", async () => {
  const whole = losing().engine.conversation();
  const told: string[] = [];
  for (const text of ["ab", "cd"]) told.push((await whole.say(text, SEEDED).complete()).text);

  const { engine, models } = losing({ lostAt: [9] });
  const conversation = engine.conversation();
  expect((await conversation.say("ab", SEEDED).complete()).text).toBe(told[0]);
  const saved = await conversation.save();
  expect(models.length).toBe(2);
  const other = losing({ lostAt: [9] });
  const restored = await other.engine.restore(saved);
  expect((await restored.say("cd", SEEDED).complete()).text).toBe(told[1]);
  expect(other.models.length).toBe(2);
  // It waits for a search, whose device is lost.
  const waiting = losing({ lostAt: [6], pages: 12 });
  const search = { num_beams: 2, max_tokens: 20, length_penalty: 5 };
  const found = waiting.engine.generate("a".repeat(80), search).complete();
  while (waiting.models[0]!.passes.length < 4) await new Promise((resolve) => setTimeout(resolve));
  expect((await waiting.engine.restore(saved)).messages).toEqual(restored.messages.slice(0, 2));
  expect(waiting.models.length).toBe(2);
  await found;
  expect((await conversation.say("cd", SEEDED).complete()).text).toBe(told[1]);
  expect(conversation.messages[0]).toEqual(user("ab"));
});
