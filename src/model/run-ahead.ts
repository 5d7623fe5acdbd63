import { ContextOverflowError, OptionError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { type Dispatch, encodeParts } from "../gpu/kernel.ts";
import type { ReadbackRing } from "../gpu/readback-ring.ts";
import { type Penalties, setMarks } from "../kernels/penalise.ts";
import { MOST_DRAWN } from "../kernels/rows.ts";
import { drawSettings, SETTINGS } from "../kernels/sample.ts";
import type { Drawn } from "./drawn.ts";
import type { Ahead, AheadRow, Candidates, PassPart } from "./language-model.ts";
import type { Pacing } from "./pacing.ts";
import type { State } from "./state.ts";

/** What a run takes of its model. */
interface RunParts {
  readonly gpu: Gpu;
  readonly state: State;
  /** All dispatches of a pass of its rows, which leaves the rows of the next; a lone row's depend on its position. */
  readonly dispatchesAt: (position: number) => readonly Dispatch[];
  /** Of each row the id that was chosen and its logit. */
  readonly chosen: Drawn;
  readonly ring: ReadbackRing;
  readonly pacing: Pacing;
}

/** How the best candidate is drawn, and nothing else. */
const GREEDY = { temperature: 1, top_k: 1, top_p: 1, min_p: 0, seed: 0 };

/** Nothing is penalised. */
const LENIENT: Penalties = { repetition_penalty: 1 };

/**
 * Passes of a row each of some sequences, each of which leaves the rows of the next on the GPU: they are submitted up to the
 * ring's depth before the first is read. Of the sequences, the host takes note as it reads; places ahead are reserved before
 * they run.
 */
export class RunAhead implements Ahead {
  milliseconds = 0;
  private readonly parts: RunParts;
  /** Of the pass that is read next. */
  private readonly rows: readonly (PassPart & { readonly tokens: number[] })[];
  private readonly most: number;
  private readonly onEnd: () => void;
  private submitted = 0;
  /** Whether the pass submitted last knew the places of the next one's rows. */
  private chained = false;

  constructor(parts: RunParts, rows: readonly AheadRow[], most: number, onEnd: () => void) {
    this.parts = parts;
    this.rows = rows.map(({ sequence, token }) => ({
      sequence,
      tokens: [token],
      first: 0,
      count: 1,
      drawn: 1,
    }));
    this.most = most;
    this.onEnd = onEnd;
    if (rows.some(({ draws }) => draws)) this.writeSettings(rows);
    if (rows.some(({ penalties }) => penalties)) this.writeMarks(rows);
  }

  async next(goesOn = true): Promise<readonly Candidates[] | undefined> {
    const { ring, chosen, pacing } = this.parts;
    if (goesOn) {
      while (this.submitted < this.most && ring.hasRoom && (ring.waiting === 0 || this.chained))
        this.submit();
    } else if (ring.waiting === 0) return undefined;
    if (ring.waiting === 0) throw new OptionError(`All ${this.most} tokens of this run were drawn.`);
    const words = chosen.words.at(-1)!;
    this.milliseconds = await ring.take(words);
    pacing.noteTokens(this.milliseconds);
    for (const [d, { sequence, tokens }] of this.rows.entries()) {
      sequence.append(tokens, 0, 1);
      tokens[0] = words[2 * d]!;
    }
    return chosen.candidates;
  }

  async end(): Promise<void> {
    await this.parts.ring.drain();
    for (const { sequence } of this.rows) sequence.truncate(sequence.length);
    this.onEnd();
  }

  private writeSettings(rows: readonly AheadRow[]): void {
    const { gpu, state } = this.parts;
    const settings = new Uint32Array(SETTINGS * rows.length);
    for (const [d, { sequence, draws }] of rows.entries()) {
      // The pass of the row at the origin would have made draw 0.
      const origin = sequence.length - (draws?.before ?? 0);
      settings.set(drawSettings(draws?.options ?? GREEDY, origin), SETTINGS * d);
    }
    gpu.device.queue.writeBuffer(state.settings, 0, settings);
  }

  private writeMarks(rows: readonly AheadRow[]): void {
    const { gpu, state } = this.parts;
    const length = state.marks.size / 4 / MOST_DRAWN;
    const marks = new Uint32Array(length * rows.length);
    for (const [d, { sequence, penalties = LENIENT }] of rows.entries()) {
      setMarks(marks.subarray(length * d, length * (d + 1)), penalties, sequence.tokens);
    }
    gpu.device.queue.writeBuffer(state.marks, 0, marks);
  }

  private submit(): void {
    const { gpu, state, dispatchesAt, chosen, ring, pacing } = this.parts;
    const { device } = gpu;
    const { waiting } = ring;
    if (waiting === 0) {
      state.rows.clear();
      for (const row of this.rows) {
        row.sequence.reserve(1);
        state.rows.add(row);
      }
      state.rows.write(device.queue);
    }
    this.chained = this.submitted + 1 < this.most && this.hasRoom(waiting + 2);
    const parts = pacing.tokenPartsOf(dispatchesAt(this.rows[0]!.sequence.length + waiting));
    const encoder = encodeParts(device, parts, "decode");
    ring.submit(encoder, chosen.source);
    this.submitted++;
  }

  /** Makes room for `count` tokens after those that were read, where there is any for all. */
  private hasRoom(count: number): boolean {
    try {
      for (const { sequence } of this.rows) sequence.reserve(count);
      return true;
    } catch (error) {
      // What stops an answer for want of room is the pass that needs it, not one ahead of it.
      if (error instanceof ContextOverflowError) return false;
      throw error;
    }
  }
}
