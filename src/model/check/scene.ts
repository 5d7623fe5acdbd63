import { type AttentionShape, sequencePages } from "../../kernels/cache.ts";
import { MOST_DRAWN, ROW, ROWS_HEADER } from "../../kernels/rows.ts";
import { tableLines } from "../sequence.ts";

/** A row of a pass, as rows.wgsl has it. */
interface SceneRow {
  readonly token: number;
  readonly position: number;
  readonly sequence: number;
  readonly place: number;
}

type Words = Uint32Array<ArrayBuffer>;

/** Which page an index of a sequence's line in the page table has. */
type PageOf = (sequence: number, index: number) => number;

/** The rows of a pass, and the pages of their sequences. */
export class Scene {
  readonly rows: readonly SceneRow[];
  /** Rows that are drawn. */
  readonly drawn: readonly number[];
  private readonly shape: AttentionShape;
  private readonly pageOf: PageOf;

  /** @param rows Their place in the cache is by default that of their position. */
  constructor(
    shape: AttentionShape,
    rows: readonly (Omit<SceneRow, "place"> & { readonly place?: number })[],
    drawn: readonly number[],
    pageOf: PageOf,
  ) {
    this.shape = shape;
    this.drawn = drawn;
    this.pageOf = pageOf;
    this.rows = rows.map((row) => ({ place: this.placeOf(row.sequence, row.position), ...row }));
  }

  /** A row at a position, or at the last that the context has. */
  static one(shape: AttentionShape, vocab: number, position: number): Scene {
    const row = { token: vocab - 1, position: Math.min(position, shape.context - 1), sequence: 0 };
    return new Scene(shape, [row], [0], backward(shape));
  }

  /** `count` rows or what the context allows: the first sequence's from `position` on, and three of another's beginning. */
  static several(shape: AttentionShape, vocab: number, count: number, position: number): Scene {
    const isRoomy =
      count > 4 && shape.pages > Math.ceil((position + count) / shape.page) && shape.context > 3;
    const others = isRoomy ? 3 : 0;
    const own = Math.min(count - others, shape.context);
    const first = Math.min(position, shape.context - own);
    const rows = Array.from({ length: own + others }, (_, t) => ({
      token: tokenOf(vocab, t),
      position: t < own ? first + t : t - own,
      sequence: t < own ? 0 : 1,
    }));
    const drawn = [...new Set([0, own - 1, own + others - 1])];
    return new Scene(shape, rows, drawn, backward(shape));
  }

  placeOf(sequence: number, position: number): number {
    const { page } = this.shape;
    return this.pageOf(sequence, Math.floor(position / page)) * page + (position % page);
  }

  /** The rows as the kernels read them. */
  get rowsWords(): Words {
    const words = new Uint32Array(ROWS_HEADER + ROW * this.rows.length);
    words.set([this.rows.length, this.drawn.length]);
    words.set(this.drawn, ROWS_HEADER - MOST_DRAWN);
    for (const [t, { token, position, sequence, place }] of this.rows.entries()) {
      words.set([token, position, sequence, place], ROWS_HEADER + ROW * t);
    }
    return words;
  }

  /** The drawn rows as those of a pass of their own: how many there are. */
  get drawnWords(): Words {
    return Uint32Array.of(this.drawn.length);
  }

  /** The lines of the page table that its sequences have. */
  get pagesWords(): Words {
    const width = sequencePages(this.shape);
    const lines = Math.min(2, tableLines(this.shape));
    return Uint32Array.from({ length: lines * width }, (_, i) =>
      this.pageOf(Math.floor(i / width), i % width),
    );
  }
}

/** Distinct ones, the last row of the vocabulary's matrices among them. */
export function tokenOf(vocab: number, t: number): number {
  return (vocab - 1 + 7919 * t) % vocab;
}

/** A sequence's pages in falling order; a second one's from the first on, where there is room. */
function backward({ pages }: AttentionShape): PageOf {
  return (sequence, index) => (sequence === 0 ? pages - 1 - index : index);
}
