import { CheckpointError } from "../errors.ts";
import { show } from "../show.ts";
import { CheckedEntry, type Range } from "./checked-entry.ts";
import { type Checkpoint, checkRows, findTensor, rowsOf, type TensorInfo } from "./checkpoint.ts";
import { ELEMENT_BYTES, toWords, widen } from "./dtype.ts";
import { PICKLE_LIMIT } from "./pickle.ts";
import type { ByteSource } from "./source.ts";
import { gather, isContiguous, parseStateDict, span, type View } from "./state-dict.ts";
import { readEntry, readZip, type ZipEntry } from "./zip.ts";

/** A tensor that is not contiguous is gathered from its storage, which then is in memory: at most this much of it. */
const GATHER_LIMIT = 64 * 1024 * 1024;

/**
 * A file of `torch.save(state_dict)`, as PyTorch 1.6 and later write it: a zip of a pickle and one entry per storage.
 * Nothing of the pickle is executed, and rows are read by range.
 * @throws CheckpointError for any other file, for anything in the pickle but F32, F16 and BF16 tensors by name, and for
 * tensors that leave their storage.
 */
export async function openTorch(source: ByteSource): Promise<Checkpoint> {
  await refuseOtherKinds(source);
  const entries = await readZip(source);
  const pickle = [...entries.values()].filter(({ name }) => /^[^/]*\/data\.pkl$/.test(name));
  if (pickle.length !== 1) {
    throw new CheckpointError(
      `${source.name} is a zip file with ${pickle.length} entries data.pkl; wanted one, as torch.save writes it.`,
    );
  }
  const folder = pickle[0]!.name.slice(0, -"data.pkl".length);
  await checkByteOrder(source, entries.get(`${folder}byteorder`));
  const what = `${pickle[0]!.name} in ${source.name}`;
  const views = parseStateDict(await readEntry(source, pickle[0]!, PICKLE_LIMIT), what);

  const tensors = new Map<string, TensorInfo>();
  const storages = new Map<string, CheckedEntry>();
  for (const [name, view] of views) {
    const { key, dtype, length } = view.storage;
    const entry = entries.get(`${folder}data/${key}`);
    if (entry?.size !== length * ELEMENT_BYTES[dtype]) {
      throw new CheckpointError(
        `${source.name} needs ${length * ELEMENT_BYTES[dtype]} bytes of ${folder}data/${key} for ${name}, and ` +
          `${entry ? `that entry has ${entry.size}` : "there is no such entry"}: fetch the file again.`,
      );
    }
    checkGather(name, view);
    if (!storages.has(key)) storages.set(key, new CheckedEntry(source, entry));
    tensors.set(name, { name, dtype, shape: view.shape });
  }

  const read = (view: View, first: number, elements: number) => {
    const size = ELEMENT_BYTES[view.storage.dtype];
    const tensor: Range = [view.offset * size, (view.offset + span(view)) * size];
    return storages.get(view.storage.key)!.read((view.offset + first) * size, elements * size, tensor);
  };
  const checkpoint: Checkpoint = {
    name: source.name,
    tensors,
    async readRows(name, first, count) {
      checkRows(findTensor(checkpoint, name), first, count);
      const view = views.get(name)!;
      const { columns } = rowsOf(view.shape);
      const { dtype } = view.storage;
      if (isContiguous(view)) return widen(dtype, await read(view, first * columns, count * columns));
      if (count === 0) return new Float32Array(0);
      const [stride] = view.strides as [number, ...number[]];
      const rows = { ...view, shape: [count, ...view.shape.slice(1)] };
      // Up to the next row, so that nothing between rows remains unread when they are read a few at a time.
      const elements = Math.min(Math.max(span(rows), count * stride), span(view) - first * stride);
      return gather(widen(dtype, await read(view, first * stride, elements)), rows);
    },
    async readHalves(name, first, count) {
      checkRows(findTensor(checkpoint, name), first, count);
      const view = views.get(name)!;
      if (view.storage.dtype !== "F16" || !isContiguous(view)) return undefined;
      const { columns } = rowsOf(view.shape);
      return toWords(await read(view, first * columns, count * columns));
    },
  };
  return checkpoint;
}

async function refuseOtherKinds(source: ByteSource): Promise<void> {
  const head = await source.read(0, Math.min(14, source.size));
  const hex = Array.from(head, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex === "80028a0a6cfc9c46f9206aa85019") {
    throw new CheckpointError(
      `${source.name} is in the format PyTorch had before 1.6, which cannot be read by range: rewrite it once in ` +
        `PyTorch with torch.save(torch.load(file, map_location="cpu"), file).`,
    );
  }
  if (!hex.startsWith("504b0304")) {
    throw new CheckpointError(
      `${source.name} does not begin as a PyTorch checkpoint does (a zip file): it is of another kind, or a page or ` +
        `Git LFS pointer was saved in its place, so fetch it again.`,
    );
  }
}

async function checkByteOrder(source: ByteSource, entry: ZipEntry | undefined): Promise<void> {
  if (!entry) return;
  const order = new TextDecoder().decode(await readEntry(source, entry, 16));
  if (order !== "little") {
    throw new CheckpointError(`${source.name} holds ${show(order)}-endian numbers; wanted little.`);
  }
}

function checkGather(name: string, view: View): void {
  const bytes = span(view) * ELEMENT_BYTES[view.storage.dtype];
  if (isContiguous(view) || bytes <= GATHER_LIMIT) return;
  throw new CheckpointError(
    `${name} has the shape [${view.shape}] with strides [${view.strides}], which is not contiguous, and lies in ${bytes} ` +
      `bytes; at most ${GATHER_LIMIT} are gathered. Save it again after .contiguous().`,
  );
}
