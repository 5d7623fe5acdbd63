import { type OpenFile, refusePointers } from "../../src/checkpoint/source.ts";
import { writeAll } from "../../src/convert/output.ts";
import { CheckpointError } from "../../src/errors.ts";
import type { FolderFiles } from "../api.ts";
import { listModels } from "./describe.ts";
import { diskFolder } from "./disk.ts";
import { hashStored } from "./hash.ts";
import { finderOf } from "./inspect.ts";
import type { Meter } from "./meter.ts";
import { packingIn, planFiles } from "./plan.ts";
import { storedFile } from "./small.ts";
import { expectRoom } from "./space.ts";
import type { FileState } from "./state.ts";
import type { Writer } from "./writer.ts";

/** Bytes that are copied at a time. */
const COPY_BYTES = 4 * 1024 * 1024;

/**
 * Copies a checkpoint from the disk, a file after the other; those that a copy before this one has brought stay.
 * @throws CheckpointError for a file that is not what its index says, StorageError where there is no room.
 */
export async function addModel(
  writer: Writer,
  from: FolderFiles,
  meter: Meter,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { name: model, keeper, folder } = writer;
  const open = refusePointers(diskFolder("model", from).open);
  const finder = finderOf(model, open, signal);
  const plan = await planFiles(finder);
  const index = plan.index === undefined ? [] : [{ name: plan.index, ...(await finder.look(plan.index)) }];
  const files: readonly Omit<FileState, "done">[] = [...index, ...plan.files];

  const missing: Omit<FileState, "done">[] = [];
  const there: FileState[] = [];
  for (const file of files) {
    meter.total += file.size ?? 0;
    const before = keeper.done(file.name);
    const same = before && file.sha256 !== undefined && before.sha256 === file.sha256;
    if (same && (await storedFile(folder, file.name))?.size === file.size) {
      meter.correct(file.size ?? 0);
      there.push(before);
    } else missing.push(file);
  }
  const bytes = missing.reduce((sum, { size = 0 }) => sum + size, 0);
  await expectRoom(model, bytes, listModels);
  const pending = missing.map(({ name, size }) => ({
    name,
    ...(size !== undefined && { size }),
    done: false,
  }));
  await keeper.change({ whole: false, files: [...there, ...pending] });
  for (const file of missing) {
    const sum = await copyFile(writer, open, file.name, meter, signal);
    if (file.sha256 !== undefined && sum.sha256 !== file.sha256) {
      await writer.files.remove(file.name);
      throw new CheckpointError(
        `${file.name} has the SHA-256 ${sum.sha256}; ${plan.index} says ${file.sha256}: it is damaged, so fetch it again, or ` +
          `convert again.`,
      );
    }
    await keeper.put({ ...sum, done: true });
  }
  const weights = await packingIn(plan, finder, open);
  await keeper.change({ whole: true, ...(weights !== undefined && { weights }) });
  meter.report();
}

/** The sum of what is on the disk afterwards. */
async function copyFile(
  { folder, files }: Writer,
  open: OpenFile,
  name: string,
  meter: Meter,
  signal: AbortSignal | undefined,
) {
  const source = await open(name);
  if (!source) throw new CheckpointError(`${name} is not there any more: choose the folder again.`);
  const copied = async function* () {
    for (let at = 0; at < source.size; at += COPY_BYTES) {
      signal?.throwIfAborted();
      const bytes = await source.read(at, Math.min(COPY_BYTES, source.size - at));
      yield bytes;
      meter.add(bytes.length, name);
    }
  };
  await writeAll(await files.create(name), copied());
  return hashStored((await storedFile(folder, name))!, signal);
}
