import { OptionError } from "../../src/index.ts";
import type { Handlers } from "./call.ts";

type ModelCall = "list" | "space" | "inspect" | "download" | "add" | "convert" | "verify" | "delete";

const missing = async (): Promise<never> => {
  throw new OptionError("This browser's storage is not used yet.");
};

/** The calls about models in the browser's storage. */
export const modelHandlers: Pick<Handlers, ModelCall> = {
  list: async () => [],
  space: missing,
  inspect: missing,
  download: missing,
  add: missing,
  convert: missing,
  verify: missing,
  delete: missing,
};
