import { expect, it } from "vitest";
import { ADVANCE } from "../../src/kernels/advance.ts";
import { ROWS_HEADER } from "../../src/kernels/rows.ts";
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

it.each([0, 30, 31, 32, 62, 63, 95, 126])(
  "advance puts the chosen tokens after position %i and others",
  async (at) => {
    const kernel = await prepare(gpu(), ADVANCE, { context: 128, page: 32 });
    for (const count of [1, 3]) {
      const asked = Array.from({ length: count }, (_, d) => ({
        at: (at + 40 * d) % 127,
        sequence: (d + 2) % 3,
      }));
      const best = asked.flatMap((_, d) => [4711 + d, 99 - d]);
      const buffers = {
        best: upload(gpu(), Uint32Array.from(best)),
        chosen: upload(gpu(), new Uint32Array(2 * 16).fill(3)),
        pages: upload(gpu(), new Uint32Array(PAGES.flat())),
        rows: uploadRows(
          gpu(),
          asked.map(({ at: position, sequence }) => ({ token: 7, position, sequence, place: 1 })),
          [...asked.keys()],
        ),
      };
      const words = await runAndRead(gpu(), [kernel(buffers)], buffers.rows);
      const wanted = asked.flatMap(({ at, sequence }, d) => {
        const position = at + 1;
        const place = 32 * PAGES[sequence]![Math.floor(position / 32)]! + (position % 32);
        return [4711 + d, position, sequence, place];
      });
      expect([...words.subarray(0, 2)]).toEqual([count, count]);
      expect([...words.subarray(ROWS_HEADER)]).toEqual(wanted);
      const chosen = await runAndRead(gpu(), [], buffers.chosen);
      expect([...chosen.subarray(0, 2 * count + 2)]).toEqual([...best, 3, 3]);
    }
  },
);
