import { absolute, httpFolder } from "../../src/checkpoint/http.ts";
import type { Fetch } from "../../src/checkpoint/http-body.ts";
import { type ByteSource, decodeText, type OpenFile, readWhole } from "../../src/checkpoint/source.ts";
import { CheckpointError, ConfigError, DeviceError, OptionError } from "../../src/errors.ts";
import { type Config, parseConfig } from "../../src/model/config.ts";
import { CHUNK } from "../../src/model/load-model.ts";
import { checkFit, type GpuRoom, memoryOf, type Storage } from "../../src/model/memory.ts";
import { show } from "../../src/show.ts";
import { WEIGHT_FORMATS } from "../../src/stored.ts";
import type { ModelNeeds, StoredModel } from "../api.ts";
import { type Finder, packingIn, planFiles } from "./plan.ts";
import { describeNoRoom, storageSpace } from "./space.ts";
import { withoutWithheld } from "./withheld.ts";

export interface InspectOptions {
  /** Tokens of one conversation. Default: what the model was made for. */
  readonly context?: number;
  /** The format that it is to be packed in: then all that is told is of the result. */
  readonly pack?: string;
  /** The device that is to run it; without it, nothing is said of what fits there. */
  readonly gpu?: GpuRoom;
  readonly signal?: AbortSignal;
}

/** How a model is loaded where nothing else is asked for: unpacked weights become halves. */
const DEFAULT_WEIGHTS = "f16";

/** A finder of files that can be read where they are. */
export function finderOf(name: string, open: OpenFile, signal?: AbortSignal): Finder {
  const opened = new Map<string, Promise<ByteSource | undefined>>();
  const openOnce = (name: string) => {
    const known = opened.get(name) ?? open(name, signal);
    opened.set(name, known);
    return known;
  };
  return {
    name,
    async text(name) {
      const file = await openOnce(name);
      return file && readWhole(file);
    },
    async look(name) {
      const file = await openOnce(name);
      return file && { size: file.size };
    },
  };
}

/** The files of a server, to be looked at: nothing of them is kept. */
export function remoteFolder(
  url: string | URL,
  headers: Readonly<Record<string, string>> | undefined,
  fetch: Fetch = (url, init) => globalThis.fetch(url, init),
): OpenFile {
  const base = absolute(url);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  const seen = withoutWithheld(base, fetch);
  return httpFolder(base, (address, init) =>
    seen(address, { ...init, headers: { ...headers, ...init?.headers } }),
  );
}

/**
 * What a model takes, by its config and its index, or the header of its one file.
 * @param present bytes of it that are stored
 * @param stored the models that are stored, some of which could go
 * @throws CheckpointError where there is none, ConfigError for one that is not run.
 */
export async function inspectModel(
  name: string,
  open: OpenFile,
  { present, stored, isStored }: { present: number; stored: readonly StoredModel[]; isStored: boolean },
  options: InspectOptions = {},
): Promise<ModelNeeds> {
  const finder = finderOf(name, open, options.signal);
  const text = await finder.text("config.json");
  if (!text)
    throw new CheckpointError(`${name} has no config.json; wanted a checkpoint in Hugging Face's layout.`);
  const config = parseConfig(decodeText(text, "config.json"));
  const plan = options.pack === undefined ? await planFiles(finder) : undefined;
  const packing = plan ? await packingIn(plan, finder, (name) => open(name, options.signal)) : options.pack;
  const weights = WEIGHT_FORMATS.find((format) => format === (packing ?? DEFAULT_WEIGHTS));
  if (!weights) {
    throw new CheckpointError(`${name} is packed as ${show(packing)}; wanted ${WEIGHT_FORMATS.join(", ")}.`);
  }
  const { context = config.max_position_embeddings } = options;
  if (!Number.isInteger(context) || context < 1 || context > config.max_position_embeddings) {
    throw new OptionError(
      `context is ${show(context)}; wanted an integer from 1 to ${config.max_position_embeddings}.`,
    );
  }
  const storage: Storage = { formatOf: () => weights, cache: "f16", context, chunk: CHUNK };
  const memory = memoryOf(config, storage);
  const index = plan?.index === undefined ? undefined : await finder.look(plan.index);
  const bytes = plan
    ? plan.files.reduce((sum, { size = 0 }) => sum + size, index?.size ?? 0)
    : memory.weights;
  const space = await storageSpace();
  const missing = isStored ? Math.max(0, bytes - present) : 0;
  const tooBig = missing > space.free ? describeNoRoom(name, missing, space.free, stored) : undefined;
  const obstacle = tooBig ?? misfit(options.gpu, config, storage);
  return {
    name,
    bytes,
    present,
    weights,
    memory,
    context,
    space,
    ...(obstacle !== undefined && { obstacle }),
  };
}

/** Why it does not fit, if it does not. */
function misfit(gpu: GpuRoom | undefined, config: Config, storage: Storage): string | undefined {
  try {
    if (gpu) checkFit(gpu, config, storage);
    return undefined;
  } catch (error) {
    if (error instanceof DeviceError || error instanceof ConfigError) return error.message;
    throw error;
  }
}
