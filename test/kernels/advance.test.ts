import { expect, it } from "vitest";
import { ADVANCE } from "../../src/kernels/advance.ts";
import { prepare } from "../../src/kernels/way.ts";
import { runAndRead, upload, useGpu } from "../support/gpu.ts";
import { uploadRows } from "../support/rows.ts";

const gpu = useGpu();

/** Three sequences of up to four pages. */
const PAGES = [
  [5, 2, 11, 8],
  [4, 1, 0, 3],
  [9, 6, 7, 10],
];

it.each([0, 30, 31, 32, 62, 63, 95, 126])("advance puts the chosen token after position %i", async (at) => {
  const kernel = await prepare(gpu(), ADVANCE, { context: 128, page: 32 });
  for (const [sequence, line] of PAGES.entries()) {
    const best = upload(gpu(), Uint32Array.of(4711, 99));
    const pages = upload(gpu(), new Uint32Array(PAGES.flat()));
    const rows = uploadRows(gpu(), [{ token: 7, position: at, sequence, place: 1 }]);
    const position = at + 1;
    const place = 32 * line[Math.floor(position / 32)]! + (position % 32);
    const words = await runAndRead(gpu(), [kernel({ best, rows, pages })], rows);
    expect([...words]).toEqual([1, 0, 0, 0, 4711, position, sequence, place]);
  }
});
