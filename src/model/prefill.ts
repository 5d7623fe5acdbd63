import { DeviceError } from "../errors.ts";
import { describeAdapter } from "../gpu/adapter.ts";
import type { Gpu } from "../gpu/device.ts";
import { describeWrongProduct, PRODUCT_WAYS, type ProductWay, productWays } from "../kernels/product.ts";
import { sizesOf } from "./decode.ts";
import { type PrefillSubject, PrefillTrials } from "./prefill-trials.ts";
import { recall, tunedOnce } from "./store.ts";
import type { Timing } from "./timing.ts";
import { tune } from "./tune.ts";

/** How a pass of a prompt's rows multiplies. */
export interface Prefill {
  /** One of PRODUCT_WAYS. */
  readonly way: string;
  /** What it was chosen by, where it was timed: now, or when the adapter first had matrices of these sizes. */
  readonly timings?: readonly Timing[];
}

/** What a caller may ask for: the fastest by timing but on software, the fastest by timing there too, or a way. */
export const PREFILLS: readonly string[] = ["auto", "timed", ...PRODUCT_WAYS.map(({ name }) => name)];

/** The matrices that are timed, and how many rows a chunk has. */
type Sizes = Pick<PrefillSubject, "gateUp" | "down"> & { readonly rows: { readonly capacity: number } };

/**
 * The products of a model's prompts. Where several fit, they are timed on the model's buffers, which are left empty.
 * @param rounded Whether decoding rounds activations to 8 bits. Then prompts may too, so that they leave what their tokens one by
 * one would.
 * @param wanted One of PREFILLS.
 * @throws DeviceError where the model or the adapter does not allow what is wanted.
 */
export async function choosePrefill(
  gpu: Gpu,
  subject: PrefillSubject,
  rounded: boolean,
  wanted = "auto",
): Promise<Prefill> {
  if (wanted === "timed" || (wanted === "auto" && !gpu.info.isFallbackAdapter)) {
    const ways = productWays(gpu, subject.gateUp, rounded);
    if (ways.length < 2) return ruled(ways);
    return tunedOnce(gpu, "prefill", whatOf(subject), namesOf(ways), () =>
      tune(() => new PrefillTrials(gpu, subject), ways, "several rows"),
    );
  }
  if (wanted === "auto") return knownPrefill(gpu, subject, rounded);
  const ways = productWays(gpu, subject.gateUp, true);
  if (ways.some(({ name }) => name === wanted)) return { way: wanted };
  const wrong = describeWrongProduct(gpu, wanted);
  if (wrong) throw new DeviceError(`${wrong} Leave prefill out: what is right is taken then.`);
  throw new DeviceError(
    `prefill is "${wanted}", which this model on ${describeAdapter(gpu.info)} does not allow; it allows ${namesOf(ways).join(", ")}.`,
  );
}

/** As choosePrefill() on software, where compiling one kernel takes seconds: as was timed there when somebody asked for it, or by rule. */
export async function knownPrefill(gpu: Gpu, subject: Sizes, rounded: boolean): Promise<Prefill> {
  const ways = productWays(gpu, subject.gateUp, rounded);
  return (await recall(gpu, "prefill", whatOf(subject), namesOf(ways))) ?? ruled(ways);
}

/** Where nothing is left that is right, compiling says so. */
function ruled([first = PRODUCT_WAYS.at(-1)!]: readonly ProductWay[]): Prefill {
  return { way: first.name };
}

function namesOf(ways: readonly ProductWay[]): string[] {
  return ways.map(({ name }) => name);
}

function whatOf(subject: Sizes): string {
  return JSON.stringify([...sizesOf(subject), subject.rows.capacity]);
}
