import { type AttentionShape, sequencePages } from "./cache.ts";
import { ROWS_HEADER } from "./rows.ts";
import type { Operation } from "./way.ts";

/**
 * Makes the one row of a pass that of the next: the token that was chosen, at the next position of its sequence, whose
 * page the table has to name. best: the id first; rows as rows.wgsl has them; pages [sequences, pages of one].
 */
export const ADVANCE: Operation<Pick<AttentionShape, "context" | "page">, "best" | "rows" | "pages"> = {
  name: "advance",
  bindings: () => ["best", "rows", "pages"],
  ways: [
    {
      name: "plain",
      needs: [],
      files: () => ["pages", "advance"],
      constants: (shape) => ({
        PAGE: shape.page,
        SEQUENCE_PAGES: sequencePages(shape),
        HEADER: ROWS_HEADER,
      }),
      grid: () => [1],
    },
  ],
};
