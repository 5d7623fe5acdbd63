import { type AttentionShape, sequencePages } from "./cache.ts";
import { MOST_DRAWN, ROWS_HEADER } from "./rows.ts";
import type { Operation } from "./way.ts";

type AdvanceShape = Pick<AttentionShape, "context" | "page"> & {
  /** Words of a row in `best`. */
  readonly stride: number;
};

/**
 * Makes the rows of a pass, all drawn from, those of the next: the tokens that were chosen, at the next positions of their
 * sequences, whose pages the table has to name. best [drawn, stride]: an id and its logit first; chosen [drawn, 2]: those, for
 * the host; rows as rows.wgsl has them; pages [sequences, pages of one].
 */
export const ADVANCE: Operation<AdvanceShape, "best" | "chosen" | "rows" | "pages"> = {
  name: "advance",
  bindings: () => ["best", "chosen", "rows", "pages"],
  ways: [
    {
      name: "plain",
      needs: [],
      files: () => ["pages", "advance"],
      constants: (shape) => ({
        PAGE: shape.page,
        SEQUENCE_PAGES: sequencePages(shape),
        STRIDE: shape.stride,
        HEADER: ROWS_HEADER,
        MOST_DRAWN,
      }),
      grid: () => [1],
    },
  ],
};
