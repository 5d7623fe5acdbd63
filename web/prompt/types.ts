import type { GenerationDefaults, GenerationOptions, Message } from "../../src/index.ts";

interface Chatting {
  chat(messages: readonly Message[], options?: GenerationOptions): AsyncIterable<string>;
  generate(prompt: readonly number[], options?: GenerationOptions): AsyncIterable<string>;
  encodeChat(messages: readonly Message[]): number[] | Promise<number[]>;
}

/** An engine of this thread. */
interface OwnEngine extends Chatting {
  readonly model: { readonly contextLength: number };
  readonly tokenizer: { encode(text: string): number[] };
  readonly defaults: GenerationDefaults;
}

/** One in a worker. */
interface WorkerEngine extends Chatting {
  readonly info: { readonly context: number; readonly defaults: GenerationDefaults };
  encode(text: string): Promise<number[]>;
}

/** What answers: an `Engine`, or a `WebEngine`. */
export type PromptEngine = OwnEngine | WorkerEngine;

/** Loads what answers when the first session is made; `onProgress` takes what loading tells of its download. */
export type EngineLoader = (options: {
  readonly onProgress: (progress: {
    readonly phase: string;
    readonly done: number;
    readonly total: number;
  }) => void;
}) => Promise<PromptEngine>;

/**
 * The shape of Chrome's Prompt API from here on, after the draft at https://webmachinelearning.github.io/prompt-api.
 * Types are as wide as those of `@types/dom-chromium-ai`, which a page may have beside these.
 */
interface PromptContent {
  /** "text"; others are refused. */
  readonly type: string;
  readonly value: unknown;
}

export interface PromptMessage {
  /** "system" only as the first message of a session. */
  readonly role: "system" | "user" | "assistant";
  readonly content: string | readonly PromptContent[];
  /** Of a last message of the assistant: the answer goes on behind it. */
  readonly prefix?: boolean;
}

export type PromptInput = string | readonly PromptMessage[];

export interface AbortOptions {
  readonly signal?: AbortSignal;
}

export interface PromptOptions extends AbortOptions {
  /** Refused: answers are free text. */
  readonly responseConstraint?: object;
  readonly omitResponseConstraintInput?: boolean;
}

interface ExpectedContent {
  readonly type: string;
  /** BCP 47 tags. Any are taken; which languages a model knows, it does not tell. */
  readonly languages?: readonly string[];
}

export const SAMPLING_MODES = [
  "most-predictable",
  "predictable",
  "balanced",
  "creative",
  "most-creative",
] as const;
export type SamplingMode = (typeof SAMPLING_MODES)[number];

export interface CreateCoreOptions {
  /** How an answer is drawn. Default "balanced": as the model's makers recommend. */
  readonly samplingMode?: SamplingMode;
  /** In place of `samplingMode`: what is above `params()` is taken for the most. */
  readonly topK?: number;
  readonly temperature?: number;
  readonly expectedInputs?: readonly ExpectedContent[];
  readonly expectedOutputs?: readonly ExpectedContent[];
  /** Refused, unless there are none. */
  readonly tools?: readonly object[];
}

/** Fires "downloadprogress", a ProgressEvent whose `loaded` goes from 0 to 1. */
export interface CreateMonitor extends EventTarget {
  ondownloadprogress: ((this: CreateMonitor, event: ProgressEvent) => unknown) | null;
}

export interface CreateOptions extends CreateCoreOptions, AbortOptions {
  readonly monitor?: (monitor: CreateMonitor) => void;
  /** Never dropped, however full the context is. */
  readonly initialPrompts?: readonly PromptMessage[];
}

export type Availability = "unavailable" | "downloadable" | "downloading" | "available";

export interface ModelParams {
  readonly defaultTopK: number;
  readonly maxTopK: number;
  readonly defaultTemperature: number;
  readonly maxTemperature: number;
}

type OverflowHandler = ((this: EventTarget, event: Event) => unknown) | null;

/** A conversation. What is asked of it is done in the order in which it was asked. */
export interface PromptSession extends EventTarget {
  /** The answer; it and the input are part of the conversation then, and neither is when it fails or is aborted. */
  prompt(input: PromptInput, options?: PromptOptions): Promise<string>;
  /** As prompt(), piece by piece. It goes on whether it is read or not; cancelling the stream aborts it. */
  promptStreaming(input: PromptInput, options?: PromptOptions): ReadableStream<string>;
  /** Makes the input part of the conversation and runs it, so that an answer begins sooner. */
  append(input: PromptInput, options?: AbortOptions): Promise<undefined>;
  /** Tokens that the input would add: with `contextUsage`, those of the prompt that is run. */
  measureContextUsage(input: PromptInput, options?: PromptOptions): Promise<number>;
  /** Tokens of the conversation as a prompt; of the next turn, what it begins with. */
  readonly contextUsage: number;
  /** Tokens that a prompt and its answer may have together. */
  readonly contextWindow: number;
  /**
   * "contextoverflow": the oldest messages were dropped, so that what was asked leaves room for an answer of a quarter of the
   * context, or of the model's `max_tokens` where that is less.
   */
  oncontextoverflow: OverflowHandler;
  readonly samplingMode: SamplingMode;
  readonly topK: number;
  readonly temperature: number;
  /** A session that goes on from here by itself. What the two have in common is in the KV cache once. */
  clone(options?: AbortOptions): Promise<PromptSession>;
  destroy(): undefined;
  /** Older names of measureContextUsage(), contextUsage, contextWindow and oncontextoverflow. */
  measureInputUsage(input: PromptInput, options?: PromptOptions): Promise<number>;
  readonly inputUsage: number;
  readonly inputQuota: number;
  onquotaoverflow: OverflowHandler;
}

/** What a page calls `LanguageModel`. */
export type LanguageModelClass = (abstract new () => PromptSession) & {
  readonly prototype: PromptSession;
  /** A new session. `signal` aborts its making, and later ends it. */
  create(options?: CreateOptions): Promise<PromptSession>;
  availability(options?: CreateCoreOptions): Promise<Availability>;
  params(): Promise<ModelParams>;
};
