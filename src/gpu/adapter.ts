import { DeviceError } from "../errors.ts";
import type { Host } from "../host.ts";

/** A name for people: "NVIDIA H200 (nvidia hopper)", or what the browser tells. */
export function describeAdapter(info: GPUAdapterInfo): string {
  const parts = [info.vendor, info.architecture].filter(Boolean).join(" ");
  const name = info.description || info.device || parts || "an unnamed adapter";
  return parts && parts !== name ? `${name} (${parts})` : name;
}

/** Every distinct adapter WebGPU offers, hardware before software. */
export async function listAdapters({ gpu }: Host): Promise<GPUAdapter[]> {
  // A page may hand on a navigator.gpu that is not there.
  if (!(gpu as GPU | undefined)) {
    throw new DeviceError(
      "The host offers no WebGPU: its gpu is undefined. Use a browser with WebGPU, on a page that is served over https or from localhost.",
    );
  }
  const requests: GPURequestAdapterOptions[] = [
    { powerPreference: "high-performance" },
    { powerPreference: "low-power" },
    { forceFallbackAdapter: true },
  ];
  const found = new Map<string, GPUAdapter>();
  for (const request of requests) {
    const adapter = await gpu.requestAdapter(request).catch((cause: unknown) => {
      throw new DeviceError(`WebGPU gives no adapter: ${(cause as Error).message}`, { cause });
    });
    if (adapter && !found.has(describeAdapter(adapter.info)))
      found.set(describeAdapter(adapter.info), adapter);
  }
  return [...found.values()].sort(
    (a, b) => Number(a.info.isFallbackAdapter) - Number(b.info.isFallbackAdapter),
  );
}
