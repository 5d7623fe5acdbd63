import type { Gpu } from "../../gpu/device.ts";
import type { Dispatch } from "../../gpu/kernel.ts";
import { ADVANCE } from "../../kernels/advance.ts";
import { cacheSlices, packedBytes } from "../../kernels/cache.ts";
import { PENALISE } from "../../kernels/penalise.ts";
import { SAMPLE } from "../../kernels/sample.ts";
import type { Config } from "../config.ts";
import { Noise } from "../noise.ts";
import type { FewPass, Pass } from "../passes.ts";
import { tableLines } from "../sequence.ts";
import type { State } from "../state.ts";
import type { Checked } from "./checked.ts";
import { DRAWING_CHECKS } from "./drawing.ts";
import { type Field, LAYOUTS, type Layout } from "./layouts.ts";
import { type Run, runTrials } from "./run.ts";
import { Scene, tokenOf } from "./scene.ts";
import { noisyCache, Stage } from "./stage.ts";
import { PRODUCTS } from "./tolerance.ts";
import type { Output, Trial, Words } from "./trial.ts";

/** Rows that differ, at these positions, in turns of the first sequence and of a second: a prime, so that those of a workgroup do. */
const POSITIONS = [300, 99, 45];
/** How it chooses, where a prompt's pass, which is checked too, has no such kernel. */
const OWN: ReadonlySet<string> = new Set([PENALISE, SAMPLE, ADVANCE].map(({ name }) => name));
/** Pages of the cache that are borrowed: rows are appended to the first, and sequences are all of these. */
const PAGES = 2;

/**
 * Checks the kernels of a pass of several rows on a model that has its weights: what each row gives is what the kernels of one row
 * give, which are checked already. Nothing else may run meanwhile; what the cache holds is there again after it.
 * @param one The pass of one row, whose dispatches are those of `few` in turn.
 */
export async function checkFew(
  gpu: Gpu,
  config: Config,
  state: State,
  few: Pick<FewPass, "append" | "head" | "ahead" | "tokens">,
  one: Pick<Pass, "append" | "head">,
): Promise<Checked[]> {
  const { attention } = state;
  const pages = Math.min(PAGES, attention.pages);
  const lines = Math.min(2, tableLines(attention));
  const pageOf = (sequence: number, index: number) => (sequence + index) % pages;
  const rowOf = (t: number, place: number) => ({
    token: tokenOf(config.vocab_size, t),
    position: Math.min(POSITIONS[t]!, attention.context - 1),
    sequence: t % lines,
    place,
  });
  const sceneOf = (places: readonly number[]) => {
    const rows = places.map((place) => rowOf(place % POSITIONS.length, place));
    return new Scene(
      attention,
      rows,
      places.map((_, d) => d),
      pageOf,
    );
  };
  const singles = POSITIONS.map((_, variant) => sceneOf([variant]));
  const together = sceneOf(Array.from({ length: few.tokens }, (_, t) => t));
  const all = together.rows.map((_, t) => t % POSITIONS.length);

  const known = new Set<string>();
  const isNew = ({ made, workgroups }: Dispatch) => {
    const key = JSON.stringify([made, workgroups]);
    if (known.has(key)) return false;
    known.add(key);
    return true;
  };
  const alone = [...one.append, ...one.head];
  const pairs = [...few.append, ...few.head].flatMap((dispatch, i) =>
    isNew(dispatch) ? [{ dispatch, single: alone[i]! }] : [],
  );
  const stage = new Stage(gpu, config, state);
  stage.scene = together;
  const drawing = Object.values(few.ahead)
    .flat()
    .flatMap((dispatch) => {
      const check = DRAWING_CHECKS.find(({ operation }) => operation === dispatch.made?.operation);
      if (!check || !OWN.has(check.operation) || !isNew(dispatch)) return [];
      return [{ dispatch, trial: check.trialOf(dispatch.made!, dispatch.buffers, stage), scene: together }];
    });
  const runs = [...drawing, ...pairs.flatMap(({ dispatch, single }) => compared(dispatch, single))];
  // The cache is read before it is written to.
  runs.sort((a, b) => Number("keys" in a.trial.outputs) - Number("keys" in b.trial.outputs));

  /** A dispatch of one row for each that differs, and that of all rows, whose results are those. */
  function compared(dispatch: Dispatch, single: Dispatch): Run[] {
    const { operation, shape } = dispatch.made!;
    const layout = LAYOUTS.get(operation)?.(shape);
    if (!layout) return [];
    const left = POSITIONS.map(() => new Map<string, Uint32Array>());
    const keep = (variant: number) => (name: string, words: Uint32Array) => {
      left[variant]!.set(name, words.slice());
      return 0;
    };
    const compare = (name: string, words: Uint32Array) => {
      const { error, bytes } = layout.leaves[name]!;
      const errors = all.map((variant, t) =>
        error(words.subarray((t * bytes) / 4, ((t + 1) * bytes) / 4), left[variant]!.get(name)!),
      );
      const isPast = words.subarray((all.length * bytes) / 4).some((word) => word !== 0);
      return isPast ? Number.POSITIVE_INFINITY : Math.max(...errors);
    };
    return [
      ...singles.map((scene, variant) => ({
        dispatch: single,
        trial: trialOf(layout, [variant], [variant], keep(variant)),
        scene,
      })),
      { dispatch, trial: trialOf(layout, all, [...all.keys(), all.length], compare), scene: together },
    ];
  }

  const borrowed = borrow(gpu, state, pages);
  try {
    const errors = await runTrials(gpu, state, runs, borrowed.giveBack);
    return runs.flatMap(({ dispatch, trial, scene }, i) => {
      if (scene !== together) return [];
      const { operation: kernel, way } = dispatch.made!;
      return [{ kernel, way: `${way}, ${few.tokens} rows`, error: errors[i]!, allowed: trial.allowed }];
    });
  } finally {
    borrowed.destroy();
  }
}

/**
 * A trial of rows of some variants.
 * @param places In the cache, where what is appended stands, and nothing in those beyond the rows.
 * @param errorOf Gets what was left in each binding.
 */
function trialOf(
  { arithmetic, reads, leaves }: Layout,
  variants: readonly number[],
  places: readonly number[],
  errorOf: (name: string, words: Uint32Array) => number,
): Trial {
  const inputs: Record<string, Words> = {};
  for (const [name, field] of Object.entries(reads)) {
    if (!(name in leaves)) inputs[name] = rowsOf(field, variants);
  }
  const outputs: Record<string, Output> = {};
  for (const [name, field] of Object.entries(leaves)) {
    const before = reads[name];
    outputs[name] = {
      slices: field.slicesAt?.(places) ?? [{ from: 0, bytes: field.bytes * variants.length }],
      isWhole: field.slicesAt === undefined,
      ...(before ? { before: rowsOf(before, variants) } : {}),
      error: (words) => errorOf(name, words),
    };
  }
  return { inputs, outputs, allowed: PRODUCTS[arithmetic] };
}

/** Rows of the variants, one behind the other. */
function rowsOf(field: Field, variants: readonly number[]): Words {
  const distinct = new Map(variants.map((variant) => [variant, field.make(variant)]));
  const words = new Uint32Array((field.bytes / 4) * variants.length);
  for (const [t, variant] of variants.entries()) {
    const row = distinct.get(variant)!;
    words.set(new Uint32Array(row.buffer), (field.bytes / 4) * t);
  }
  return words;
}

/** Fills the first pages of a layer's cache with noise; gives back what they and the page table held. */
function borrow(gpu: Gpu, { attention, layers: [layer], pages: table }: State, pages: number) {
  const { device } = gpu;
  const positions = pages * attention.page;
  const bytes = packedBytes(attention, positions);
  const slices = cacheSlices(attention, 0, { first: 0, count: positions, positions });
  const kept = gpu.buffer("what the cache held", 2 * bytes + table.size);
  const buffers = [layer!.keys, layer!.values];
  const encoder = device.createCommandEncoder({ label: "borrow" });
  for (const [i, buffer] of buffers.entries()) {
    for (const { cached, packed, bytes: size } of slices) {
      encoder.copyBufferToBuffer(buffer, cached, kept, i * bytes + packed, size);
    }
  }
  encoder.copyBufferToBuffer(table, 0, kept, 2 * bytes, table.size);
  device.queue.submit([encoder.finish()]);
  const { cache, kvHeads, headDim } = attention;
  const values = new Noise();
  for (const buffer of buffers) {
    const words = noisyCache(values, cache, bytes / 4, kvHeads * positions * headDim);
    for (const { cached, packed, bytes: size } of slices) {
      device.queue.writeBuffer(buffer, cached, words, packed / 4, size / 4);
    }
  }
  return {
    giveBack(encoder: GPUCommandEncoder) {
      for (const [i, buffer] of buffers.entries()) {
        for (const { cached, packed, bytes: size } of slices) {
          encoder.copyBufferToBuffer(kept, i * bytes + packed, buffer, cached, size);
        }
      }
      encoder.copyBufferToBuffer(kept, 2 * bytes, table, 0, table.size);
    },
    destroy: () => kept.destroy(),
  };
}
