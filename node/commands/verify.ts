import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { sumOfSums, verifyFiles } from "../../src/convert/manifest.ts";
import { parseConfig, readConfigText } from "../../src/model/config.ts";
import { expectTensors } from "../../src/model/tensors.ts";
import { showBytes } from "../../src/show.ts";
import { CheckpointError, openModel } from "../index.ts";
import { createSha256 } from "../sha256.ts";
import { type Command, print, UsageError } from "./command.ts";
import { JSON_FLAG } from "./engine.ts";
import { progressBar } from "./progress.ts";

/** The file that is loaded where there is one, index or not. */
const SINGLE = "model.safetensors";

export const verify: Command = {
  usage: "verify DIR",
  summary: "Check a folder that ziya convert made: its checksums, headers and shapes.",
  details: `Every byte is read. Ends with exit code 1 at the first file that is wrong, and names it.

Prints one SHA-256 over those of the shards, by which owners can compare their results. With --json also the checksums
of the files that it was converted from, to compare with those that the download page shows.`,
  flags: { ...JSON_FLAG },
  positionals: 1,
  async run({ values, positionals, io }) {
    const [folder] = positionals;
    if (folder === undefined) throw new UsageError("The folder to check is missing.");
    const open = openModel(folder);
    const bar = progressBar(io.stderr, "Checking");
    try {
      const { shards, sources } = await verifyFiles(open, createSha256, bar.show);
      const checkpoint = await openCheckpoint(open);
      if (!shards.some(({ name }) => name === SINGLE) && (await open(SINGLE))) {
        throw new CheckpointError(
          `${folder} has ${SINGLE} beside the shards, and it would be loaded in their place: remove it, or it is not what was converted.`,
        );
      }
      const config = await readConfigText(open);
      if (config === undefined)
        throw new CheckpointError(`${folder} has no config.json: fetch that file again.`);
      const tensors = await expectTensors(checkpoint, parseConfig(config));
      bar.clear();

      const weights = checkpoint.packed?.format ?? "plain";
      const bytes = shards.reduce((sum, { size }) => sum + size, 0);
      const sha256 = sumOfSums(shards, createSha256());
      const result = { shards: shards.length, bytes, weights, tensors: tensors.length, sha256, sources };
      const size = showBytes(bytes);
      const text = `OK: ${shards.length} ${shards.length === 1 ? "shard" : "shards"}, ${size}, ${tensors.length} tensors (${weights}).\nSHA-256 of all: ${sha256}`;
      return await print({ values, io }, result, text);
    } finally {
      bar.clear();
    }
  },
};
