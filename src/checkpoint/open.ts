import { CheckpointError } from "../errors.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { openSafetensors } from "./safetensors.ts";
import { openShards } from "./shards.ts";
import type { OpenFile } from "./source.ts";

/**
 * The weights of a folder in HF layout, whichever form they are in.
 * @param open opens a file of the folder by name
 * @throws CheckpointError when there are none, or their bytes cannot be believed.
 */
export async function openCheckpoint(open: OpenFile): Promise<Checkpoint> {
  const single = await open("model.safetensors");
  if (single) return openSafetensors(single);
  const index = await open("model.safetensors.index.json");
  if (index) return openShards(index, open, openSafetensors);
  throw new CheckpointError(
    "The folder has no weights: wanted model.safetensors or model.safetensors.index.json with its shards.",
  );
}
