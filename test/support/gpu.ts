import { afterAll, beforeAll } from "vitest";
import { dawnHost } from "../../node/host.ts";
import { type DeviceOptions, type Gpu, openDevice } from "../../src/gpu/device.ts";
import type { Rung } from "../../src/gpu/features.ts";
import { type Bound, type Dispatch, encode } from "../../src/gpu/kernel.ts";
import { wholeOf } from "../../src/gpu/part.ts";

/**
 * What the whole suite is held to: ZIYA_TEST_RUNG=core switches subgroups off, ZIYA_TEST_LIMITS=default clamps every
 * limit to WebGPU's guaranteed values.
 */
export function testDeviceOptions(): DeviceOptions {
  const { ZIYA_TEST_RUNG, ZIYA_TEST_LIMITS } = process.env;
  return {
    ...(ZIYA_TEST_RUNG ? { rung: ZIYA_TEST_RUNG as Rung } : {}),
    ...(ZIYA_TEST_LIMITS === "default" ? { limits: "default" as const } : {}),
  };
}

/**
 * A feature of Dawn's that SwiftShader takes seconds a pipeline for, and a tenth of a second without: it compiles a store for
 * each word of workgroup memory that begins as zero, where Dawn's own shader has a loop.
 */
export const SLOW_ON_SWIFTSHADER = "use_vulkan_zero_initialize_workgroup_memory_extension";

const quicker = process.env.VK_DRIVER_FILES?.includes("swiftshader")
  ? [`disable-dawn-features=${SLOW_ON_SWIFTSHADER}`]
  : [];

/**
 * A device for the tests of this file, opened before them and released after.
 * @param flags Dawn's own.
 */
export function useGpu(options: DeviceOptions = testDeviceOptions(), flags: string[] = []): () => Gpu {
  let gpu: Gpu | undefined;
  let host: ReturnType<typeof dawnHost> | undefined;
  beforeAll(async () => {
    host = dawnHost([...flags, ...quicker]);
    gpu = await openDevice(host, options);
  });
  afterAll(() => {
    gpu?.destroy();
    host?.release();
  });
  return () => gpu!;
}

/** A device whose models decode without rounding activations, for comparisons to the last digits. */
export function withoutDot(gpu: Gpu): Gpu {
  const features = new Set([...gpu.features].filter((feature) => feature !== "dot" && feature !== "f16"));
  return Object.create(gpu, { features: { value: features } });
}

/** A storage buffer that holds `data`. */
export function upload(gpu: Gpu, data: Float32Array | Uint32Array | Int32Array, usage = 0): GPUBuffer {
  const buffer = gpu.buffer("test", data.byteLength, usage);
  gpu.device.queue.writeBuffer(buffer, 0, data as Float32Array<ArrayBuffer>);
  return buffer;
}

/** Runs dispatches and reads a buffer back. */
export async function runAndRead(
  gpu: Gpu,
  dispatches: readonly Dispatch[],
  bound: Bound,
): Promise<Uint32Array> {
  const { buffer, offset, size } = "buffer" in bound ? bound : wholeOf(bound);
  const staging = gpu.device.createBuffer({
    size,
    usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
  });
  const encoder = gpu.device.createCommandEncoder();
  encode(encoder, dispatches, "test");
  encoder.copyBufferToBuffer(buffer, offset, staging, 0, size);
  gpu.device.queue.submit([encoder.finish()]);
  await gpu.wait(staging.mapAsync(GPUMapMode.READ));
  const words = new Uint32Array(staging.getMappedRange().slice(0));
  staging.destroy();
  gpu.check();
  return words;
}

export async function runAndReadFloats(
  gpu: Gpu,
  dispatches: readonly Dispatch[],
  buffer: GPUBuffer,
): Promise<Float32Array> {
  return new Float32Array((await runAndRead(gpu, dispatches, buffer)).buffer);
}
