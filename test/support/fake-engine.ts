import { CARD_DEFAULTS } from "../../src/generate/defaults.ts";
import type { AnswerStream, GenerationOptions, GenerationResult, Message, Room } from "../../src/index.ts";
import type {
  BenchmarkReport,
  EngineInfo,
  ModelNeeds,
  ModelSource,
  Models,
  StoredModel,
  TransferOptions,
  WebEngine,
  WebOptions,
} from "../../web/api.ts";

/** What a test wants of the engine that stands in for the real one: `globalThis.fake`, set before the page's scripts run. */
export interface Fake {
  /** What is answered, by the last question; or the question itself, said back. */
  readonly answers?: Readonly<Record<string, string>>;
  /** Milliseconds between two pieces. */
  readonly delay?: number;
  /** Pieces are of so many characters. */
  readonly piece?: number;
  /** Milliseconds that loading takes, in ten steps. */
  readonly loading?: number;
  /** What loading fails with, as often as `times` says. */
  loadFails?: FakeFailure;
  /** What answering fails with. */
  answerFails?: FakeFailure;
  /** What a transfer that the person started fails with. */
  transferFails?: FakeFailure;
  /** The device is lost with each question, and back after so many milliseconds. */
  readonly deviceBack?: number;
  /** Models of which `verify` finds files that are wrong. */
  readonly damaged?: readonly string[];
  /** Tokens of the context; a character is a token. */
  readonly context?: number;
  readonly stored?: readonly StoredModel[];
  readonly obstacle?: string;
  readonly free?: number;
  /** What the page asked for, by the name of the call. */
  readonly calls?: [string, unknown][];
}

interface FakeFailure {
  readonly name?: string;
  readonly code?: string;
  readonly message: string;
  readonly room?: Room;
  times?: number;
}

const fake = (): Fake => (globalThis as { fake?: Fake }).fake ?? {};
const note = (call: string, args: unknown) => fake().calls?.push([call, args]);

function failing(failure: FakeFailure | undefined): Error | undefined {
  if (!failure || failure.times === 0) return undefined;
  if (failure.times !== undefined) failure.times--;
  return Object.assign(new Error(failure.message), {
    name: failure.name ?? "Error",
    ...(failure.code !== undefined && { code: failure.code }),
    ...(failure.room && { room: failure.room }),
  });
}

/** Passes so much of a time that the test sets, or until the test hurries (page.ts). */
function pass(time: "delay" | "loading" | "deviceBack", signal?: AbortSignal, share = 1): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, share * (fake()[time] ?? 0));
    addEventListener("hurry", () => resolve(), { once: true });
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

async function transfer(
  phase: "download" | "load" | "convert" | "check",
  options: TransferOptions,
  share = 0,
) {
  const total = 11_800_000;
  for (let step = 0; step <= 10; step++) {
    options.signal?.throwIfAborted();
    options.onProgress?.({ phase, done: (total * step) / 10, total, rate: 3_100_000, left: 10 - step });
    await pass("loading", options.signal, share / 10);
  }
}

export async function loadEngine(source: ModelSource, options: WebOptions = {}): Promise<WebEngine> {
  note("load", source);
  note("context", options.context);
  await transfer("download", options, 1);
  const failure = failing(fake().loadFails);
  if (failure) throw failure;
  return new FakeEngine(options.onDeviceLost);
}

class FakeEngine implements WebEngine {
  readonly info: EngineInfo = {
    name: "ziya-tiny",
    adapter: { vendor: "acme", architecture: "model-1", device: "", description: "ACME Model 1" },
    features: ["subgroups", "dot"],
    decoding: "i8 narrow",
    prefilling: "i8 tiles",
    wrong: [] as readonly string[],
    memory: { weights: 11_800_000, cache: 3_100_000, activations: 2_600_000, total: 17_500_000 },
    context: fake().context ?? 512,
    defaults: { ...CARD_DEFAULTS, max_tokens: 256 },
  };
  private readonly onDeviceLost: WebOptions["onDeviceLost"];

  constructor(onDeviceLost: WebOptions["onDeviceLost"]) {
    this.onDeviceLost = onDeviceLost;
  }

  chat(messages: readonly Message[], options: GenerationOptions = {}): AnswerStream {
    note("chat", { messages, options: { ...options, signal: undefined, onPrefill: undefined } });
    const failure = failing(fake().answerFails);
    if (failure) throw failure;
    if (fake().deviceBack !== undefined)
      this.onDeviceLost?.(new Error("The device was lost."), pass("deviceBack"));
    const question = messages.at(-1)!.content;
    const prompt = messages.reduce((sum, { content }) => sum + content.length, 0);
    return new FakeAnswer(fake().answers?.[question] ?? question, prompt, options);
  }

  encodeChat = async (messages: readonly Message[]): Promise<number[]> =>
    new Array(messages.reduce((sum, { content }) => sum + content.length, 0)).fill(0);
  encode = async (text: string): Promise<number[]> => new Array(text.length).fill(0);
  decode = async (): Promise<string> => "";

  destroy(): void {
    note("destroy", undefined);
  }

  async benchmark({ onProgress }: { onProgress?: (done: number) => void } = {}): Promise<BenchmarkReport> {
    onProgress?.(0.5);
    return {
      version: "0.1.0",
      adapter: this.info.adapter,
      features: this.info.features,
      decoding: this.info.decoding,
      prefilling: this.info.prefilling,
      model: "ziya-tiny",
      date: "2026-11-29T12:00:00.000Z",
      prompt_tokens: 128,
      read_bandwidth: 412_000_000_000,
      prefill_tokens_per_second: 1830,
      decode_tokens_per_second: 214,
      decode_share: 0.71,
      kernels: [
        {
          name: "gemv q4 gate up",
          pass: "decode",
          rows: 1,
          dispatches: 40,
          milliseconds: 0.412,
          bytes: 120_000_000,
          share: 0.83,
        },
        {
          name: "attention",
          pass: "decode",
          rows: 1,
          dispatches: 40,
          milliseconds: 0.05,
          bytes: null,
          share: null,
        },
      ],
    };
  }

  generate(): never {
    throw new Error("The page does not call it.");
  }

  conversation(): never {
    throw new Error("The page does not call it.");
  }

  restore(): never {
    throw new Error("The page does not call it.");
  }
}

class FakeAnswer implements AnswerStream {
  readonly result: Promise<GenerationResult>;
  private settle!: (result: GenerationResult) => void;
  private readonly text: string;
  private readonly prompt: number;
  private readonly options: GenerationOptions;

  constructor(text: string, prompt: number, options: GenerationOptions) {
    this.text = text;
    this.prompt = prompt;
    this.options = options;
    this.result = new Promise((resolve) => {
      this.settle = resolve;
    });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void> {
    const { signal, onPrefill } = this.options;
    const { piece = 4 } = fake();
    let given = "";
    let aborted = false;
    try {
      onPrefill?.(0, this.prompt);
      await pass("delay", signal);
      onPrefill?.(this.prompt, this.prompt);
      for (const part of this.text.match(new RegExp(`[^]{1,${piece}}`, "gu")) ?? []) {
        await pass("delay", signal);
        given += part;
        yield part;
      }
    } catch (error) {
      if (!signal?.aborted) throw error;
      aborted = true;
    }
    this.settle({
      text: given,
      finish_reason: aborted ? "abort" : "stop",
      seed: 1,
      usage: { prompt_tokens: this.prompt, completion_tokens: given.length, cached_tokens: 0 },
      timings: {
        time_to_first_token_ms: 42,
        prefill_tokens_per_second: 1200,
        decode_tokens_per_second: 87,
      },
    });
  }

  async complete(): Promise<GenerationResult> {
    for await (const _ of this);
    return this.result;
  }
}

/** Tokens that each model was made for. */
const LONGEST = 2048;

export function openModels(): Models {
  const stored = new Map((fake().stored ?? []).map((model) => [model.name, model]));
  const keep = (name: string): StoredModel => {
    const model = { name, whole: true, done: 1e9, total: 1e9, weights: "q4", changed: 0 };
    stored.set(name, model);
    return model;
  };
  const space = async () => ({ used: 11_800_000, free: fake().free ?? 50e9, persisted: false });
  return {
    list: async () => [...stored.values()],
    space,
    async inspect(source, { context = LONGEST } = {}): Promise<ModelNeeds> {
      note("inspect", source);
      if (context > LONGEST) throw new Error(`context is ${context}; wanted at most ${LONGEST}.`);
      const cache = context * 819_200;
      return {
        name: "Ziya-13B-q4",
        bytes: 7.3e9,
        present: 0,
        weights: "q4",
        memory: { weights: 7.3e9, cache, activations: 2e8, total: 7.5e9 + cache },
        context,
        space: await space(),
        ...(fake().obstacle !== undefined && { obstacle: fake().obstacle }),
      };
    },
    async download(model, options = {}) {
      note("download", model);
      await transfer("download", options, 1);
      const failure = failing(fake().transferFails);
      if (failure) throw failure;
      return keep("Ziya-13B-q4");
    },
    async add(name, files, options = {}) {
      note("add", { name, files: (files as File[]).map((file) => file.name) });
      await transfer("download", options);
      return keep(name);
    },
    async convert(name, source, { weights, calibration, ...options } = {}) {
      const names = (files: unknown) => (files as File[] | undefined)?.map((file) => file.name);
      const folders = { model: names(source.model), base: names(source.base), delta: names(source.delta) };
      note("convert", { name, ...folders, weights, calibration: (calibration as File | undefined)?.name });
      await transfer("convert", options);
      return keep(name);
    },
    async verify(name, options = {}) {
      await transfer("check", options);
      return { ...(stored.get(name) ?? keep(name)), whole: !fake().damaged?.includes(name) };
    },
    async delete(name) {
      note("delete", name);
      stored.delete(name);
    },
    close() {},
  };
}
