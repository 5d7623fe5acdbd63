import { DeviceError } from "../errors.ts";
import { describeAdapter } from "../gpu/adapter.ts";
import type { Gpu } from "../gpu/device.ts";
import { missingFeatures } from "../gpu/features.ts";
import { GEMV_WAYS, type GemvWay } from "../kernels/gemv.ts";
import type { Arithmetic } from "../kernels/vector.ts";
import type { Config } from "./config.ts";
import { canCompute, canFuse, describeUnsound } from "./sets/fused.ts";
import { tunedOnce } from "./store.ts";
import type { Timing } from "./timing.ts";
import { type Subject, Trials } from "./trials.ts";
import { type Tuned, tune } from "./tune.ts";
import type { Weights } from "./weights.ts";

/** Which kernels a pass of one row runs on. */
export type Decode =
  | { readonly set: "plain" }
  | {
      readonly set: "fused";
      readonly arithmetic: Arithmetic;
      /** How its products share their rows out: one of GEMV_WAYS. */
      readonly way: string;
      /** What it was chosen by, where it was timed: now, or when the adapter first had matrices of these sizes. */
      readonly timings?: readonly Timing[];
    };

/** What a caller may ask for: the fastest by timing, the set `plain`, or a way of the set `fused`. */
export const DECODES: readonly string[] = ["auto", "plain", ...GEMV_WAYS.map(({ name }) => name)];

/** What was the fastest on software adapters, where nothing is timed: on processors' vector units, and without. Not as f16. */
const [NARROW_TILE, SOFTWARE_TILE] = ["narrow", "4x2"];

/**
 * The kernels that a model decodes with. Where several fit, they are timed on the weights' buffers, which are left empty.
 * @param wanted One of DECODES.
 * @throws DeviceError where the model or the adapter does not allow what is wanted.
 */
export async function chooseDecode(
  gpu: Gpu,
  config: Config,
  weights: Weights,
  wanted = "auto",
): Promise<Decode> {
  if (wanted === "plain") return { set: "plain" };
  const ways = canFuse(config, weights)
    ? GEMV_WAYS.filter(
        ({ arithmetic, needs, name }) =>
          missingFeatures(needs, gpu.features).length === 0 &&
          canCompute(weights, arithmetic) &&
          describeUnsound(gpu, name) === undefined,
      )
    : [];
  if (wanted !== "auto") {
    const way = ways.find(({ name }) => name === wanted);
    if (way) return decodeOf(way);
    const wrong = describeUnsound(gpu, wanted);
    if (wrong) throw new DeviceError(`${wrong} Leave decode out: what is right is taken then.`);
    const possible = ["plain", ...ways.map(({ name }) => name)].join(", ");
    throw new DeviceError(
      `decode is "${wanted}", which this model on ${describeAdapter(gpu.info)} does not allow; it allows ${possible}.`,
    );
  }
  if (gpu.info.isFallbackAdapter) {
    // Compiling one kernel there takes seconds.
    const first = (wanted: string) =>
      ways.find(({ tile, arithmetic }) => tile === wanted && arithmetic !== "f16");
    const way = first(NARROW_TILE) ?? first(SOFTWARE_TILE);
    return way ? decodeOf(way) : { set: "plain" };
  }
  if (ways.length === 0) return { set: "plain" };
  const { gateUp, down } = weights.layers[0]!;
  const { way: name, timings } = await tuneOnce(gpu, { gateUp, down, eps: config.rms_norm_eps }, ways);
  return { ...decodeOf(ways.find((way) => way.name === name)!), timings };
}

function decodeOf({ arithmetic, name }: GemvWay): Extract<Decode, { set: "fused" }> {
  return { set: "fused", arithmetic, way: name };
}

/** tune(), unless it is known of this device, or in the host's store of one like it. */
export function tuneOnce(gpu: Gpu, subject: Subject, ways: readonly GemvWay[]): Promise<Tuned> {
  const names = ways.map(({ name }) => name);
  const what = JSON.stringify(sizesOf(subject));
  return tunedOnce(gpu, "decode", what, names, () =>
    tune(() => gpu.allOrNone(() => new Trials(gpu, subject)), ways, "one row"),
  );
}

/** What a choice is for: formats and sizes of a layer's two matrices that are timed. */
export function sizesOf({ gateUp, down }: Pick<Subject, "gateUp" | "down">): unknown[] {
  return [gateUp, down].map(({ format, rows, columns }) => [format, rows, columns]);
}
