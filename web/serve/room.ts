import type { GpuRoom } from "../../src/model/memory.ts";

/** What this browser's adapter binds, where it has one: enough to tell that a model does not fit before it is fetched. */
export async function gpuRoom(): Promise<GpuRoom | undefined> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return undefined;
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const bindingLimit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
  return { info: adapter.info, bindingLimit, systemMemory: undefined };
}
