import { expectTensor } from "../../src/checkpoint/checkpoint.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import type { OpenFile } from "../../src/checkpoint/source.ts";
import { narrowToHalves } from "../../src/f16.ts";
import { type Config, parseConfig } from "../../src/model/config.ts";
import { type GgufTensor, writeGgufFile } from "./gguf-file.ts";

/**
 * Writes the checkpoint of a folder in HF layout as a GGUF file: matrices are stored as `type`, vectors always as F32.
 * @param change Of a matrix's weights [rows, columns], those that are written instead.
 */
export async function writeGguf(
  open: OpenFile,
  path: string,
  type: "F32" | "F16",
  change: (name: string, rows: Float32Array, columns: number) => Float32Array = (_, rows) => rows,
): Promise<void> {
  const file = await open("config.json");
  if (!file) throw new Error("The folder has no config.json.");
  const config = parseConfig(new TextDecoder().decode(await file.read(0, file.size)));
  const checkpoint = await openCheckpoint(open);
  await writeGgufFile(path, config, type, async function* ({ name, shape, type }: GgufTensor) {
    expectTensor(checkpoint, name, shape);
    const exact = await checkpoint.readRows(name, 0, shape[0]!);
    const rows = shape.length === 2 ? change(name, exact, shape[1]!) : exact;
    const values = reorder(name, rows, shape, config);
    const data = type === "F32" ? values : narrowToHalves(values);
    yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  });
}

/**
 * llama.cpp rotates neighbours (2i, 2i + 1) where HF's checkpoints pair (i, i + headDim / 2): within a head of W_q and W_k,
 * HF's row c · headDim / 2 + i becomes row 2i + c.
 */
function reorder(name: string, rows: Float32Array, shape: readonly number[], config: Config): Float32Array {
  if (!/[qk]_proj/.test(name)) return rows;
  const [count, columns] = shape as readonly [number, number];
  const { head_dim: headDim } = config;
  const half = headDim / 2;
  const result = new Float32Array(rows.length);
  for (let row = 0; row < count; row++) {
    const within = row % headDim;
    const target = row - within + 2 * (within % half) + Math.floor(within / half);
    result.set(rows.subarray(row * columns, (row + 1) * columns), target * columns);
  }
  return result;
}
