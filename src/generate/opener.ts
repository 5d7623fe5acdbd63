import { CheckpointError, DeviceLostError } from "../errors.ts";
import { describeAdapter } from "../gpu/adapter.ts";
import { type DeviceOptions, type Gpu, openDevice } from "../gpu/device.ts";
import { reopenDevice } from "../gpu/reopen.ts";
import type { Host } from "../host.ts";
import type { LoadOptions } from "../model/load-model.ts";
import type { LlamaModel } from "../model/model.ts";
import { snapshotsOf } from "../model/snapshots.ts";
import { showBytes } from "../show.ts";
import type { PlacedModel } from "./recovery.ts";

/** The kernels that a model had before its device was lost; none the first time. */
type Kernels = Pick<LoadOptions, "decode" | "prefill">;

/**
 * @returns what opens a device and loads a model onto it, each time that it is called: after the first time, on the same
 * adapter, which it waits for, with the same kernels and weights. It gives the error of a device that was lost meanwhile,
 * and keeps nothing where it fails.
 * @param load Loads the model onto a device, with those kernels where there are any.
 */
export function opener(
  host: Host,
  options: DeviceOptions,
  load: (gpu: Gpu, kernels: Kernels, signal: AbortSignal) => Promise<LlamaModel>,
): (signal?: AbortSignal) => Promise<PlacedModel<LlamaModel> | DeviceLostError> {
  let adapter: string | undefined;
  let kernels: Kernels = {};
  let identity: string | undefined;
  return async (signal = new AbortController().signal) => {
    const gpu = await (adapter === undefined
      ? openDevice(host, options)
      : reopenDevice(host, { ...options, adapter }, signal));
    adapter = describeAdapter(gpu.info);
    let model: LlamaModel | undefined;
    try {
      model = await load(gpu, kernels, signal);
      const snapshots = snapshotsOf(gpu, model);
      const found = JSON.stringify(await snapshots.identify());
      if (identity !== undefined && found !== identity) {
        throw new CheckpointError(
          "The device was lost, and the weights that were read again are others than before: load the model anew.",
        );
      }
      identity = found;
      const { decoding, prefilling } = model;
      // What was begun, and is gone on with after a loss, is of the same kernels.
      kernels = { decode: decoding.set === "plain" ? "plain" : decoding.way, prefill: prefilling.way };
      const need = `${showBytes(gpu.allocated)} of buffers`;
      return { model, snapshots, need, loss: () => gpu.loss, free: () => gpu.destroy() };
    } catch (error) {
      model?.destroy();
      gpu.destroy();
      if (error instanceof DeviceLostError) return error;
      throw error;
    }
  };
}
