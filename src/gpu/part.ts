import type { Gpu } from "./device.ts";

/** A part of a buffer, or all of one: what is bound where a kernel reads weights. */
export interface Part {
  readonly buffer: GPUBuffer;
  /** In bytes, where a binding may begin. */
  readonly offset: number;
  readonly size: number;
}

export function wholeOf(buffer: GPUBuffer): Part {
  return { buffer, offset: 0, size: buffer.size };
}

/** Room for `size` bytes, zeroed. */
export type Take = (label: string, size: number) => Part;

/** Where any adapter lets a binding begin: the most that WebGPU lets it ask for. */
const ALIGNMENT = 256;

/** A buffer for each. */
export function apart(gpu: Gpu): Take {
  return (label, size) => wholeOf(gpu.buffer(label, size));
}

/**
 * What `make` makes, of parts of one buffer: what a dispatch uses, Dawn notes, checks and waits for by the buffer. Where
 * that would be too large a buffer, each part has its own.
 */
export function together<T>(gpu: Gpu, label: string, make: (take: Take) => T): T {
  const parts: { label: string; part: { buffer?: GPUBuffer; offset: number; size: number } }[] = [];
  let total = 0;
  const made = make((label, size) => {
    const part = { offset: total, size: Math.ceil(size / 16) * 16 };
    parts.push({ label, part });
    total += Math.ceil(size / ALIGNMENT) * ALIGNMENT;
    // Its buffer is made when all sizes are known.
    return part as unknown as Part;
  });
  const fits =
    total <= gpu.device.limits.maxBufferSize && parts.every(({ part }) => part.size <= gpu.bindingLimit);
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const shared = fits ? gpu.allocate(label, total, usage) : undefined;
  const own = apart(gpu);
  for (const { label, part } of parts)
    Object.assign(part, shared ? { buffer: shared } : own(label, part.size));
  return made;
}
