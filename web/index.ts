/** The browser's half of the package: an engine in a worker, models in the browser's storage, a host for one's own. */
export * from "../src/index.ts";
export type * from "./api.ts";
export { loadEngine } from "./client/engine.ts";
export { openModels } from "./client/models.ts";
export { webHost } from "./host.ts";
