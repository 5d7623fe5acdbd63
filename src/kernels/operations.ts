import { ARGMAX } from "./argmax.ts";
import { ATTENTION } from "./attention.ts";
import { COLUMN_SQUARES } from "./column_squares.ts";
import { EMBED } from "./embed.ts";
import { LINEAR } from "./linear.ts";
import { PICK } from "./pick.ts";
import { RMSNORM } from "./rmsnorm.ts";
import { ROPE } from "./rope.ts";
import { SWIGLU } from "./swiglu.ts";
import { TOP } from "./top_k.ts";

/** Every operation: what tests and benchmarks walk. */
export const OPERATIONS = {
  embed: EMBED,
  rmsnorm: RMSNORM,
  linear: LINEAR,
  rope: ROPE,
  attention: ATTENTION,
  swiglu: SWIGLU,
  pick: PICK,
  argmax: ARGMAX,
  top_k: TOP,
  column_squares: COLUMN_SQUARES,
} as const;
