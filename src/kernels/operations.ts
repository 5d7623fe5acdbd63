import { ADVANCE } from "./advance.ts";
import { ARGMAX } from "./argmax.ts";
import { ATTENTION } from "./attention.ts";
import { ATTENTION_MERGE, ATTENTION_SPLIT, ATTENTION_WHOLE } from "./attention-split.ts";
import { EMBED } from "./embed.ts";
import { ADD, EMBED_GROUP, GATE, HEAD, QKV } from "./fused.ts";
import { LINEAR } from "./linear.ts";
import { MIX } from "./mix.ts";
import { COLUMN_MOMENTS } from "./moments.ts";
import { PICK } from "./pick.ts";
import { LINEAR_OF_QUADS, QUANTISE } from "./quads.ts";
import { RMSNORM } from "./rmsnorm.ts";
import { ROPE } from "./rope.ts";
import { SAMPLE } from "./sample.ts";
import { SWIGLU } from "./swiglu.ts";
import { TOP } from "./topk.ts";

/** Every operation: what tests and benchmarks walk. */
export const OPERATIONS: {
  readonly embed: typeof EMBED;
  readonly rmsnorm: typeof RMSNORM;
  readonly linear: typeof LINEAR;
  readonly quantise: typeof QUANTISE;
  readonly linearOfQuads: typeof LINEAR_OF_QUADS;
  readonly rope: typeof ROPE;
  readonly attention: typeof ATTENTION;
  readonly mix: typeof MIX;
  readonly swiglu: typeof SWIGLU;
  readonly pick: typeof PICK;
  readonly argmax: typeof ARGMAX;
  readonly topk: typeof TOP;
  readonly sample: typeof SAMPLE;
  readonly advance: typeof ADVANCE;
  readonly squares: typeof COLUMN_MOMENTS;
  readonly embedGroup: typeof EMBED_GROUP;
  readonly qkv: typeof QKV;
  readonly attentionSplit: typeof ATTENTION_SPLIT;
  readonly attentionMerge: typeof ATTENTION_MERGE;
  readonly attentionWhole: typeof ATTENTION_WHOLE;
  readonly add: typeof ADD;
  readonly gate: typeof GATE;
  readonly head: typeof HEAD;
} = {
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
  sample: SAMPLE,
  advance: ADVANCE,
  squares: COLUMN_MOMENTS,
  embedGroup: EMBED_GROUP,
  qkv: QKV,
  attentionSplit: ATTENTION_SPLIT,
  attentionMerge: ATTENTION_MERGE,
  attentionWhole: ATTENTION_WHOLE,
  add: ADD,
  gate: GATE,
  head: HEAD,
};
