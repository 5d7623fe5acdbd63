/** The host-free core: it needs WebGPU and a way to read the checkpoint's files. Hosts: `ziya-webgpu/node`. */
export { benchmarkEngine } from "./benchmark/benchmark.ts";
export type { BenchmarkOptions, BenchmarkReport } from "./benchmark/report.ts";
export { httpFolder, httpSource } from "./checkpoint/http.ts";
export { type ByteSource, blobSource, bytesSource, type OpenFile } from "./checkpoint/source.ts";
export * from "./errors.ts";
export type {
  AnswerStream,
  FinishReason,
  FoundAnswer,
  GenerationResult,
  GenerationStream,
} from "./generate/answer.ts";
export { ChatFormat } from "./generate/chat.ts";
export type { Conversation } from "./generate/conversation.ts";
export { Engine, type EngineParts } from "./generate/engine.ts";
export { type EngineOptions, loadEngine } from "./generate/load-engine.ts";
export type { GenerationDefaults, GenerationOptions, Overflow } from "./generate/options.ts";
export type { EngineModel, PlacedModel, RecoveryOptions } from "./generate/recovery.ts";
export type { Message } from "./generate/template.ts";
export type { DeviceOptions } from "./gpu/device.ts";
export { RUNGS, type Rung } from "./gpu/features.ts";
export type { Host, Store } from "./host.ts";
export type { Importance } from "./model/calibrate.ts";
export type { Checked } from "./model/check/checked.ts";
export type { Config } from "./model/config.ts";
export type { Candidates, LanguageModel, Want } from "./model/language-model.ts";
export type { LlamaModel } from "./model/model.ts";
export type { Snapshots } from "./model/snapshots.ts";
export { WEIGHT_FORMATS, type WeightFormat } from "./stored.ts";
export type { StreamDecoder } from "./tokenizer/decoder.ts";
export type { Span, Tokenizer } from "./tokenizer/tokenizer.ts";
