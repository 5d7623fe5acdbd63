import { afterEach, describe, expect, it, vi } from "vitest";
import { torchFile } from "../../fixtures/torch-file.ts";
import { dawnHost } from "../../node/host.ts";
import { crc32 } from "../../src/checkpoint/crc32.ts";
import { ConfigError, DeviceError, OptionError, ShaderError } from "../../src/errors.ts";
import { type Gpu, openDevice } from "../../src/gpu/device.ts";
import { parseConfig } from "../../src/model/config.ts";
import type { LoadOptions } from "../../src/model/load-model.ts";
import { tensorShapes } from "../../src/model/weights.ts";
import { folder } from "../checkpoint/bytes.ts";
import { configJson, randomFolder, randomTensors } from "../support/checkpoint.ts";
import { useGpu } from "../support/gpu.ts";
import { loadModel } from "../support/load.ts";

const gpu = useGpu();
afterEach(() => vi.restoreAllMocks());

/** The buffers that are made from now on, and which of them are released again. */
function watchBuffers({ device }: Gpu) {
  const create = device.createBuffer.bind(device);
  const [made, released] = [new Set<GPUBuffer>(), new Set<GPUBuffer>()];
  vi.spyOn(device, "createBuffer").mockImplementation((descriptor) => {
    const buffer = create(descriptor);
    made.add(buffer);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      released.add(buffer);
      return destroy();
    };
    return buffer;
  });
  return { made, released };
}

/** How loading fails, how much of the weights was read until then, and what was done with the buffers. */
async function failure(changes: Record<string, unknown>, options: LoadOptions, on: Gpu) {
  const { made, released } = watchBuffers(on);
  let read = 0;
  const loading = loadModel(on, randomFolder(changes, 7).open, {
    ...options,
    onProgress: (loaded, total) => {
      read = loaded / total;
    },
  });
  const error: unknown = await loading.then(
    () => undefined,
    (error: unknown) => error,
  );
  return { error: error as Error, read, made: made.size, kept: made.size - released.size };
}

const limited = (limit: number, changes: Record<string, PropertyDescriptor> = {}): Gpu =>
  Object.create(gpu(), { bindingLimit: { value: limit }, ...changes });
const software = (systemMemory: number): Gpu =>
  Object.create(gpu(), {
    systemMemory: { value: systemMemory },
    info: { value: { ...gpu().info, description: "Some software", isFallbackAdapter: true } },
  });

describe("a model that cannot fit is refused before anything is allocated", () => {
  const long = { max_position_embeddings: 4096, num_key_value_heads: 1 };
  const cases: [string, Record<string, unknown>, LoadOptions, () => Gpu, string][] = [
    [
      "its KV cache",
      { max_position_embeddings: 4096 },
      { chunk: 1 },
      () => limited(1e6),
      "a shorter context",
    ],
    ["its RoPE table", long, { chunk: 1 }, () => limited(5e5), "The RoPE table of 4096 tokens"],
    ["its activations", {}, { chunk: 128 }, () => limited(2e5), "a smaller chunk"],
    ["a few rows", {}, { chunk: 1, weights: "f32" }, () => limited(85_000), "64 rows of 352 weights as f32"],
    ["all of it", {}, {}, () => software(1e6), "The model needs 2.44 MB"],
  ];
  it.each(cases)("for %s", async (_, changes, options, on, message) => {
    const { error, ...left } = await failure(changes, options, on());
    expect(error).toBeInstanceOf(DeviceError);
    expect(error.message).toContain(message);
    expect(left).toEqual({ read: 0, made: 0, kept: 0 });
  });

  it("and so are a tokenizer of no tokens, and a load that was stopped before it began", async () => {
    const { error, ...left } = await failure({}, { tokenCount: 0 }, gpu());
    expect(error).toBeInstanceOf(OptionError);
    expect(left).toEqual({ read: 0, made: 0, kept: 0 });
    const strange = await failure({}, { tokenCount: 10 ** 6, rowsNeeded: 10 ** 6 - 1 }, gpu());
    expect(strange.error).toBeInstanceOf(ConfigError);
    expect(strange).toMatchObject({
      error: { message: expect.stringContaining("The tokenizer has 999999 tokens") },
      made: 0,
    });
    const stopped = await failure({}, { signal: AbortSignal.abort(new Error("enough")) }, gpu());
    expect(stopped).toMatchObject({ error: { message: "enough" }, made: 0 });
  });
});

describe("a load that fails releases what it allocated", () => {
  it.each(["embed", "rmsnorm", "swiglu", "topk"])("when %s does not compile", async (shader) => {
    const broken: Gpu = Object.create(gpu(), {
      made: { value: new Map() },
      readShader: {
        value: async (name: string) => {
          if (name === shader) throw new Error(`no ${name}`);
          return gpu().readShader(name);
        },
      },
    });
    const { error, ...left } = await failure({}, { chunk: 16 }, broken);
    expect(error).toBeInstanceOf(ShaderError);
    expect(error.message).toBe(`shaders/${shader}.wgsl could not be read: no ${shader}`);
    expect(left).toMatchObject({ read: 0, kept: 0 });
  });

  // Dawn's null backend has half a gigabyte, which this KV cache is more than.
  it("when the adapter has no memory left, before a weight is read", async () => {
    const host = dawnHost(["backend=null"]);
    const small = await openDevice(host);
    const { error, ...left } = await failure(
      { max_position_embeddings: 2 ** 18, num_hidden_layers: 3 },
      { cache: "f32", chunk: 1 },
      small,
    );
    expect(error).toBeInstanceOf(DeviceError);
    expect(error.message).toMatch(
      /^Making room for 0\.861 GB \(weights as f16 1\.36 MB, KV cache of 262144 tokens 0\.805 GB\) failed on /,
    );
    expect(error.message).toMatch(
      /: values of layer 1 needs 134217728 bytes beside the \d+ that are allocated/,
    );
    expect(error.message).toContain("Load the model with narrower weights or a shorter context.");
    expect(small.allocated).toBe(0);
    expect(left).toMatchObject({ read: 0, kept: 0 });
    small.destroy();
    host.release();
  });

  it("when a weight of a PyTorch file is damaged, whichever tensor it is of", async () => {
    const json = configJson({ num_hidden_layers: 1 });
    const config = parseConfig(json);
    const tensors = Array.from(randomTensors(config, 7), ([name, values]) => {
      const shape = tensorShapes(config).get(name)!;
      const bytes = new Uint8Array(values.buffer);
      const fill = (into: Uint8Array, from: number) => into.set(bytes.subarray(from, from + into.length));
      return { name, dtype: "F32", shape, bytes, fill, crc32: () => crc32(bytes) } as const;
    });
    const source = torchFile("pytorch_model.bin", tensors);
    const file = await source.read(0, source.size);
    const load = (bytes: Uint8Array) =>
      loadModel(gpu(), folder({ "config.json": JSON.parse(json), [source.name]: bytes }), { chunk: 16 });
    (await load(file)).destroy();
    for (const [key, { bytes }] of tensors.entries()) {
      const damaged = Buffer.from(file);
      damaged[damaged.indexOf(bytes) + bytes.length / 2]! ^= 1;
      const { made, released } = watchBuffers(gpu());
      await expect(load(damaged)).rejects.toThrow(`archive/data/${key} in pytorch_model.bin does not have`);
      expect(released).toEqual(made);
      vi.restoreAllMocks();
    }
  });

  it("when it is stopped while a shader does not arrive, whenever that comes", async () => {
    const stop = new AbortController();
    const arrivals: (() => void)[] = [];
    const slow: Gpu = Object.create(gpu(), {
      made: { value: new Map() },
      readShader: {
        value: async (name: string) => {
          if (name === "swiglu") {
            setTimeout(() => stop.abort(new Error("enough")));
            await new Promise<void>((resolve) => arrivals.push(resolve));
          }
          return gpu().readShader(name);
        },
      },
    });
    const { made, released } = watchBuffers(slow);
    const loading = loadModel(slow, randomFolder({}, 7).open, { chunk: 16, signal: stop.signal });
    await expect(loading).rejects.toThrow("enough");
    expect(arrivals.length).toBeGreaterThan(0);
    for (const arrive of arrivals) arrive();
    await expect.poll(() => made.size > 0 && made.size === released.size, { timeout: 60_000 }).toBe(true);
  });

  it("when it is stopped in the middle", async () => {
    const stop = new AbortController();
    const { made, released } = watchBuffers(gpu());
    const loading = loadModel(gpu(), randomFolder({}, 7).open, {
      chunk: 16,
      signal: stop.signal,
      onProgress: () => stop.abort(new Error("enough")),
    });
    await expect(loading).rejects.toThrow("enough");
    expect(released).toEqual(made);
  });
});
