/**
 * The browser's half of the package: an engine in a worker, models in the browser's storage, and a host for those who
 * would rather load the engine of `ziya-webgpu` into a page or worker of their own.
 */
export * from "../src/errors.ts";
export type * from "../src/index.ts";
export type * from "./api.ts";
export { loadEngine } from "./client/engine.ts";
export { openModels } from "./client/models.ts";
export { webHost } from "./host.ts";
export { createLanguageModel } from "./prompt/language-model.ts";
