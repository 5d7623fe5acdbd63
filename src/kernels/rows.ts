/** Rows of a pass whose logits may be asked for: one for each of as many sequences, or of a sequence's last tokens. */
export const MOST_DRAWN = 16;

/** u32 before the rows: how many there are and how many are drawn, and which. rows.wgsl has the layout. */
export const ROWS_HEADER = 4 + MOST_DRAWN;
/** u32 of a row. */
export const ROW = 4;

/** Bytes of the rows of a pass of `tokens`. */
export function rowsBytes(tokens: number): number {
  return 4 * (ROWS_HEADER + ROW * tokens);
}
