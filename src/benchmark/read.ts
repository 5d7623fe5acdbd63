import type { Gpu } from "../gpu/device.ts";
import { compile, type Dispatch } from "../gpu/kernel.ts";

/** Bytes that the read-bandwidth kernel walks: beyond most caches, within any adapter's binding. */
export const READ_BYTES: number = 96 << 20;
const READ_GROUPS = 2048;
const NOISE_BYTES = 1 << 20;

/** A dispatch that reads READ_BYTES and does nothing with them; `destroy` releases its buffers. */
export async function readBandwidth(gpu: Gpu): Promise<{ dispatch: Dispatch; destroy(): void }> {
  const kernel = await compile(gpu, {
    label: "read_bandwidth",
    files: ["read_bandwidth"],
    bindings: ["data", "out"],
    constants: { VECTORS: READ_BYTES / 16, GROUPS: READ_GROUPS },
  });
  const make = async () =>
    gpu.allOrNone(() => ({ data: gpu.buffer("what is read", READ_BYTES), out: gpu.buffer("out", 16) }));
  const destroy = ({ data, out }: Awaited<ReturnType<typeof make>>) => {
    data.destroy();
    out.destroy();
  };
  const buffers = await gpu.guarded("Measuring the read bandwidth", make, destroy);
  const pattern = noise();
  for (let at = 0; at < READ_BYTES; at += NOISE_BYTES)
    gpu.device.queue.writeBuffer(buffers.data, at, pattern);
  return { dispatch: kernel(buffers, [READ_GROUPS]), destroy: () => destroy(buffers) };
}

/** A linear congruential generator's states: what is all the same, some adapters store in less. */
function noise(): Uint32Array<ArrayBuffer> {
  let state = 1;
  return Uint32Array.from({ length: NOISE_BYTES / 4 }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state;
  });
}
