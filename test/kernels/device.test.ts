import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DawnHost, dawnHost } from "../../node/host.ts";
import { DeviceError, DeviceLostError, OptionError } from "../../src/errors.ts";
import { describeAdapter, listAdapters, openDevice, type Rung } from "../../src/kernels/device.ts";

let host: DawnHost;
beforeAll(() => {
  host = dawnHost();
});
afterAll(() => host.release());

/** A host whose WebGPU answers the requests for an adapter with the given ones in turn, and then with the last. */
function fakeHost(...adapters: Partial<GPUAdapter>[]) {
  const answers = [...adapters];
  const gpu = {
    wgslLanguageFeatures: new Set(["subgroup_id"]),
    requestAdapter: async () => (answers.length > 1 ? answers.shift() : answers[0]) ?? null,
  };
  return { gpu: gpu as unknown as GPU, readShader: async () => "" };
}

const fakeAdapter = (description: string, isFallbackAdapter: boolean): Partial<GPUAdapter> => ({
  info: { description, vendor: "", architecture: "", device: "", isFallbackAdapter } as GPUAdapterInfo,
  features: new Set<string>() as unknown as GPUSupportedFeatures,
});

describe("openDevice", () => {
  it("takes hardware before software", async () => {
    const both = fakeHost(fakeAdapter("software", true), fakeAdapter("hardware", false));
    expect((await listAdapters(both.gpu)).map(({ info }) => info.description)).toEqual([
      "hardware",
      "software",
    ]);
  });

  it("says what to install when there is no adapter", async () => {
    await expect(openDevice(fakeHost())).rejects.toThrow(/found no adapter.*mesa-vulkan-drivers/);
  });

  it("names what was found when no adapter matches", async () => {
    const opening = openDevice(host, { adapter: "no such thing" });
    await expect(opening).rejects.toThrow(DeviceError);
    await expect(opening).rejects.toThrow(/No adapter matches "no such thing"; WebGPU found .+/);
  });

  it("matches part of an adapter's name in any case", async () => {
    const [adapter] = await listAdapters(host.gpu);
    const gpu = await openDevice(host, { adapter: describeAdapter(adapter!.info).slice(0, 4).toUpperCase() });
    expect(gpu.info.description).toBe(adapter!.info.description);
    gpu.destroy();
  });

  it("refuses a rung above the adapter's, and one that does not exist", async () => {
    const plain = fakeHost(fakeAdapter("plain", false));
    await expect(openDevice(plain, { rung: "subgroups" })).rejects.toThrow('plain reaches only "core"');
    await expect(openDevice(host, { rung: "warp" as Rung })).rejects.toThrow(OptionError);
  });

  it("says which adapter gives no device, and why", async () => {
    const adapter = { ...fakeAdapter("broken", false), limits: {} as GPUSupportedLimits };
    adapter.requestDevice = async () => {
      throw new Error("out of handles");
    };
    const opening = openDevice(fakeHost(adapter));
    await expect(opening).rejects.toThrow(DeviceError);
    await expect(opening).rejects.toThrow("broken gives no device (out of handles)");
  });

  it("takes the adapter's limits for sizes, and every default when asked", async () => {
    const raised = await openDevice(host);
    const { maxBufferSize, maxStorageBufferBindingSize } = raised.adapter.limits;
    expect(raised.device.limits).toMatchObject({ maxBufferSize, maxStorageBufferBindingSize });
    raised.destroy();
    await expect(openDevice(host, { limits: "bogus" as "default" })).rejects.toThrow(
      'limits is "bogus"; wanted adapter, default',
    );
    const gpu = await openDevice(host, { limits: "default" });
    expect(gpu.device.limits.maxBufferSize).toBe(256 << 20);
    expect(gpu.bindingLimit).toBe(128 << 20);
    expect(() => gpu.buffer("too much", (128 << 20) + 4)).toThrow(
      "too much needs a buffer of 134217732 bytes",
    );
    gpu.destroy();
  });
});

describe("errors of the device", () => {
  it("surface at the next check, with the message", async () => {
    const gpu = await openDevice(host);
    gpu.device.createBuffer({ size: 16, usage: 0xffff });
    await gpu.device.queue.onSubmittedWorkDone();
    expect(() => gpu.check()).toThrow(DeviceError);
    gpu.destroy();
  });

  it("say that a released device is gone", async () => {
    const gpu = await openDevice(host);
    gpu.destroy();
    await gpu.device.lost;
    expect(() => gpu.check()).toThrow(DeviceLostError);
    expect(() => gpu.check()).toThrow("was released");
  });

  it("that happen while loading are thrown by what loads", async () => {
    const gpu = await openDevice(host);
    const work = gpu.guarded("Loading", async () => gpu.device.createBuffer({ size: 16, usage: 0xffff }));
    await expect(work).rejects.toThrow(/^Loading failed on /);
    gpu.destroy();
  });
});
