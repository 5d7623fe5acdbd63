import { ContextOverflowError, OptionError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { type Dispatch, encode } from "../gpu/kernel.ts";
import type { ReadbackRing } from "../gpu/readback-ring.ts";
import type { Drawn } from "./drawn.ts";
import type { Ahead, Candidates, PassPart } from "./language-model.ts";
import type { Sequence } from "./sequence.ts";
import type { State } from "./state.ts";

/** What a run takes of its model. */
interface RunParts {
  readonly gpu: Gpu;
  readonly state: State;
  /** All dispatches of a pass of the row at a position, which leaves the row of the next. */
  readonly dispatchesAt: (position: number) => readonly Dispatch[];
  readonly drawn: Drawn;
  readonly ring: ReadbackRing;
}

/**
 * Passes of one row, each of which leaves the row of the next on the GPU: they are submitted up to the ring's depth
 * before the first is read. Of the sequence, the host takes note as it reads; places ahead are reserved before they run.
 */
export class RunAhead implements Ahead {
  milliseconds = 0;
  private readonly parts: RunParts;
  private readonly sequence: Sequence;
  private readonly most: number;
  private readonly onEnd: () => void;
  /** The token of the pass that is read next. */
  private readonly token: number[];
  private readonly part: PassPart;
  private submitted = 0;
  /** Whether the pass submitted last knew the place of the next one's row. */
  private chained = false;

  constructor(parts: RunParts, sequence: Sequence, token: number, most: number, onEnd: () => void) {
    this.parts = parts;
    this.sequence = sequence;
    this.token = [token];
    this.part = { sequence, tokens: this.token, first: 0, count: 1, drawn: 1 };
    this.most = most;
    this.onEnd = onEnd;
  }

  async next(): Promise<Candidates> {
    const { ring, drawn } = this.parts;
    while (this.submitted < this.most && ring.hasRoom && (ring.waiting === 0 || this.chained)) this.submit();
    if (ring.waiting === 0) throw new OptionError(`All ${this.most} tokens of this run were drawn.`);
    this.milliseconds = await ring.take(drawn.words[0]!);
    this.sequence.append(this.token, 0, 1);
    this.token[0] = drawn.words[0]![0]!;
    return drawn.candidates[0]!;
  }

  async end(): Promise<void> {
    await this.parts.ring.drain();
    this.sequence.truncate(this.sequence.length);
    this.onEnd();
  }

  private submit(): void {
    const { gpu, state, dispatchesAt, drawn, ring } = this.parts;
    const { device } = gpu;
    const { waiting } = ring;
    if (waiting === 0) {
      this.sequence.reserve(1);
      state.rows.clear();
      state.rows.add(this.part);
      state.rows.write(device.queue);
    }
    this.chained = this.submitted + 1 < this.most && this.hasRoom(waiting + 2);
    const encoder = device.createCommandEncoder({ label: "decode" });
    encode(encoder, dispatchesAt(this.sequence.length + waiting), "decode");
    ring.submit(encoder, drawn.source);
    this.submitted++;
  }

  /** Makes room for `count` tokens after those that were read, where there is any. */
  private hasRoom(count: number): boolean {
    try {
      this.sequence.reserve(count);
      return true;
    } catch (error) {
      // What stops an answer for want of room is the pass that needs it, not one ahead of it.
      if (error instanceof ContextOverflowError) return false;
      throw error;
    }
  }
}
