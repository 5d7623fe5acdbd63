import { ARGMAX } from "./argmax.ts";
import { ATTENTION } from "./attention.ts";
import { EMBED } from "./embed.ts";
import { LINEAR } from "./linear.ts";
import { COLUMN_MOMENTS } from "./moments.ts";
import { PICK } from "./pick.ts";
import { RMSNORM } from "./rmsnorm.ts";
import { ROPE } from "./rope.ts";
import { SWIGLU } from "./swiglu.ts";
import { TOP } from "./topk.ts";

/** Every operation: what tests and benchmarks walk. */
export const OPERATIONS: {
  readonly embed: typeof EMBED;
  readonly rmsnorm: typeof RMSNORM;
  readonly linear: typeof LINEAR;
  readonly rope: typeof ROPE;
  readonly attention: typeof ATTENTION;
  readonly swiglu: typeof SWIGLU;
  readonly pick: typeof PICK;
  readonly argmax: typeof ARGMAX;
  readonly topk: typeof TOP;
  readonly squares: typeof COLUMN_MOMENTS;
} = {
  embed: EMBED,
  rmsnorm: RMSNORM,
  linear: LINEAR,
  rope: ROPE,
  attention: ATTENTION,
  swiglu: SWIGLU,
  pick: PICK,
  argmax: ARGMAX,
  topk: TOP,
  squares: COLUMN_MOMENTS,
};
