import type { Gpu } from "../gpu/device.ts";
import type { Dispatch } from "../gpu/kernel.ts";
import { ADVANCE } from "../kernels/advance.ts";
import { ARGMAX } from "../kernels/argmax.ts";
import { SPLIT_POSITIONS } from "../kernels/attention-split.ts";
import { FEW } from "../kernels/gemv.ts";
import { PENALISE } from "../kernels/penalise.ts";
import { MOST_DRAWN } from "../kernels/rows.ts";
import { SAMPLE } from "../kernels/sample.ts";
import { TOP } from "../kernels/topk.ts";
import type { Arithmetic } from "../kernels/vector.ts";
import { prepare } from "../kernels/way.ts";
import type { Config } from "./config.ts";
import { chooseDecode, type Decode } from "./decode.ts";
import type { Want } from "./language-model.ts";
import { forward, type KernelSet, record } from "./llama.ts";
import type { Storage } from "./memory.ts";
import { choosePrefill, type Prefill } from "./prefill.ts";
import { createFused, type FusedActivations, fused, gainsByWhole } from "./sets/fused.ts";
import { type Activations, createActivations, destroyActivations, plain } from "./sets/plain.ts";
import { attentionShape, createState, destroyState, type State } from "./state.ts";
import { allocateWeights, destroyWeights, type Weights } from "./weights.ts";

/** All buffers of a model, and which kernels its passes run on. */
export interface Parts {
  readonly weights: Weights;
  readonly state: State;
  readonly activations: Activations;
  readonly decoding: Decode;
  /** How its passes of several rows multiply. */
  readonly prefilling: Prefill;
  /** What goes between the kernels of `fused`, where it decodes. */
  readonly vectors: FusedActivations | undefined;
}

/** What a caller may ask for. */
export interface Wanted {
  /** The kernels of passes of one row, one of DECODES. Default: the fastest, by timing. */
  readonly decode?: string | undefined;
  /** The products of passes of several rows, one of PREFILLS. Default: the fastest, by timing but on software. */
  readonly prefill?: string | undefined;
}

/** A pass of up to T rows as flat lists of dispatches: each list is all that is encoded. */
export interface Pass {
  readonly set: KernelSet<GPUBuffer>;
  /** Up to h: the tokens are in the cache then. */
  readonly append: readonly Dispatch[];
  /** Behind `append`: the logits of the rows asked for. */
  readonly head: readonly Dispatch[];
  /** As `append`, and what is wanted of the rows asked for. */
  readonly draw: Readonly<Record<Want, readonly Dispatch[]>>;
}

/** How passes of a run ahead choose their tokens: the best ones or drawn ones, with penalties or without. */
export type AheadKind = `${"" | "penalised "}${Exclude<Want, "logits">}`;

/** A pass whose rows are those that the one before it left. */
interface RowPass extends Pass {
  /** As `draw`, leaving the rows of the next pass too. */
  readonly ahead: Readonly<Record<AheadKind, readonly Dispatch[]>>;
}

/** A pass of several rows, of which it draws from all. */
export interface FewPass extends RowPass {
  /** Rows that it has room for, one of FEW. */
  readonly tokens: number;
}

/** A model's passes: of one row at a position, and of up to T rows. */
export interface Passes {
  readonly decodeAt: (position: number) => RowPass;
  readonly prefill: Pass;
  /**
   * For 2 to MOST_DRAWN rows, all of which it draws from: each gives to the bit what it gives alone. Compiled when it is needed;
   * there is none where one row runs on `plain`, and undefined comes where its kernels are wrong. Nothing else may run meanwhile.
   */
  few(rows: number): Promise<FewPass | undefined> | undefined;
  /** Releases what was allocated for several rows. */
  destroy(): void;
}

/** Allocates a model, its weights still empty. */
export async function allocateParts(
  gpu: Gpu,
  config: Config,
  storage: Storage,
  wanted: Wanted = {},
): Promise<Parts> {
  const { formatOf, context, cacheTokens, cache, chunk } = storage;
  const attention = attentionShape(config, context, cache, cacheTokens);
  const parts = gpu.allOrNone(() => ({
    weights: allocateWeights(gpu, config, formatOf),
    state: createState(gpu, config, attention, chunk),
    activations: createActivations(gpu, config, chunk),
  }));
  try {
    return await chooseParts(gpu, config, parts, wanted);
  } catch (error) {
    destroyParts({ ...parts, vectors: undefined });
    throw error;
  }
}

/** Chooses what passes run on, and allocates what goes between the kernels of one row. */
async function chooseParts(
  gpu: Gpu,
  config: Config,
  { weights, state, activations }: Pick<Parts, "weights" | "state" | "activations">,
  { decode, prefill }: Wanted,
): Promise<Parts> {
  const decoding = await chooseDecode(gpu, config, weights, decode);
  const { gateUp, down } = weights.layers[0]!;
  const subject = { gateUp, down, rows: state.rows, activations };
  const prefilling = await choosePrefill(gpu, subject, rounds(decoding), prefill);
  const vectors =
    decoding.set === "fused"
      ? gpu.allOrNone(() => createFused(gpu, config, state.attention, decoding.arithmetic, 1))
      : undefined;
  return { weights, state, activations, decoding, prefilling, vectors };
}

/** As allocateParts(), of parts whose weights are empty still, after kernels were found wrong: on others. */
export async function chooseAgain(gpu: Gpu, config: Config, parts: Parts, wanted: Wanted): Promise<Parts> {
  if (parts.vectors) destroyActivations(parts.vectors);
  return chooseParts(gpu, config, parts, wanted);
}

export function destroyParts({
  weights,
  state,
  activations,
  vectors,
}: Omit<Parts, "decoding" | "prefilling">): void {
  destroyActivations(activations);
  if (vectors) destroyActivations(vectors);
  destroyState(state);
  destroyWeights(weights);
}

/** Whether a model rounds what it multiplies with to 8 bits. */
export function rounds(decoding: Decode): boolean {
  return decoding.set === "fused" && decoding.arithmetic === "i8";
}

/**
 * Compiles and records the passes.
 * @param holds Whether the kernels of a pass that is compiled later are right. Default: nobody looks.
 */
export async function recordPasses(
  gpu: Gpu,
  config: Config,
  { weights, state, activations, decoding, prefilling, vectors }: Parts,
  tokenCount: number,
  holds?: (few: FewPass, one: Pass) => Promise<boolean>,
): Promise<Passes> {
  const chosen = { ...state, rows: state.rows.buffer };
  const choosing = async (drawn: number) => {
    const limits = { vocab: config.vocab_size, limit: tokenCount, drawn };
    const [best, top, penalise, advance, sample] = await Promise.all([
      prepare(gpu, ARGMAX, limits),
      prepare(gpu, TOP, limits),
      prepare(gpu, PENALISE, limits),
      prepare(gpu, ADVANCE, state.attention),
      prepare(gpu, SAMPLE, { ...state.attention, drawn }),
    ]);
    return {
      argmax: best(chosen),
      candidates: top(chosen),
      penalised: penalise(chosen),
      nextOfBest: advance(chosen),
      nextOfDrawn: sample(chosen),
    };
  };
  const [one, short, several, chooseOne, chooseSeveral] = await Promise.all([
    decoding.set === "fused"
      ? fused(gpu, config, weights, state, vectors!, decoding)
      : plain(gpu, config, weights, state, activations, 1),
    decoding.set === "fused" && gainsByWhole(gpu)
      ? fused(gpu, config, weights, state, vectors!, { ...decoding, whole: true })
      : undefined,
    plain(gpu, config, weights, state, activations, state.rows.capacity, prefilling.way),
    choosing(1),
    choosing(MOST_DRAWN),
  ]);
  const passOf = (set: KernelSet<GPUBuffer>, choose: typeof chooseOne): Pass => {
    const { dispatches: append, result: h } = record(forward(set, weights));
    const head = record(set.head(h)).dispatches;
    const logits = [...append, ...head];
    const draw = {
      argmax: [...logits, choose.argmax],
      candidates: [...logits, choose.candidates],
      logits,
    };
    return { set, append, head, draw };
  };
  const rowPassOf = (set: KernelSet<GPUBuffer>, choose: typeof chooseOne): RowPass => {
    const pass = passOf(set, choose);
    const { logits } = pass.draw;
    const best = [choose.argmax, choose.nextOfBest];
    const drawn = [choose.candidates, choose.nextOfDrawn];
    const ahead = {
      argmax: [...logits, ...best],
      candidates: [...logits, ...drawn],
      "penalised argmax": [...logits, choose.penalised, ...best],
      "penalised candidates": [...logits, choose.penalised, ...drawn],
    };
    return { ...pass, ahead };
  };
  const decode = rowPassOf(one, chooseOne);
  const early = short && rowPassOf(short, chooseOne);
  const few = new Map<number, Promise<FewPass | undefined>>();
  const allocated: FusedActivations[] = [];
  const compileFew = async (arithmetic: Arithmetic, tokens: number) => {
    const between = gpu.allOrNone(() => createFused(gpu, config, state.attention, arithmetic, tokens));
    try {
      const set = await fused(gpu, config, weights, state, between, { ...decoding, arithmetic, tokens });
      const pass = { ...rowPassOf(set, chooseSeveral), tokens };
      const isRight = holds ? await holds(pass, decode) : true;
      if (isRight) allocated.push(between);
      else destroyActivations(between);
      return isRight ? pass : undefined;
    } catch (error) {
      destroyActivations(between);
      throw error;
    }
  };
  return {
    decodeAt: (position) => (early && position < SPLIT_POSITIONS ? early : decode),
    prefill: passOf(several, chooseSeveral),
    few(rows) {
      const tokens = FEW.find((most) => most >= rows);
      if (decoding.set === "plain" || tokens === undefined) return undefined;
      const known = few.get(tokens);
      if (known) return known;
      const pass = gpu.guarded("Decoding several rows", () => compileFew(decoding.arithmetic, tokens));
      few.set(tokens, pass);
      // Whoever runs it has the error; the next one may have more luck.
      pass.catch(() => few.delete(tokens));
      return pass;
    },
    destroy() {
      for (const between of allocated) destroyActivations(between);
    },
  };
}
