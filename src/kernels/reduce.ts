import type { Way } from "./way.ts";

/** Lanes of a workgroup that reduces, where nothing speaks for another number: the default of the parts. */
export const REDUCE_LANES = 64;

/** The parts that reduce over a workgroup, and what each needs. */
const PARTS = [
  { name: "subgroup", needs: ["subgroups"], part: "reduce_subgroup" },
  { name: "workgroup", needs: [], part: "reduce_workgroup" },
] as const;

/** A way of each reduction: with subgroup operations, and through workgroup memory. */
export function reducing<Shape>(
  prefix: string,
  way: (part: string) => Omit<Way<Shape>, "name" | "needs">,
): Way<Shape>[] {
  return PARTS.map(({ name, needs, part }) => ({ name: prefix + name, needs, ...way(part) }));
}
