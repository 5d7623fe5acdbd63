import { CheckpointError } from "../errors.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { UNFINISHED_INDEX } from "./manifest.ts";
import { openSafetensors } from "./safetensors.ts";
import { openShards } from "./shards.ts";
import type { ByteSource, OpenFile } from "./source.ts";
import { openTorch } from "./torch.ts";

/** The files that hold weights in a folder of HF's, the preferred form first. */
const FORMS: readonly [string, (source: ByteSource) => Promise<Checkpoint>][] = [
  ["model.safetensors", openSafetensors],
  ["pytorch_model.bin", openTorch],
];

const NAMES: readonly string[] = FORMS.flatMap(([name]) => [name, `${name}.index.json`]);

/**
 * The weights of a folder in HF layout, whichever form they are in: one file or shards, safetensors or PyTorch.
 * @param open opens a file of the folder by name
 * @throws CheckpointError when there are none, or their bytes cannot be believed.
 */
export async function openCheckpoint(open: OpenFile): Promise<Checkpoint> {
  for (const [name, read] of FORMS) {
    const single = await open(name);
    if (single) return read(single);
    const index = await open(`${name}.index.json`);
    if (index) return openShards(index, open, read);
  }
  await refuseUnfinished(open);
  throw new CheckpointError(`The folder has no weights: wanted one of ${NAMES.join(", ")}.`);
}

/**
 * For whoever reads other files first: a folder that is half converted lacks some of them too, and that is not what is
 * to be said of it.
 * @throws CheckpointError for a conversion that was stopped.
 */
export async function refuseUnfinished(open: OpenFile): Promise<void> {
  if (!(await open(UNFINISHED_INDEX))) return;
  for (const name of NAMES) {
    if (await open(name)) return;
  }
  throw new CheckpointError(
    `The folder is a conversion that was stopped: run the same ziya convert again, and it goes on where it was.`,
  );
}
