import { failureOf } from "../../src/failure.ts";
import {
  benchmarkEngine,
  type DeviceLostError,
  type Engine,
  type EngineOptions,
  type LlamaModel,
  loadEngine,
  OptionError,
} from "../../src/index.ts";
import { wayLabel } from "../../src/kernels/way.ts";
import { describeError, isWrong } from "../../src/model/check/checked.ts";
import type { EngineInfo } from "../api.ts";
import { webHost } from "../host.ts";
import type { LossEvent } from "../protocol.ts";
import type { Handlers } from "./call.ts";
import { meter } from "./meter.ts";
import { openSource } from "./source.ts";

type EngineCall =
  | "load"
  | "watch"
  | "answer"
  | "save"
  | "restore"
  | "encodeChat"
  | "encode"
  | "decode"
  | "benchmark";

let loaded: Engine<LlamaModel> | undefined;
let name = "";
/** Sends the page what becomes of a lost device, where it listens. */
let tell: (event: LossEvent) => void = () => {};

function onDeviceLost(error: DeviceLostError, recovered: Promise<void>): void {
  tell({ kind: "lost", failure: failureOf(error) });
  recovered.then(
    () => tell({ kind: "recovered" }),
    (reason: unknown) => tell({ kind: "gone", failure: failureOf(reason) }),
  );
}

function engine(): Engine<LlamaModel> {
  if (!loaded) throw new OptionError("This worker has no engine: its first call has to be `load`.");
  return loaded;
}

/** The calls to the worker's one engine. */
export const engineHandlers: Pick<Handlers, EngineCall> = {
  async load({ signal, emit }, source, { keep = true, ...options }) {
    const files = await openSource(source, keep, { signal, onProgress: emit });
    try {
      let loading = false;
      const progress = meter("load", emit);
      const onProgress = (done: number, total: number) => {
        loading = true;
        progress(done, total);
      };
      const compile = { phase: "compile", done: 0, total: 0, rate: null, left: null } as const;
      files.kept.then(
        () => loading || emit(compile),
        () => {},
      );
      const watched = { ...options, signal, onProgress, onDeviceLost } as EngineOptions;
      // Held as long as the engine lives, which reads them again when its device is lost.
      const [engine] = await Promise.all([loadEngine(webHost(), files.open, watched), files.kept]);
      loaded = engine;
      name = files.name;
      return describe(engine);
    } catch (error) {
      files.close();
      throw error;
    }
  },

  watch: ({ emit, signal }) => {
    tell = emit;
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  },

  async answer({ signal, emit, room }, prompt, plain) {
    const onPrefill = (done: number, total: number) => emit({ kind: "prefill", done, total });
    const options = { ...plain, signal, onPrefill };
    const stream =
      "messages" in prompt
        ? engine().chat(prompt.messages, options)
        : engine().generate(prompt.prompt, options);
    const pieces = stream[Symbol.asyncIterator]();
    for (;;) {
      await room();
      const { done, value } = await pieces.next();
      if (done) return stream.result;
      emit({ kind: "piece", text: value });
    }
  },

  async save({ signal, emit, room }, messages, options) {
    for await (const bytes of engine().saved(messages, options)) {
      await room();
      signal.throwIfAborted();
      emit(bytes, [bytes.buffer]);
    }
    return null;
  },

  restore: async (_, saved) => (await engine().restore(saved)).messages,
  encodeChat: async (_, messages) => engine().encodeChat(messages),
  encode: async (_, text) => engine().tokenizer.encode(text),
  decode: async (_, ids) => engine().tokenizer.decode(ids),
  benchmark: ({ signal, emit }) => benchmarkEngine(engine(), name, { signal, onProgress: emit }),
};

function describe({ model, defaults }: Engine<LlamaModel>): EngineInfo {
  const { vendor, architecture, device, description } = model.adapter;
  return {
    name,
    adapter: { vendor, architecture, device, description },
    features: [...model.features],
    decoding: model.decoding.set === "plain" ? "plain" : model.decoding.way,
    prefilling: model.prefilling.way,
    wrong: model.checked
      .filter(isWrong)
      .map((one) => `${wayLabel(one.kernel, one.way)} is ${describeError(one)}`),
    memory: model.memory,
    context: model.contextLength,
    defaults,
  };
}
