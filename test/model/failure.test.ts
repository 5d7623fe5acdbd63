import { afterEach, expect, it, vi } from "vitest";
import { dawnHost } from "../../node/host.ts";
import { bytesSource, type OpenFile } from "../../src/checkpoint/source.ts";
import { DeviceError, DeviceLostError, LogitsError } from "../../src/errors.ts";
import { makeSampler } from "../../src/generate/sampler.ts";
import { Gpu, openDevice } from "../../src/gpu/device.ts";
import type { LoadOptions } from "../../src/model/load-model.ts";
import type { LlamaModel } from "../../src/model/model.ts";
import { tensorShapes } from "../../src/model/weights.ts";
import { aheadOf } from "../support/ahead.ts";
import { randomFolder, safetensorsBytes } from "../support/checkpoint.ts";
import { testDeviceOptions, useGpu } from "../support/gpu.ts";
import { loadModel } from "../support/load.ts";

const CHUNK = 8;
const TOKENS = Array.from({ length: 3 * CHUNK }, (_, i) => 3 + i);
/** Enough for every value of a head of randomFolder() to be above the largest half. */
const FAR = 2 ** 24;

afterEach(() => vi.restoreAllMocks());

const gpu = useGpu();

/** A model on a device that other tests share, but whose errors are only its own; pipelines compile once. */
async function withModel(on: Gpu, use: (model: LlamaModel, own: Gpu) => Promise<void>): Promise<void> {
  const own = new Gpu({ gpu: {} as GPU, readShader: on.readShader }, on.adapter, on.device, on.features);
  for (const [key, made] of on.made) own.made.set(key, made);
  const model = await loadModel(own, randomFolder({ num_hidden_layers: 1 }, 7).open, { chunk: CHUNK });
  for (const [key, made] of own.made) on.made.set(key, made);
  try {
    await use(model, own);
  } finally {
    model.destroy();
  }
}

/** Everything that submits and hands on what came of it. */
const PASSES: Record<string, (model: LlamaModel) => Promise<unknown>> = {
  "a prefill of several passes": (model) => model.forward(model.open(), TOKENS, "argmax"),
  "a prefill of one pass": (model) => model.forward(model.open(), TOKENS.slice(0, CHUNK), "candidates"),
  "a decode": (model) => model.forward(model.open(), [5], "argmax"),
  "a run ahead": async (model) => {
    const run = await aheadOf(model, model.open(), 5, 9);
    try {
      for (let i = 0; i < 9; i++) await run.next();
    } finally {
      await run.end();
    }
  },
  "all logits of a token": (model) => model.forward(model.open(), [5], "logits"),
  scoring: async (model) => {
    for await (const _ of model.logits(TOKENS));
  },
  calibrating: (model) => model.calibrate([TOKENS]),
};

it.each(Object.entries(PASSES))("%s rejects when the device reports an error in it", (_, run) =>
  withModel(gpu(), async (model, { device }) => {
    const submit = device.queue.submit.bind(device.queue);
    vi.spyOn(device.queue, "submit").mockImplementationOnce((buffers) => {
      // A validation error of the kind that a wrong replay gives: it computes nothing, and stops nobody.
      device.createBuffer({ size: 16, usage: 0xffff });
      return submit(buffers);
    });
    const running = run(model);
    await expect(running).rejects.toThrow(DeviceError);
    await expect(running).rejects.toThrow("WebGPU reported an error");
  }),
);

it.each(["a prefill of several passes", "a decode", "a run ahead"])(
  "%s rejects when the device is lost in it",
  async (name) => {
    const host = dawnHost();
    const lost = await openDevice(host, testDeviceOptions());
    await withModel(lost, async (model, { device }) => {
      const submit = device.queue.submit.bind(device.queue);
      vi.spyOn(device.queue, "submit").mockImplementationOnce((buffers) => {
        submit(buffers);
        device.destroy();
        return undefined;
      });
      await expect(PASSES[name]!(model)).rejects.toThrow(DeviceLostError);
      await expect(PASSES[name]!(model)).rejects.toThrow(DeviceLostError);
    });
    lost.destroy();
    host.release();
  },
);

it.each([1, 2, 3, 6, 9])("a run ahead whose pass %i fails tells so, and ends", (failing) =>
  withModel(gpu(), async (model, { device }) => {
    const submit = device.queue.submit.bind(device.queue);
    let passes = 0;
    vi.spyOn(device.queue, "submit").mockImplementation((buffers) => {
      if (++passes === failing) device.createBuffer({ size: 16, usage: 0xffff });
      return submit(buffers);
    });
    const sequence = model.open();
    await expect(PASSES["a run ahead"]!(model)).rejects.toThrow("WebGPU reported an error");
    // The run gave the model back: what is refused now is the device.
    await expect(model.forward(sequence, [1], "argmax")).rejects.toThrow("WebGPU reported an error");
  }),
);

/** randomFolder()'s model with values `scale` times as large, and taken back in the next product. */
function scaledValues(scale: number): OpenFile {
  const { config, tensors, open } = randomFolder({ num_hidden_layers: 1 }, 7);
  const scaled = new Map(
    Array.from(tensors, ([name, values]) => [
      name,
      values.map((value) =>
        name.includes("v_proj") ? value * scale : name.includes("o_proj") ? value / scale : value,
      ),
    ]),
  );
  const bytes = safetensorsBytes(scaled, tensorShapes(config));
  return async (name) => (name === "model.safetensors" ? bytesSource(name, bytes) : open(name));
}

it("values above the largest half are an error, and right in a cache of f32", () =>
  withModel(gpu(), async (_, own) => {
    const logits = async (scale: number, options: LoadOptions) => {
      const model = await loadModel(own, scaledValues(scale), { chunk: CHUNK, weights: "f32", ...options });
      const { ids, logits } = await model.forward(model.open(), TOKENS, "logits");
      const result = { ids, logits: logits.slice() };
      model.destroy();
      return result;
    };
    // A power of two leaves every bit but the exponents alone.
    expect(await logits(FAR, { cache: "f32" })).toEqual(await logits(1, { cache: "f32" }));
    const sampler = makeSampler({
      temperature: 0,
      top_p: 1,
      top_k: 1,
      min_p: 0,
      repetition_penalty: 1,
      seed: 1,
    });
    for (const cache of ["f16", "q8", "q4"] as const) {
      const broken = await logits(FAR, { cache });
      expect(() => sampler.sample(broken, new Set())).toThrow(LogitsError);
      expect(() => sampler.sample(broken, new Set())).toThrow('try cache "f32"');
    }
    // A run ahead goes on over it on the GPU, and tells whoever reads.
    const model = await loadModel(own, scaledValues(FAR), { chunk: CHUNK, weights: "f32", cache: "f16" });
    const options = { temperature: 1, top_k: 50, top_p: 0.85, min_p: 0, seed: 1 };
    for (const draws of [undefined, { options, before: 0 }]) {
      const run = await aheadOf(model, model.open(), 5, 6, { draws });
      const drawn = await run.next();
      expect(() => sampler.accept(drawn)).toThrow(LogitsError);
      await run.end();
    }
    model.destroy();
  }));
