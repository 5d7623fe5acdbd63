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

/**
 * The first adapter whose name has `part` in it, in any case; without it the first of all.
 * @throws DeviceError when there is none.
 */
export async function chooseAdapter(host: Host, part?: string): Promise<GPUAdapter> {
  const adapters = await listAdapters(host);
  const wanted = part?.toLowerCase() ?? "";
  const adapter = adapters.find(({ info }) => describeAdapter(info).toLowerCase().includes(wanted));
  if (adapter) return adapter;
  throw new DeviceError(
    adapters.length === 0
      ? `WebGPU found no adapter. ${host.adapterAdvice ?? "Use a machine or a browser with WebGPU switched on."}`
      : `No adapter matches "${part}"; WebGPU found ${adapters.map(({ info }) => describeAdapter(info)).join(", ")}.`,
  );
}
