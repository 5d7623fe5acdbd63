import { type AttentionShape, sequencePages } from "./cache.ts";
import { MOST_DRAWN, ROWS_HEADER } from "./rows.ts";
import type { Operation } from "./way.ts";

/** What is known of the pages of a sequence. */
export type PagesShape = Pick<AttentionShape, "context" | "page">;

/** Constants of pages.wgsl and next_row.wgsl. */
export function nextRowConstants(shape: PagesShape): { readonly [name: string]: number } {
  return { PAGE: shape.page, SEQUENCE_PAGES: sequencePages(shape), HEADER: ROWS_HEADER };
}

/**
 * Makes the rows of a pass, all drawn from, those of the next: the best tokens, at the next positions of their sequences, whose
 * pages the table has to name. best [drawn, 2]: an id and its logit, as ARGMAX leaves them; chosen [drawn, 2]: those, for the host;
 * rows as rows.wgsl has them; pages [sequences, pages of one].
 */
export const ADVANCE: Operation<PagesShape, "best" | "chosen" | "rows" | "pages"> = {
  name: "advance",
  bindings: () => ["best", "chosen", "rows", "pages"],
  ways: [
    {
      name: "plain",
      needs: [],
      files: () => ["pages", "next_row", "advance"],
      constants: (shape) => ({ ...nextRowConstants(shape), MOST_DRAWN }),
      grid: () => [1],
    },
  ],
};
