import type { Engine } from "../generate/engine.ts";
import type { Gpu } from "../gpu/device.ts";
import { type Dispatch, encode } from "../gpu/kernel.ts";
import type { LlamaModel } from "../model/model.ts";
import type { Sequence } from "../model/sequence.ts";
import { median } from "../model/timing.ts";
import { VERSION } from "../version.ts";
import { kernelsOf, weightBytes } from "./kernels.ts";
import { READ_BYTES, readBandwidth } from "./read.ts";
import type { BenchmarkOptions, BenchmarkReport } from "./report.ts";

/** Tokens of the prompt: as many as come within the time, where the context has room for twice as many. */
const PROMPT = { least: 32, most: 128, milliseconds: 1000 };
/** Tokens behind it. */
const ANSWER = { least: 2, most: 32, milliseconds: 500 };
/** Turns of both, fewer where they take longer. */
const TURNS = { most: 3, milliseconds: 2000 };
/** Layers whose dispatches stand for those of all: enough that one does not leave its weights in a cache for the next. */
const MOST_LAYERS = 8;
/** Of one timed submit: well above what a submit costs, well below what others would notice. */
const SUBMIT_MS = 30;
/** Dispatches of one. */
const MOST_RUNS = 2048;
/** A kernel takes some time, however little the clock can tell of it. */
const LEAST_MS = 1e-3;
/** Turns of all kernels, fewer where they take longer. */
const SAMPLES = { most: 5, milliseconds: 4000 };

/** What is timed: rows of a pass of one sequence, and dispatches for them, of which the first few stand for all. */
interface Subject {
  readonly dispatches: readonly Dispatch[];
  readonly position: number;
  readonly rows: number;
}

type Benchmarked = Pick<Engine<LlamaModel>, "model" | "exclusive">;

/**
 * Times what the loaded model's passes are made of on its adapter, by the clock, over many repeats: timestamps of a browser's GPU
 * are too coarse. It takes a few seconds more than a prompt and a hundred tokens take. Answers go on beside it, between two
 * of its submits, and make its figures worse.
 * @param name What the report calls the model.
 * @throws the signal's reason when it is aborted; ContextOverflowError where answers leave no room in the KV cache;
 * DeviceLostError, since what was compiled is lost with the device.
 */
export async function benchmarkEngine(
  engine: Benchmarked,
  name: string,
  { signal, onProgress = () => {} }: BenchmarkOptions = {},
): Promise<BenchmarkReport> {
  const { model } = engine;
  const { gpu, state, weights, passes, decoding, prefilling } = model;
  const bench = new Bench(engine, signal);
  const reading = await readBandwidth(gpu);
  try {
    const { prompt, promptMs, tokenMs } = await bench.rates((done) => onProgress(0.3 * done));
    const rows = model.rowsOf(prompt);
    const kernels = [
      { pass: "decode", position: prompt, rows: 1, of: passes.decodeAt(prompt) } as const,
      { pass: "prefill", position: 0, rows, of: passes.prefill } as const,
    ].flatMap(({ of, ...pass }) =>
      kernelsOf(of, weights, state, pass.position + pass.rows).map(({ name, noted }) => ({
        ...pass,
        name,
        noted,
        dispatches: noted.map(({ dispatch }) => dispatch),
      })),
    );
    const [read, ...times] = await bench.time(
      [{ dispatches: [reading.dispatch], position: 0, rows: 1 }, ...kernels],
      (done) => onProgress(0.3 + 0.7 * done),
    );
    const bandwidth = (1000 * READ_BYTES) / read!.ms;
    const { vendor, architecture, device, description } = gpu.info;
    return {
      version: VERSION,
      adapter: { vendor, architecture, device, description },
      features: [...gpu.features],
      decoding: decoding.set === "plain" ? "plain" : decoding.way,
      prefilling: prefilling.way,
      model: name,
      date: new Date().toISOString(),
      read_bandwidth: bandwidth,
      prefill_tokens_per_second: (1000 * prompt) / promptMs,
      prompt_tokens: prompt,
      decode_tokens_per_second: 1000 / tokenMs,
      decode_share: (1000 * weightBytes(weights)) / tokenMs / bandwidth,
      kernels: kernels.map(({ name, pass, rows, noted }, i) => {
        const { ms, count } = times[i]!;
        const sum = (some: typeof noted) => some.reduce((bytes, one) => bytes + one.bytes, 0);
        const bytes = sum(noted);
        return {
          name,
          pass,
          rows,
          dispatches: noted.length,
          milliseconds: (ms * noted.length) / count,
          bytes: bytes || null,
          share: bytes ? (1000 * sum(noted.slice(0, count))) / ms / bandwidth : null,
        };
      }),
    };
  } finally {
    reading.destroy();
  }
}

/** Times in a sequence of its own, each submit between two passes of whoever is answered. */
class Bench {
  private readonly engine: Benchmarked;
  private readonly model: LlamaModel;
  private readonly signal: AbortSignal | undefined;
  /** Ids of the longest prompt. */
  private readonly tokens: readonly number[];

  constructor(engine: Benchmarked, signal: AbortSignal | undefined) {
    const { contextLength, tokenCount } = engine.model;
    this.engine = engine;
    this.model = engine.model;
    this.signal = signal;
    const length = Math.max(1, Math.min(PROMPT.most, Math.floor(contextLength / 2)));
    // Not all the same: rows of the embedding are read.
    this.tokens = Array.from({ length }, (_, i) => (97 * i) % tokenCount);
  }

  /** Tokens of a prompt, its milliseconds, and those of a token behind it: medians. */
  async rates(
    onDone: (done: number) => void,
  ): Promise<{ prompt: number; promptMs: number; tokenMs: number }> {
    const started = performance.now();
    const least = Math.min(PROMPT.least, this.tokens.length);
    const first = await this.alone((sequence) => this.answer(sequence, least));
    onDone(1 / (1 + TURNS.most));
    const affordable = Math.floor((PROMPT.milliseconds / first[0]) * least);
    const prompt = Math.max(least, Math.min(this.tokens.length, affordable));
    // The first one tells how many tokens to take; where it takes as long as all may, it counts.
    const turns = isWithin(started, TURNS) ? [] : [first];
    while (turns.length < TURNS.most && (turns.length === 0 || isWithin(started, TURNS))) {
      turns.push(await this.alone((sequence) => this.answer(sequence, prompt)));
      onDone((1 + turns.length) / (1 + TURNS.most));
    }
    const [promptMs, tokenMs] = [median(turns.map(([ms]) => ms)), median(turns.map(([, ms]) => ms))];
    return { prompt, promptMs, tokenMs };
  }

  /**
   * Milliseconds of one run of the first `count` dispatches of each, the submit's own cost taken off: medians of turns, so that
   * drift meets all of them alike.
   */
  async time(
    subjects: readonly Subject[],
    onDone: (done: number) => void,
  ): Promise<{ ms: number; count: number }[]> {
    const idle: Subject = { dispatches: [], position: 0, rows: 1 };
    const timed: { subject: Subject; count: number; repeats: number; samples: number[] }[] = [];
    const steps = (1 + subjects.length) * (1 + SAMPLES.most);
    let step = 0;
    await this.submit(idle, []);
    const cost = await this.submit(idle, []);
    for (const subject of [idle, ...subjects]) {
      const runs = await this.affordable(subject, cost);
      const count = Math.min(subject.dispatches.length, MOST_LAYERS, runs);
      timed.push({ subject, count, repeats: Math.floor(runs / Math.max(1, count)), samples: [] });
      onDone(++step / steps);
    }
    const started = performance.now();
    for (let sample = 0; sample < SAMPLES.most; sample++) {
      if (sample > 0 && !isWithin(started, SAMPLES)) break;
      for (const { subject, count, repeats, samples } of timed) {
        samples.push(await this.submit(subject, subject.dispatches.slice(0, count), repeats));
        onDone(++step / steps);
      }
    }
    onDone(1);
    const [own, ...kernels] = timed.map((one) => ({ ...one, ms: median(one.samples) }));
    return kernels.map(({ ms, count, repeats }) => ({
      ms: Math.max(ms - own!.ms, LEAST_MS) / repeats,
      count,
    }));
  }

  /** Runs of a subject's first dispatch that one submit affords, by more and more of them: of few the submit's cost tells too little. */
  private async affordable(subject: Subject, cost: number): Promise<number> {
    const first = subject.dispatches.slice(0, 1);
    await this.submit(subject, first);
    for (let runs = 1; ; runs *= 4) {
      const ms = Math.max((await this.submit(subject, first, runs)) - cost, LEAST_MS);
      if (ms > SUBMIT_MS / 8 || 4 * runs > MOST_RUNS || first.length === 0) {
        return Math.max(1, Math.min(MOST_RUNS, Math.floor((SUBMIT_MS / ms) * runs)));
      }
    }
  }

  private async answer(sequence: Sequence, length: number): Promise<[promptMs: number, tokenMs: number]> {
    const { model } = this;
    const started = performance.now();
    const prompt = this.tokens.slice(0, length);
    const { ids } = await model.forward(sequence, prompt, "argmax", this.signal);
    const promptMs = performance.now() - started;
    const most = Math.min(ANSWER.most, model.contextLength - length);
    const run = (await model.ahead([{ sequence, token: ids[0]! }], most))!;
    try {
      const times: number[] = [];
      while (times.length < most && (times.length < ANSWER.least || isWithin(times[0]!, ANSWER))) {
        await run.next();
        times.push(performance.now());
      }
      return [promptMs, (times.at(-1)! - times[0]!) / Math.max(1, times.length - 1)];
    } finally {
      await run.end();
    }
  }

  /** Milliseconds from submit to done of so many repeats. */
  private submit(
    { position, rows: count }: Subject,
    dispatches: readonly Dispatch[],
    repeats = 1,
  ): Promise<number> {
    return this.alone(async (sequence) => {
      const { gpu, state } = this.model;
      sequence.reserve(position + count);
      sequence.append(this.tokens, 0, position);
      state.rows.clear();
      state.rows.add({ sequence, tokens: this.tokens, first: 0, count, drawn: 1 });
      state.rows.write(gpu.device.queue);
      const encoder = gpu.device.createCommandEncoder({ label: "benchmark" });
      encode(encoder, Array.from({ length: repeats }, () => dispatches).flat(), "benchmark");
      return timeCommands(gpu, encoder.finish());
    });
  }

  /** Runs work that has the model, and a new sequence, to itself. What it leaves in the cache, nobody finds. */
  private async alone<Result>(work: (sequence: Sequence) => Promise<Result>): Promise<Result> {
    this.signal?.throwIfAborted();
    return this.engine.exclusive(async () => {
      // After a loss the engine has another model.
      this.model.gpu.check();
      const sequence = this.model.open();
      try {
        return await work(sequence);
      } finally {
        sequence.discard();
      }
    });
  }
}

function isWithin(started: number, { milliseconds }: { readonly milliseconds: number }): boolean {
  return performance.now() - started < milliseconds;
}

async function timeCommands(gpu: Gpu, commands: GPUCommandBuffer): Promise<number> {
  await gpu.finished();
  const started = performance.now();
  gpu.device.queue.submit([commands]);
  await gpu.finished();
  return performance.now() - started;
}
