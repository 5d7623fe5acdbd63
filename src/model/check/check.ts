import type { Gpu } from "../../gpu/device.ts";
import type { Dispatch } from "../../gpu/kernel.ts";
import { SPLIT_POSITIONS } from "../../kernels/attention-split.ts";
import { wayLabel } from "../../kernels/way.ts";
import type { Config } from "../config.ts";
import type { Passes } from "../passes.ts";
import type { State } from "../state.ts";
import { ATTENTION_CHECKS } from "./attention.ts";
import { DRAWING_CHECKS } from "./drawing.ts";
import { ELEMENTWISE_CHECKS } from "./elementwise.ts";
import { FUSED_CHECKS } from "./fused.ts";
import { PRODUCT_CHECKS } from "./products.ts";
import { type Run, runTrials } from "./run.ts";
import { Scene } from "./scene.ts";
import { Stage } from "./stage.ts";

/** A way of a kernel that was held to known results. */
export interface Checked {
  readonly kernel: string;
  readonly way: string;
  /** How far its results were off, the worst of all shapes: a share, infinite where some were no numbers or stood where none should. */
  readonly error: number;
  /** What it may be off. */
  readonly allowed: number;
}

const CHECKS = [
  ...PRODUCT_CHECKS,
  ...FUSED_CHECKS,
  ...ATTENTION_CHECKS,
  ...ELEMENTWISE_CHECKS,
  ...DRAWING_CHECKS,
];

/** For people: a sentence for each way that was wrong, of a model that does without it. */
export function describeWrongWays(checked: readonly Checked[]): string[] {
  return checked
    .filter(isWrong)
    .map(
      (one) =>
        `The kernel "${one.kernel}" is computed wrong here as "${one.way}" (${describeError(one)}): another way takes its place.`,
    );
}

/** Rows of a prompt: a tile of 64 and a part of another; on software, where they cost time, no whole tile of the largest. */
const [ROWS, SOFTWARE_ROWS] = [67, 11];
/** Where a prompt's rows begin: they go on in another page. */
const FIRST_POSITION = 21;
/** Where a token is decoded: in the second of several splits, and where nothing is split. */
const [LATE, EARLY] = [SPLIT_POSITIONS + 44, 99];

export function isWrong({ error, allowed }: Checked): boolean {
  return error > allowed;
}

/** For messages, behind "is": "off by 12 %, where 0.024 % is allowed". */
export function describeError({ error, allowed }: Checked): string {
  const percent = (share: number) => `${Number((100 * share).toPrecision(2))} %`;
  const found = Number.isFinite(error)
    ? `off by ${percent(error)}`
    : "no number, or leaves some where none belong";
  return `${found}, where ${percent(allowed)} is allowed`;
}

/**
 * Runs each kernel of a model's passes once, on noise in the model's own buffers, which are empty still and are again
 * after it, and compares all that it leaves with the operation in float64.
 * @param known Dispatches that were checked before, by checkKey(): those that are checked are added.
 */
export async function checkPasses(
  gpu: Gpu,
  config: Config,
  state: State,
  passes: Passes,
  known: Set<string>,
): Promise<Checked[]> {
  const { attention } = state;
  const rows = Math.min(state.rows.capacity, gpu.info.isFallbackAdapter ? SOFTWARE_ROWS : ROWS);
  const { vocab_size: vocab } = config;
  const scenes: [Scene, readonly Dispatch[]][] = [
    [Scene.one(attention, vocab, LATE), decodeOf(passes, LATE)],
    [Scene.one(attention, vocab, EARLY), decodeOf(passes, EARLY)],
    [
      Scene.several(attention, vocab, rows, FIRST_POSITION),
      [...passes.prefill.draw.argmax, ...passes.prefill.draw.candidates],
    ],
  ];
  const stage = new Stage(gpu, config, state, scenes[0]![0]);
  const runs: Run[] = [];
  for (const [scene, dispatches] of scenes) {
    stage.scene = scene;
    for (const dispatch of dispatches) {
      const { made, buffers } = dispatch;
      const check = CHECKS.find(({ operation }) => operation === made?.operation);
      const key = JSON.stringify([made, dispatch.workgroups]);
      if (!made || !check || known.has(key)) continue;
      known.add(key);
      runs.push({ dispatch, trial: check.trialOf(made, buffers, stage), scene });
    }
  }
  runs.sort((a, b) => Number(a.trial.writesCache ?? false) - Number(b.trial.writesCache ?? false));
  const errors = await runTrials(gpu, state, stage, runs);
  const found = new Map<string, Checked>();
  for (const [i, { dispatch, trial }] of runs.entries()) {
    const { operation: kernel, way } = dispatch.made!;
    const checked = { kernel, way, error: errors[i]!, allowed: trial.allowed };
    const label = wayLabel(kernel, way);
    const before = found.get(label);
    if (!before || excess(checked) > excess(before)) found.set(label, checked);
  }
  return [...found.values()];
}

/** How much of what is allowed an error is. */
function excess({ error, allowed }: Checked): number {
  return error / (allowed || Number.MIN_VALUE);
}

/** All dispatches that a token at a position may need. */
function decodeOf({ decodeAt }: Passes, position: number): readonly Dispatch[] {
  const { draw, ahead } = decodeAt(position);
  return [...draw.argmax, ...draw.candidates, ...ahead.argmax, ...ahead.candidates];
}
