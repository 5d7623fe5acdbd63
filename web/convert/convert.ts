import { convert } from "../../src/convert/convert.ts";
import { OptionError } from "../../src/errors.ts";
import type { Host } from "../../src/host.ts";
import { show } from "../../src/show.ts";
import { CALIBRATED_FORMATS, WEIGHT_FORMATS, type WeightFormat } from "../../src/stored.ts";
import type { ConversionOptions, ConversionSource, StoredModel } from "../api.ts";
import type { ConversionFolder } from "../store/conversion.ts";
import { createSha256 } from "../store/sha256.ts";
import type { ModelStore } from "../store/store.ts";
import { openOutput } from "./output.ts";
import { packingWorker } from "./pack.ts";
import { reporter } from "./progress.ts";
import { openSources } from "./sources.ts";

/** Each worker takes about 100 MB; more of them than this wait for the disk. */
const MOST_WORKERS = 4;

/** What the worker that asks for it has. */
interface TabParts {
  /** Where the model runs over a calibration text. */
  host(): Host;
  /** A worker that runs `servePacking()`. */
  startWorker(): Worker;
  /** What a shard holds at most, in bytes. Default: as by `ziya convert`. */
  readonly shardBytes?: number | undefined;
}

/**
 * Merges and packs files from the person's disk into the browser's storage: the same bytes as `ziya convert` makes of them.
 * Stopped at any moment and called again with the same files, it goes on where it was.
 * @throws OptionError, CheckpointError, ConfigError or TokenizerError about the files, StorageError about the storage, or
 * the signal's reason.
 */
export async function convertInTab(
  store: ModelStore,
  name: string,
  source: ConversionSource,
  options: ConversionOptions,
  { host, startWorker, shardBytes }: TabParts,
): Promise<StoredModel> {
  const { signal, onProgress, workers = Math.min(MOST_WORKERS, navigator.hardwareConcurrency) } = options;
  if (!Number.isInteger(workers) || workers < 1) {
    throw new OptionError(`workers is ${show(workers)}; wanted a whole number from 1.`);
  }
  const calibration = textFile(options.calibration);
  const weights = readFormat(options.weights, calibration);
  const sources = openSources(source, calibration);
  signal?.throwIfAborted();
  let model: ConversionFolder | undefined;
  const out = openOutput(name, async () => {
    model = await store.create(name, signal);
    return model;
  });
  try {
    const converting = reporter("convert", onProgress);
    await convert(
      {
        sources,
        out,
        createSha256,
        startWorker(task) {
          const { directory } = model!;
          return packingWorker(startWorker(), { ...task, source, calibration, directory, name });
        },
        withHost: (use) => use(host()),
      },
      {
        weights,
        workers,
        shardBytes,
        signal,
        onCheck: reporter("check", onProgress),
        onCalibration: reporter("calibrate", onProgress),
        onProgress: (_, done, total) => converting(done, total),
      },
    );
    return await model!.finish(options);
  } finally {
    model?.close();
  }
}

function readFormat(asked = "q4", calibration: File | undefined): WeightFormat {
  const format = WEIGHT_FORMATS.find((known) => known === asked);
  if (!format) throw new OptionError(`weights is ${show(asked)}; wanted ${WEIGHT_FORMATS.join(", ")}.`);
  if (calibration && !CALIBRATED_FORMATS.includes(format)) {
    throw new OptionError(
      `A calibration text chooses scales of ${CALIBRATED_FORMATS.join(" and ")}; weights is ${format}.`,
    );
  }
  return format;
}

/** A text that was typed has no name and time of its own: the same one goes on with what it began. */
function textFile(text: string | File | undefined): File | undefined {
  return typeof text === "string" ? new File([text], "calibration.txt", { lastModified: 0 }) : text;
}
