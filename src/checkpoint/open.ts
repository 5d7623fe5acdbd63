import { CheckpointError } from "../errors.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { openSafetensors } from "./safetensors.ts";
import { openShards } from "./shards.ts";
import type { ByteSource, OpenFile } from "./source.ts";
import { UNFINISHED_INDEX } from "./source.ts";
import { openTorch } from "./torch.ts";

/** The files that hold weights in a folder of HF's, the preferred form first. */
const FORMS: readonly [string, (source: ByteSource) => Promise<Checkpoint>][] = [
  ["model.safetensors", openSafetensors],
  ["pytorch_model.bin", openTorch],
];

const NAMES: readonly string[] = FORMS.flatMap(([name]) => [name, `${name}.index.json`]);

/** Most shards of a checkpoint whose index is looked for: 28 are Ziya's, 41 those of an old LLaMA-1. */
const MOST_SHARDS = 64;

/**
 * The weights of a folder in HF layout, whichever form they are in: one file or shards, safetensors or PyTorch.
 * @param open opens a file of the folder by name
 * @param folder what messages call the folder, at the beginning of a sentence
 * @throws CheckpointError when there are none, or their bytes cannot be believed.
 */
export async function openCheckpoint(open: OpenFile, folder = "The folder"): Promise<Checkpoint> {
  for (const [name, read] of FORMS) {
    const single = await open(name);
    if (single) return read(single);
    const index = await open(`${name}.index.json`);
    if (index) return openShards(index, open, read);
  }
  await refuseUnfinished(open, folder);
  throw new CheckpointError(await whyNot(open, folder));
}

/**
 * For whoever reads other files first: a folder that is half converted lacks some of them too, and that is not what is
 * to be said of it.
 * @throws CheckpointError for a conversion that was stopped.
 */
export async function refuseUnfinished(open: OpenFile, folder = "The folder"): Promise<void> {
  if (!(await open(UNFINISHED_INDEX))) return;
  for (const name of NAMES) {
    if (await open(name)) return;
  }
  throw new CheckpointError(
    `${folder} is a conversion that was stopped: run the same ziya convert again, and it goes on where it was.`,
  );
}

/** What a folder without weights, as far as HF's layout goes, may be. */
async function whyNot(open: OpenFile, folder: string): Promise<string> {
  for (const name of ["consolidated.00.pth", "params.json"]) {
    if (!(await open(name))) continue;
    return (
      `${folder} is in Meta's own layout (it has ${name}): convert it to Hugging Face's layout with transformers' ` +
      `convert_llama_weights_to_hf.py.`
    );
  }
  for (const [name] of FORMS) {
    for (let count = 1; count <= MOST_SHARDS; count++) {
      const shard = name.replace(".", `-00001-of-${String(count).padStart(5, "0")}.`);
      if (await open(shard))
        return `${folder} has shards (${shard}) and no index of them: fetch ${name}.index.json too.`;
    }
  }
  return `${folder} has no weights: wanted one of ${NAMES.join(", ")}.`;
}
