import { type Checkpoint, checkRows, findTensor, type TensorInfo } from "./checkpoint.ts";
import { type Header, plainTensor, readHeader, readPlain, readPlainHalves } from "./header.ts";
import { packedCheckpoint, packingOf } from "./packed.ts";
import type { ByteSource } from "./source.ts";

/**
 * A safetensors file as a checkpoint: plain, or packed as `ziya convert` writes it.
 * @throws CheckpointError as readHeader does, and when a tensor is of a type that is not read.
 */
export async function openSafetensors(source: ByteSource): Promise<Checkpoint> {
  const header = await readHeader(source);
  const packing = packingOf(header, source.name);
  return packing ? packedCheckpoint(source, header, packing) : plainCheckpoint(source, header);
}

function plainCheckpoint(source: ByteSource, { entries }: Header): Checkpoint {
  const tensors = new Map<string, TensorInfo>();
  for (const entry of entries.values()) tensors.set(entry.name, plainTensor(source, entry));
  const checkpoint: Checkpoint = {
    name: source.name,
    tensors,
    async readRows(name, first, count) {
      checkRows(findTensor(checkpoint, name), first, count);
      return readPlain(source, entries.get(name)!, first, count);
    },
    async readHalves(name, first, count) {
      checkRows(findTensor(checkpoint, name), first, count);
      return readPlainHalves(source, entries.get(name)!, first, count);
    },
  };
  return checkpoint;
}
