import { type ByteSource, bytesSource, INDEX } from "../../src/checkpoint/source.ts";
import { readSums } from "../../src/convert/manifest.ts";
import { CheckpointError, StorageError } from "../../src/errors.ts";
import type { StoredModel, TransferOptions } from "../api.ts";
import { describeModel } from "./describe.ts";
import type { Folder } from "./folder.ts";
import { hashStored } from "./hash.ts";
import { finderOf } from "./inspect.ts";
import { Meter } from "./meter.ts";
import { packingIn, planFiles } from "./plan.ts";
import { storedFile } from "./small.ts";
import type { FileState } from "./state.ts";
import type { Writer } from "./writer.ts";

/** A model of the store that is being written, here and by workers that are posted its directory. */
export interface ConversionFolder {
  readonly folder: Folder;
  /** For openFolder() in another worker. */
  readonly directory: FileSystemDirectoryHandle;
  /**
   * Holds all that was written to the sums in its index; from then on it is a whole model.
   * @throws CheckpointError for a file that is missing or another.
   */
  finish(options?: TransferOptions): Promise<StoredModel>;
  /** Lets others have it; what is there is kept, and create() goes on with it. */
  close(): void;
}

/** @throws StorageError where there is such a model already. */
export async function beginConversion(writer: Writer): Promise<ConversionFolder> {
  const { name, folder, files, keeper, state, release } = writer;
  if (state?.whole) {
    throw new StorageError(`${name} is in the browser's storage already: choose another name, or delete it.`);
  }
  await keeper.change({ files: [], whole: false });
  return {
    folder: files,
    directory: folder.files,
    async finish({ signal, onProgress = () => {} } = {}) {
      const meter = new Meter("check", onProgress);
      const found = await checkFiles(writer, meter, signal);
      const open = (name: string) => storedFile(folder, name);
      const finder = finderOf(name, open);
      const weights = await packingIn(await planFiles(finder), finder, open);
      await removeOthers(files, found);
      await keeper.change({ files: found, whole: true, ...(weights !== undefined && { weights }) });
      meter.report();
      return describeModel(name);
    },
    close: release,
  };
}

async function checkFiles(
  { folder }: Writer,
  meter: Meter,
  signal: AbortSignal | undefined,
): Promise<FileState[]> {
  const index = await storedFile(folder, INDEX);
  if (!index) throw new CheckpointError(`The conversion has no ${INDEX}: it is not finished.`);
  const { shards, files } = await readSums(index);
  const wanted = [...shards, ...files];
  meter.total = wanted.reduce((sum, { size }) => sum + size, index.size);
  const sum = (source: ByteSource) => hashStored(source, signal, (bytes) => meter.add(bytes, source.name));
  const found: FileState[] = [{ ...(await sum(index)), done: true }];
  for (const { name, size, sha256 } of wanted) {
    const got = await sum((await storedFile(folder, name)) ?? bytesSource(name, new Uint8Array()));
    if (got.size !== size || got.sha256 !== sha256) {
      throw new CheckpointError(
        `${name} has ${got.size} bytes and the SHA-256 ${got.sha256}; ${INDEX} says ${size} and ${sha256}: convert again.`,
      );
    }
    found.push({ ...got, done: true });
  }
  return found;
}

/** What a conversion has noted for itself is none of the model. */
async function removeOthers(files: Folder, found: readonly FileState[]): Promise<void> {
  for (const name of await files.list()) {
    if (!found.some((file) => file.name === name)) await files.remove(name);
  }
}
