import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type DawnHost, dawnHost } from "../../node/host.ts";
import { DeviceError, DeviceLostError, OptionError } from "../../src/errors.ts";
import { describeAdapter, listAdapters } from "../../src/gpu/adapter.ts";
import { Gpu, openDevice } from "../../src/gpu/device.ts";
import { deviceFeatures, featuresOf, type Rung } from "../../src/gpu/features.ts";

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
    expect((await listAdapters(both)).map(({ info }) => info.description)).toEqual(["hardware", "software"]);
  });

  it("says what to install when there is no adapter", async () => {
    const advised = openDevice({ ...fakeHost(), adapterAdvice: "Plug one in." });
    await expect(advised).rejects.toThrow("WebGPU found no adapter. Plug one in.");
    const plain = openDevice(fakeHost());
    await expect(plain).rejects.toThrow(DeviceError);
    await expect(plain).rejects.toThrow("Use a machine or a browser with WebGPU switched on.");
    expect(host.adapterAdvice).toContain("mesa-vulkan-drivers");
  });

  it("says so when there is no WebGPU at all, or when it gives no adapter", async () => {
    const bare = openDevice({ ...fakeHost(), gpu: undefined as unknown as GPU });
    await expect(bare).rejects.toThrow(DeviceError);
    await expect(bare).rejects.toThrow("The host offers no WebGPU: its gpu is undefined.");
    const gpu = { requestAdapter: () => Promise.reject(new Error("blocked by policy")) };
    const blocked = openDevice({ ...fakeHost(), gpu: gpu as unknown as GPU });
    await expect(blocked).rejects.toThrow(DeviceError);
    await expect(blocked).rejects.toThrow("WebGPU gives no adapter: blocked by policy");
  });

  it("names what was found when no adapter matches", async () => {
    const opening = openDevice(host, { adapter: "no such thing" });
    await expect(opening).rejects.toThrow(DeviceError);
    await expect(opening).rejects.toThrow(/No adapter matches "no such thing"; WebGPU found .+/);
  });

  it("matches part of an adapter's name in any case", async () => {
    const [adapter] = await listAdapters(host);
    const gpu = await openDevice(host, { adapter: describeAdapter(adapter!.info).slice(0, 4).toUpperCase() });
    expect(gpu.info.description).toBe(adapter!.info.description);
    gpu.destroy();
  });

  it("refuses a rung above the adapter's, and one that does not exist", async () => {
    const plain = fakeHost(fakeAdapter("plain", false));
    await expect(openDevice(plain, { rung: "subgroups" })).rejects.toThrow("which plain does not have");
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

describe("matrices that subgroups multiply", () => {
  const config = { componentType: "f16", resultComponentType: "f32", M: 16, N: 16, K: 16 };
  const features = (subgroupMatrixConfigs?: readonly (typeof config)[]) => {
    const adapter = {
      info: { subgroupMatrixConfigs },
      features: new Set(subgroupMatrixConfigs ? ["chromium-experimental-subgroup-matrix"] : []),
    };
    return featuresOf(fakeHost().gpu, adapter as unknown as GPUAdapter);
  };

  it.each([
    [[config], ["matrix16"]],
    [
      [{ ...config, M: 8, N: 8, K: 8 }, config],
      ["matrix8", "matrix16"],
    ],
    [[{ ...config, M: 8 }], ["matrix8x16x16"]],
    [[{ ...config, N: 8 }], ["matrix16x8x16"]],
    [[{ ...config, K: 32 }], ["matrix16x16x32"]],
    [[{ ...config, K: 8 }], []],
    [[{ ...config, M: 64, N: 64 }], []],
    [[{ ...config, resultComponentType: "f16" }], []],
    [[{ ...config, componentType: "i8" }], []],
    [undefined, []],
  ] as const)("of %j are the features %j", (configs, wanted) => {
    expect([...features(configs)]).toEqual(wanted);
  });

  it.each([
    [undefined, false],
    [32, false],
    [64, true],
    [128, false],
  ])("of subgroups of at most %s lanes, these are wide: %s", (subgroupMaxSize, wanted) => {
    const adapter = { info: { subgroupMaxSize }, features: new Set(["subgroups"]) };
    const found = featuresOf(fakeHost().gpu, adapter as unknown as GPUAdapter);
    expect(found.has("wide")).toBe(wanted);
  });

  it("are one feature of a device, whatever their sizes", () => {
    const both = features([config, { ...config, M: 8, N: 8, K: 8 }]);
    expect(deviceFeatures(both)).toEqual(["chromium-experimental-subgroup-matrix"]);
  });

  it("are not there by default", async () => {
    const gpu = await openDevice(host);
    expect([...gpu.features].filter((feature) => feature.startsWith("matrix"))).toEqual([]);
    gpu.destroy();
  });
});

describe("errors of the device", () => {
  it("surface at the next check, with the message", async () => {
    const gpu = await openDevice(host);
    gpu.device.createBuffer({ size: 16, usage: 0xffff });
    await gpu.device.queue.onSubmittedWorkDone();
    expect(() => gpu.check()).toThrow(DeviceError);
    // A mistake that another device would not mend.
    expect(gpu.loss).toBeUndefined();
    gpu.destroy();
  });

  it("say that a released device is gone", async () => {
    const gpu = await openDevice(host);
    gpu.destroy();
    await gpu.device.lost;
    expect(() => gpu.check()).toThrow(DeviceLostError);
    expect(() => gpu.check()).toThrow("was released");
  });

  it("that it is lost by leave nothing to destroy, those before that do", async () => {
    for (const isLost of [true, false]) {
      const gpu = await openDevice(host);
      if (isLost) gpu.device.destroy();
      else gpu.device.createBuffer({ size: 16, usage: 0xffff });
      await (isLost ? gpu.device.lost : gpu.device.queue.onSubmittedWorkDone());
      expect(() => gpu.check()).toThrow(isLost ? "was lost" : "reported an error");
      const destroy = vi.spyOn(gpu.device, "destroy");
      gpu.destroy();
      expect(destroy).toHaveBeenCalledTimes(isLost ? 0 : 1);
    }
  });

  it("that happen while loading are thrown by what loads", async () => {
    const gpu = await openDevice(host);
    const work = gpu.guarded("Loading", async () => gpu.device.createBuffer({ size: 16, usage: 0xffff }));
    await expect(work).rejects.toThrow(/^Loading failed on /);
    gpu.destroy();
  });

  it("are typed when a call throws or rejects that tells of errors", async () => {
    const gpu = await openDevice(host);
    const broken = vi.spyOn(gpu.device, "createBuffer").mockImplementation(() => {
      throw new RangeError("Array buffer allocation failed");
    });
    expect(() => gpu.buffer("a", 64)).toThrow(DeviceError);
    expect(() => gpu.buffer("a", 64)).toThrow(
      "a needs 64 bytes beside the 0 that are allocated, and there is no room (Array buffer allocation failed)",
    );
    broken.mockRestore();
    const pop = vi.spyOn(gpu.device, "popErrorScope").mockRejectedValue(new TypeError("empty stack"));
    const discarded: number[] = [];
    const work = gpu.guarded(
      "Loading",
      async () => 1,
      (result) => discarded.push(result),
    );
    await expect(work).rejects.toThrow(DeviceError);
    expect(discarded).toEqual([1]);
    pop.mockRestore();
    vi.spyOn(gpu.device.queue, "onSubmittedWorkDone").mockRejectedValue(new TypeError("no queue"));
    await expect(gpu.finished()).rejects.toThrow(/^A call of .* failed: no queue$/);
    gpu.destroy();
  });

  it("are not listened for once it is released, so that it can be collected", async () => {
    const gpu = await openDevice(host);
    const listeners = new Set<unknown>();
    const { add, remove } = fakeListeners(listeners);
    const watched = new Gpu(
      host,
      gpu.adapter,
      Object.assign(gpu.device, { addEventListener: add, removeEventListener: remove }),
      gpu.features,
    );
    expect(listeners.size).toBe(1);
    watched.destroy();
    expect(listeners.size).toBe(0);
    gpu.destroy();
  });
});

describe("memory that runs out", () => {
  // Dawn's null backend has room for four of the largest buffers that it binds.
  it("is told with need and have: by guarded work, or else by the next check", async () => {
    const small = dawnHost(["backend=null"]);
    const gpu = await openDevice(small);
    const make = (count: number) => Array.from({ length: count }, () => gpu.buffer("keys", gpu.bindingLimit));
    const release = (buffers: GPUBuffer[]) => {
      for (const buffer of buffers) buffer.destroy();
    };
    const held = make(3);
    const wanted =
      /keys needs 134217728 bytes beside the 536870912 that are allocated, and there is no room .*shorter context/;
    const first = gpu.guarded("Scoring", async () => make(3), release);
    await expect(first).rejects.toThrow(DeviceError);
    await expect(first).rejects.toThrow(wanted);
    expect(gpu.allocated).toBe(3 * gpu.bindingLimit);
    // What failed in there does not spoil what comes later.
    gpu.check();
    release(make(3));
    expect(gpu.loss).toBeUndefined();
    await expect(gpu.finished()).rejects.toThrow(wanted);
    expect(gpu.loss?.ranOut).toBe(true);
    release([...held, ...held]);
    expect(gpu.allocated).toBe(0);
    gpu.destroy();
    small.release();
  });

  // As RADV has it, measured: with no byte left, the next submit loses the device.
  const lost = (message: string) => ({ reason: "unknown", message }) as unknown as GPUDeviceLostInfo;
  it.each([
    "vkAllocateMemory failed with VK_ERROR_OUT_OF_DEVICE_MEMORY\n - While handling unexpected error type",
    "Device failed to allocate: E_OUTOFMEMORY",
    "Out of memory",
  ])("is no riddle when the device is lost by it: %s", async (message) => {
    const gpu = await openDevice(host);
    const device: GPUDevice = Object.create(gpu.device, {
      lost: { value: Promise.resolve(lost(message)) },
      limits: { value: gpu.device.limits },
      addEventListener: { value: () => {} },
      pushErrorScope: { value: () => {} },
      popErrorScope: { value: async () => null },
    });
    const full = new Gpu(host, gpu.adapter, device, gpu.features);
    await device.lost;
    expect(() => full.check()).toThrow(DeviceLostError);
    expect(() => full.check()).toThrow(
      /ran out \([^\n]*\): 0 bytes of buffers are allocated.*narrower weights/,
    );
    const loading = full.guarded("Making room for 9 GB", async () => {});
    await expect(loading).rejects.toThrow(/^Making room for 9 GB failed on .* ran out/);
    await expect(loading).rejects.toThrow(DeviceError);
    expect(full.loss?.ranOut).toBe(true);
    gpu.destroy();
  });
});

function fakeListeners(listeners: Set<unknown>) {
  return {
    add: (_: string, listener: unknown) => void listeners.add(listener),
    remove: (_: string, listener: unknown) => void listeners.delete(listener),
  };
}
