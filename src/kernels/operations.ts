import { ADVANCE } from "./advance.ts";
import { ARGMAX } from "./argmax.ts";
import { ATTENTION } from "./attention.ts";
import { ATTENTION_MERGE, ATTENTION_SPLIT, ATTENTION_WHOLE } from "./attention-split.ts";
import { EMBED } from "./embed.ts";
import { ADD, EMBED_GROUP, GATE, HEAD, QKV } from "./fused.ts";
import { LINEAR } from "./linear.ts";
import { MIX } from "./mix.ts";
import { COLUMN_MOMENTS } from "./moments.ts";
import { PENALISE } from "./penalise.ts";
import { PICK } from "./pick.ts";
import { LINEAR_OF_QUADS, QUANTISE } from "./quads.ts";
import { RMSNORM } from "./rmsnorm.ts";
import { ROPE } from "./rope.ts";
import { SAMPLE } from "./sample.ts";
import { PROJECT, SKETCH } from "./sketch.ts";
import { SWIGLU } from "./swiglu.ts";
import { TOP } from "./topk.ts";

/** Every operation: what tests and benchmarks walk. */
export const OPERATIONS = {
  embed: EMBED,
  rmsnorm: RMSNORM,
  linear: LINEAR,
  quantise: QUANTISE,
  linearOfQuads: LINEAR_OF_QUADS,
  rope: ROPE,
  attention: ATTENTION,
  mix: MIX,
  swiglu: SWIGLU,
  pick: PICK,
  argmax: ARGMAX,
  topk: TOP,
  penalise: PENALISE,
  sample: SAMPLE,
  advance: ADVANCE,
  squares: COLUMN_MOMENTS,
  project: PROJECT,
  sketch: SKETCH,
  embedGroup: EMBED_GROUP,
  qkv: QKV,
  attentionSplit: ATTENTION_SPLIT,
  attentionMerge: ATTENTION_MERGE,
  attentionWhole: ATTENTION_WHOLE,
  add: ADD,
  gate: GATE,
  head: HEAD,
} as const;
