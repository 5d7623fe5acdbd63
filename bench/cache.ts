import type { Gpu } from "../src/gpu/device.ts";
import { packedBytes } from "../src/kernels/cache.ts";
import type { Config } from "../src/model/config.ts";
import { PAGE } from "../src/model/sequence.ts";
import { snapshotsOf } from "../src/model/snapshots.ts";
import { attentionShape, createState, destroyState } from "../src/model/state.ts";
import { allocateWeights, destroyWeights } from "../src/model/weights.ts";
import type { WeightFormat } from "../src/stored.ts";
import { type Measured, median } from "./measure.ts";

const SAMPLES = 5;
/** Positions that are saved: two blocks, one of them whole. */
const SAVED = 1000;

/** What it takes to copy the fullest part-filled page, and to save and restore an f16 cache: medians, after a warm-up. */
export async function benchCache(gpu: Gpu, config: Config, format: WeightFormat): Promise<Measured[]> {
  const context = Math.min(config.max_position_embeddings, SAVED);
  const shape = attentionShape(config, context, "f16", 2 * (context + PAGE));
  const state = createState(gpu, config, shape, 1);
  const weights = allocateWeights(gpu, config, () => format);
  const snapshots = snapshotsOf(gpu, { config, weights, state });
  const time = async (name: string, positions: number, work: () => Promise<unknown>): Promise<Measured> => {
    const samples: number[] = [];
    for (let i = 0; i <= SAMPLES; i++) {
      const start = performance.now();
      await work();
      samples.push(performance.now() - start);
    }
    const layers = config.num_hidden_layers;
    // Once out and once in.
    const bytes = 2 * 2 * layers * packedBytes(shape, positions);
    return { name: `${name} ${positions}, ${layers} layers`, ms: median(samples.slice(1)), bytes, flops: 0 };
  };
  const hold = (count: number) => {
    const sequence = state.cache.open();
    const tokens = Array.from({ length: count }, (_, i) => i);
    sequence.reserve(count);
    sequence.append(tokens, 0, count);
    return sequence;
  };
  const part = hold(PAGE - 1);
  const copy = await time("copy of a page's", PAGE - 1, async () => {
    part.fork().discard();
    await gpu.finished();
  });
  part.discard();
  const whole = hold(context);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const save = await time("save of", context, async () => {
    parts.length = 0;
    for await (const bytes of snapshots.read(whole)) parts.push(bytes);
  });
  const target = state.cache.open();
  target.reserve(context);
  const restore = await time("restore of", context, async () => {
    const left = parts.values();
    await snapshots.write(target, context, async () => left.next().value!);
  });
  destroyState(state);
  destroyWeights(weights);
  return [copy, save, restore];
}
