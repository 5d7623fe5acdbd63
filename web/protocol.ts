import type { Failure } from "../src/failure.ts";
import type { GenerationOptions, GenerationResult, Message } from "../src/index.ts";
import type {
  BenchmarkReport,
  ConversionOptions,
  ConversionSource,
  EngineInfo,
  FolderFiles,
  ModelNeeds,
  ModelSource,
  RemoteModel,
  StorageSpace,
  StoredModel,
  TransferProgress,
  WebOptions,
} from "./api.ts";

/** Options without what does not go between threads: functions and signals have messages of their own. */
export type Plain<Options> = Omit<Options, "signal" | "onProgress" | "onPrefill" | "onDeviceLost" | "worker">;

/** What is answered: messages, or a text or ids that are continued. */
export type Prompt =
  | { readonly messages: readonly Message[] }
  | { readonly prompt: string | readonly number[] };

/** What an answer tells on the way. */
export type AnswerEvent =
  | { readonly kind: "piece"; readonly text: string }
  | { readonly kind: "prefill"; readonly done: number; readonly total: number };

/** What becomes of a device that was lost. */
export type LossEvent =
  | { readonly kind: "lost"; readonly failure: Failure }
  | { readonly kind: "recovered" }
  | { readonly kind: "gone"; readonly failure: Failure };

/** Of how many tokens a conversation is, and what the model is to be packed as, where that is not as it is. */
interface InspectedAs {
  readonly context?: number;
  readonly pack?: string;
}

/** What a page asks of its worker: by name the arguments, what comes on the way, and the result. */
export interface Calls {
  load: {
    args: [source: ModelSource, options: Plain<WebOptions>];
    event: TransferProgress;
    result: EngineInfo;
  };
  /** Goes on as long as the worker does. */
  watch: { args: []; event: LossEvent; result: null };
  answer: {
    args: [prompt: Prompt, options: Plain<GenerationOptions>];
    event: AnswerEvent;
    result: GenerationResult;
  };
  save: {
    args: [messages: readonly Message[], options: Plain<GenerationOptions>];
    event: Uint8Array<ArrayBuffer>;
    result: null;
  };
  restore: { args: [saved: Blob]; event: never; result: readonly Message[] };
  encodeChat: { args: [messages: readonly Message[]]; event: never; result: number[] };
  encode: { args: [text: string]; event: never; result: number[] };
  decode: { args: [ids: readonly number[]]; event: never; result: string };
  benchmark: { args: []; event: number; result: BenchmarkReport };
  list: { args: []; event: never; result: StoredModel[] };
  space: { args: []; event: never; result: StorageSpace };
  inspect: { args: [source: ModelSource, of: InspectedAs]; event: never; result: ModelNeeds };
  download: { args: [model: RemoteModel]; event: TransferProgress; result: StoredModel };
  add: { args: [name: string, files: FolderFiles]; event: TransferProgress; result: StoredModel };
  convert: {
    args: [name: string, source: ConversionSource, options: Plain<ConversionOptions>];
    event: TransferProgress;
    result: StoredModel;
  };
  verify: { args: [name: string]; event: TransferProgress; result: StoredModel };
  delete: { args: [name: string]; event: never; result: null };
}

export type Name = keyof Calls;

/** From the page. A call's events come as far as the page has asked for them. */
export type Request =
  | { readonly id: number; readonly call: Name; readonly args: readonly unknown[] }
  /** So many more events are wanted. */
  | { readonly id: number; readonly more: number }
  | { readonly id: number; readonly abort: Failure };

/** From the worker. */
export type Reply =
  /** Once, when its program runs. */
  | { readonly ready: true }
  | { readonly id: number; readonly event: unknown }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly failure: Failure };
