import { expect, test } from "vitest";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import { CheckpointError } from "../../src/errors.ts";
import { randomStream } from "../support/random.ts";
import { safetensors } from "./bytes.ts";
import { mutate } from "./mutate.ts";

/** Files to damage, as many as of each kind in torch.fuzz.test.ts. */
const FILES = Number(process.env.ZIYA_FUZZ ?? 12_500);

const original = safetensors(
  {
    __metadata__: { format: "pt" },
    "model.embed_tokens.weight": { dtype: "F16", shape: [12, 8], data_offsets: [0, 192] },
    "model.norm.weight": { dtype: "F32", shape: [8], data_offsets: [192, 224] },
    "lm_head.weight": { dtype: "BF16", shape: [12, 2, 4], data_offsets: [224, 416] },
  },
  Uint8Array.from({ length: 416 }, (_, i) => (i * 89) % 256),
);

test(`${FILES} damaged files each read as their header says or give a CheckpointError`, async () => {
  const next = randomStream(2024);
  let read = 0;
  for (let file = 0; file < FILES; file++) {
    const bytes = mutate(original, next);
    try {
      const checkpoint = await openSafetensors(bytesSource("damaged", bytes));
      for (const { name, shape } of checkpoint.tensors.values()) {
        const [rows = 1, ...columns] = shape;
        const values = await checkpoint.readRows(name, 0, rows);
        expect(values.length).toBe(rows * columns.reduce((a, b) => a * b, 1));
        const { dtype, offset } = describe(bytes, name);
        const wanted = values.map((_, i) => valueAt(bytes, dtype, offset, i));
        if (!values.every((value, i) => Object.is(value, wanted[i]))) expect(values).toEqual(wanted);
      }
      read++;
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw new Error(`file ${file} of the seed`, { cause: error });
    }
  }
  // Damage to tensors alone leaves a valid file: both outcomes must have been seen.
  expect(read).toBeGreaterThan(FILES / 100);
  expect(read).toBeLessThan(FILES / 2);
});

/** Where the header puts a tensor, read by other means. */
function describe(bytes: Uint8Array, name: string): { dtype: string; offset: number } {
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  return { dtype: header[name].dtype, offset: 8 + length + header[name].data_offsets[0] };
}

function valueAt(bytes: Uint8Array, dtype: string, offset: number, i: number): number {
  const view = new DataView(bytes.buffer, offset);
  if (dtype === "F32") return view.getFloat32(4 * i, true);
  const bits = view.getUint16(2 * i, true);
  if (dtype === "BF16") {
    const float = new DataView(new ArrayBuffer(4));
    float.setUint16(2, bits, true);
    return float.getFloat32(0, true);
  }
  const [sign, exponent, mantissa] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return mantissa ? Number.NaN : sign / 0;
  return sign * (exponent ? 1024 + mantissa : mantissa) * 2 ** (Math.max(exponent, 1) - 25);
}
