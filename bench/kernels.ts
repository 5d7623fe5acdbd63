import type { Gpu } from "../src/gpu/device.ts";
import type { Dispatch } from "../src/gpu/kernel.ts";
import { type Part, wholeOf } from "../src/gpu/part.ts";
import { allocateMatrix, destroyMatrix, type Matrix } from "../src/kernels/matrix.ts";
import type { Config } from "../src/model/config.ts";
import { Rows } from "../src/model/rows.ts";
import { KvCache } from "../src/model/sequence.ts";
import type { WeightFormat } from "../src/stored.ts";
import { listFusedSubjects } from "./fused-subjects.ts";
import { fillMatrix, randomBuffer } from "./random.ts";
import { type Content, type Cost, listSubjects, type MatrixShape } from "./subjects.ts";

/** One way of a kernel at one shape, ready to run. */
export interface Prepared extends Cost {
  readonly name: string;
  readonly dispatches: readonly Dispatch[];
}

/** Every way that the GPU allows of every subject, with buffers of random numbers. */
export async function* kernelSubjects(
  gpu: Gpu,
  config: Config,
  format: WeightFormat,
  tokens: number,
): AsyncGenerator<Prepared> {
  const make = maker(gpu, config);
  for (const { name, ways, prepare, buffers: contents, bytes, flops } of [
    ...listSubjects(gpu, config, format, tokens),
    ...listFusedSubjects(gpu, config, format),
  ]) {
    const made = Object.entries(contents).map(([binding, content]) => [binding, make(content)] as const);
    const buffers = Object.fromEntries(made.map(([binding, { part }]) => [binding, part]));
    for (const way of ways(gpu)) {
      const dispatch = (await prepare(gpu, way))(buffers);
      yield { name: `${name}, ${way}`, dispatches: [dispatch], bytes, flops };
    }
    for (const [, { part, isShared }] of made) if (!isShared) part.buffer.destroy();
  }
}

interface Made {
  readonly part: Part;
  /** Whether the next subject may be given it again. */
  readonly isShared: boolean;
}

/** Makes buffers by what they hold. There is one matrix at a time: the largest fills much of a small adapter. */
function maker(gpu: Gpu, config: Config): (content: Content) => Made {
  let current: { shape: MatrixShape; matrix: Matrix } | undefined;
  const slabOf = (shape: MatrixShape) => {
    if (current?.shape !== shape) {
      if (current) destroyMatrix(current.matrix);
      const matrix = allocateMatrix(gpu, shape.label, shape.format, shape.rows, shape.columns);
      fillMatrix(gpu, matrix);
      current = { shape, matrix };
    }
    return current.matrix.slabs[0]!;
  };
  return (content) => {
    if ("matrix" in content) return { part: slabOf(content.matrix)[content.part]!, isShared: true };
    if ("floats" in content) return own(randomBuffer(gpu, "bench", content.floats));
    if ("zeros" in content) return own(gpu.buffer("bench", content.zeros));
    if ("pages" in content) return own(pageTable(gpu, content.pages));
    return own(passRows(gpu, config, content.position, content.rows));
  };
}

function own(buffer: GPUBuffer): Made {
  return { part: wholeOf(buffer), isShared: false };
}

/** A table of the pages in their order. */
function pageTable(gpu: Gpu, pages: number): GPUBuffer {
  const buffer = gpu.buffer("pages", 4 * pages);
  gpu.device.queue.writeBuffer(
    buffer,
    0,
    Uint32Array.from({ length: pages }, (_, i) => i),
  );
  return buffer;
}

/** The rows of a pass of one sequence, of different tokens. */
function passRows(
  gpu: Gpu,
  { vocab_size: vocab, max_position_embeddings: context }: Config,
  position: number,
  count: number,
): GPUBuffer {
  const ids = Array.from({ length: context }, (_, i) => (i * 9973) % vocab);
  const rows = new Rows(gpu, count);
  const sequence = new KvCache({ context, page: context, pages: 1 }, { setPages() {}, copyPage() {} }).open();
  sequence.reserve(position + count);
  sequence.append(ids, 0, position);
  rows.add({ sequence, tokens: ids, first: position, count, drawn: 1 });
  rows.write(gpu.device.queue);
  return rows.buffer;
}
