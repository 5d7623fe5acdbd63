import type { Gpu } from "../../gpu/device.ts";
import type { Dispatch } from "../../gpu/kernel.ts";
import { SPLIT_POSITIONS } from "../../kernels/attention-split.ts";
import { wayLabel } from "../../kernels/way.ts";
import type { Config } from "../config.ts";
import type { FewPass, Pass, Passes } from "../passes.ts";
import type { State } from "../state.ts";
import { ATTENTION_CHECKS } from "./attention.ts";
import { type Checked, describeError, isWrong } from "./checked.ts";
import { DRAWING_CHECKS } from "./drawing.ts";
import { ELEMENTWISE_CHECKS } from "./elementwise.ts";
import { checkFew } from "./few.ts";
import { FUSED_CHECKS } from "./fused.ts";
import { PRODUCT_CHECKS } from "./products.ts";
import { type Run, runTrials } from "./run.ts";
import { Scene } from "./scene.ts";
import { Stage } from "./stage.ts";
import type { Check } from "./trial.ts";

const CHECKS: readonly Check[] = [
  ...PRODUCT_CHECKS,
  ...FUSED_CHECKS,
  ...ATTENTION_CHECKS,
  ...ELEMENTWISE_CHECKS,
  ...DRAWING_CHECKS,
];

/** Rows of a prompt: a tile of 64 and a part of another; on software, where they cost time, no whole tile of the largest. */
const [ROWS, SOFTWARE_ROWS] = [67, 9];
/** Where a prompt's rows begin: they go on in another page. */
const FIRST_POSITION = 29;
/** Where a token is decoded: in the second of several splits, and where nothing is split. */
const [LATE, EARLY] = [SPLIT_POSITIONS + 44, 99];

/** The kernels of a model, held to known results; where some were is told once. */
export class Inspector {
  /** What was checked: those that were wrong too. */
  readonly checked: Checked[] = [];
  private readonly gpu: Gpu;
  private readonly config: Config;
  private readonly state: State;
  private readonly known = new Set<string>();

  constructor(gpu: Gpu, config: Config, state: State) {
    this.gpu = gpu;
    this.config = config;
    this.state = state;
  }

  /**
   * Runs each kernel of passes once, on noise in the model's own buffers, which are empty still and are again after it, and
   * compares all that it leaves with the operation in float64. Nobody takes a wrong way again on this device.
   * @returns whether none is wrong.
   */
  async passesHold(passes: Passes): Promise<boolean> {
    const { attention } = this.state;
    const { vocab_size: vocab } = this.config;
    return this.scenesHold([
      [Scene.one(attention, vocab, LATE), decodeOf(passes, LATE)],
      [Scene.one(attention, vocab, EARLY), decodeOf(passes, EARLY)],
      [this.several(), [...passes.prefill.draw.argmax, ...passes.prefill.draw.candidates]],
    ]);
  }

  /** As passesHold(), of some dispatches of a pass of several rows, none of which reads weights or the cache. */
  async hold(dispatches: readonly Dispatch[]): Promise<boolean> {
    return this.scenesHold([[this.several(), dispatches]]);
  }

  /**
   * As passesHold(), of a pass of several rows of a model that may have its weights. What is wrong with it is not told of its ways:
   * they are those of one row, which are right.
   */
  async fewHold(few: FewPass, one: Pass): Promise<boolean> {
    const found = await checkFew(this.gpu, this.config, this.state, few, one);
    this.checked.push(...found);
    return !found.some(isWrong);
  }

  private async scenesHold(scenes: readonly [Scene, readonly Dispatch[]][]): Promise<boolean> {
    const found = await checkScenes(this.gpu, this.config, this.state, scenes, this.known);
    this.checked.push(...found);
    const wrong = found.filter(isWrong);
    for (const one of wrong) this.gpu.wrong.set(wayLabel(one.kernel, one.way), describeError(one));
    return wrong.length === 0;
  }

  private several(): Scene {
    const { attention, rows } = this.state;
    const most = this.gpu.info.isFallbackAdapter ? SOFTWARE_ROWS : ROWS;
    return Scene.several(attention, this.config.vocab_size, Math.min(rows.capacity, most), FIRST_POSITION);
  }
}

/**
 * Checks dispatches, each with the rows of its pass; those that write to the cache last, since others read it.
 * @param known Those that were checked before: these are added.
 * @returns of each way the worst.
 */
export async function checkScenes(
  gpu: Gpu,
  config: Config,
  state: State,
  scenes: readonly [Scene, readonly Dispatch[]][],
  known = new Set<string>(),
): Promise<Checked[]> {
  const planned = scenes.flatMap(([scene, dispatches]) =>
    dispatches.flatMap((dispatch) => {
      const check = CHECKS.find(({ operation }) => operation === dispatch.made?.operation);
      const key = JSON.stringify([dispatch.made, dispatch.workgroups]);
      if (!check || known.has(key)) return [];
      known.add(key);
      return [{ dispatch, check, scene }];
    }),
  );
  if (planned.length === 0) return [];
  const stage = new Stage(gpu, config, state);
  const done: Run[] = [];
  const inOrder = [false, true].flatMap((writes) =>
    planned.filter(({ check: { writesCache = false } }) => writesCache === writes),
  );
  function* runs() {
    for (const { dispatch, check, scene } of inOrder) {
      stage.scene = scene;
      const run = { dispatch, trial: check.trialOf(dispatch.made!, dispatch.buffers, stage), scene };
      done.push(run);
      yield run;
    }
  }
  const errors = await runTrials(gpu, state, runs(), (encoder) => stage.clear(encoder));
  const found = new Map<string, Checked>();
  for (const [i, { dispatch, trial }] of done.entries()) {
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
  return Object.values(decodeAt(position).ahead).flat();
}
