import { expect, test, vi } from "vitest";
import { tryKernels } from "../../node/commands/doctor.ts";
import { DeviceError } from "../../src/errors.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { LlamaModel } from "../../src/model/model.ts";
import { useGpu } from "../support/gpu.ts";

const gpu = useGpu();

// The models are not made: what they would be made of takes software a minute to compile.
test("doctor holds kernels to known results, but on software", async () => {
  const card: Gpu = Object.create(gpu(), {
    info: { value: { description: "a card", isFallbackAdapter: false } },
  });
  const destroy = vi.fn();
  const checked = [{ kernel: "rope", way: "pairs", error: 1e-7, allowed: 2 ** -12 }];
  const create = vi.spyOn(LlamaModel, "create");
  try {
    const prefilling = { way: "f32 matmul" };
    const made = { decoding: { set: "plain" }, prefilling, checked, destroy } as unknown as LlamaModel;
    create.mockResolvedValueOnce(made);
    expect(await tryKernels(card)).toEqual({ decode: { set: "plain" }, prefill: prefilling, checked });
    expect(create).toHaveBeenCalledWith(card, expect.anything(), expect.objectContaining({ check: true }));
    expect(destroy).toHaveBeenCalledOnce();
    create.mockRejectedValueOnce(new DeviceError('The kernel "rope" is computed wrong.'));
    const failed = 'The kernel "rope" is computed wrong.';
    expect(await tryKernels(card)).toEqual({ decode: { failed }, checked: [] });
    if (!gpu().info.isFallbackAdapter) return;
    create.mockClear();
    expect((await tryKernels(gpu())).checked).toEqual([]);
    expect(create).not.toHaveBeenCalled();
  } finally {
    create.mockRestore();
  }
});
