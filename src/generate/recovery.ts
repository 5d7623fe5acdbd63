import { DeviceError, DeviceLostError } from "../errors.ts";
import type { Loss } from "../gpu/device.ts";
import type { CalibrationOptions, Importance } from "../model/calibrate.ts";
import type { LanguageModel } from "../model/language-model.ts";
import type { Sequence } from "../model/sequence.ts";
import type { Snapshots } from "../model/snapshots.ts";

/** A language model that can also be measured and released. */
export interface EngineModel extends LanguageModel {
  /**
   * Runs a chunk of `tokens` behind those that the sequence holds, which has room for them: the raw logits of each, padding rows of
   * the vocabulary included, float32 [count, vocab_size].
   */
  score(sequence: Sequence, tokens: readonly number[]): Promise<Float32Array>;
  /** The importance of every matrix's columns over all tokens of `windows`, each run in a sequence of its own. */
  calibrate(windows: Iterable<readonly number[]>, options?: CalibrationOptions): Promise<Importance>;
  destroy(): void;
}

/** A model where it lives: on a device of its own, which may be lost. */
export interface PlacedModel<Model extends EngineModel = EngineModel> {
  readonly model: Model;
  /** Reads and writes what the model's KV cache holds, for conversations that are saved. Default: none can be. */
  readonly snapshots?: Snapshots | undefined;
  /** What it takes of the GPU's memory, for messages. */
  readonly need?: string | undefined;
  /** How its device was lost, once it was. Default: it never is. */
  readonly loss?: (() => Loss | undefined) | undefined;
  /** Releases its device, after the model. */
  readonly free?: (() => void) | undefined;
}

/** What becomes of a model whose device is lost. */
export interface RecoveryOptions<Model extends EngineModel = EngineModel> {
  /**
   * Opens a device like the one that was lost and loads the same model onto it. Default: a loss is for good.
   * @param signal Ends it.
   * @returns how that device was lost, where it was as well.
   * @throws what ends all answers.
   */
  readonly reopen?: ((signal: AbortSignal) => Promise<PlacedModel<Model> | DeviceLostError>) | undefined;
  /**
   * Called when a device that was lost is about to be opened again: `recovered` settles when answers go on, or rejects with
   * the error that they end with.
   */
  readonly onDeviceLost?:
    | ((error: DeviceLostError | DeviceError, recovered: Promise<void>) => void)
    | undefined;
}

/** Losses in a row, without a token in between, of which the last ends all answers. */
const MOST_LOSSES = 3;

/** Counts losses, so that what always loses its device comes to an end. */
export class Losses {
  /** Since the last token. */
  private lost = 0;
  private shortages = 0;

  /** Takes note of a token: whatever is lost after it is so for the first time. */
  noteProgress(): void {
    this.lost = 0;
    this.shortages = 0;
  }

  /**
   * @param need What the model takes of the GPU's memory.
   * @throws DeviceLostError where it is a loss too many, and DeviceError where the memory is too small; whatever is lost after
   * that is so for the first time.
   */
  count({ error, ranOut }: Loss, need?: string): void {
    const again = ranOut && this.shortages++ > 0;
    if (++this.lost < MOST_LOSSES && !again) return;
    const { lost } = this;
    this.noteProgress();
    if (again) {
      throw new DeviceError(
        `The GPU's memory ran out again as soon as the model was back on it${need === undefined ? "" : `, which needs ${need}`}. ${error.message}`,
        { cause: error },
      );
    }
    throw new DeviceLostError(
      `The GPU device was lost ${lost} times without a token in between, the last time: ${error.message}`,
      { cause: error },
    );
  }
}

/** A model, wherever it is now: when its device is lost, it is loaded onto another one. */
export class Recovery<Model extends EngineModel = EngineModel> {
  private placed: PlacedModel<Model>;
  private readonly options: RecoveryOptions<Model>;
  private readonly losses = new Losses();
  private opening: Promise<void> | undefined;
  private readonly ending = new AbortController();

  constructor(placed: PlacedModel<Model>, options: RecoveryOptions<Model> = {}) {
    this.placed = placed;
    this.options = options;
  }

  get model(): Model {
    return this.placed.model;
  }

  get snapshots(): Snapshots | undefined {
    return this.placed.snapshots;
  }

  /** Whether the model cannot run any more: recover() has another one. */
  get isLost(): boolean {
    return this.placed.loss?.() !== undefined;
  }

  /** Takes note of a token: whatever is lost after it is so for the first time. */
  noteProgress(): void {
    this.losses.noteProgress();
  }

  /**
   * Has the model again, its KV cache empty.
   * @throws DeviceLostError that says what stands in the way, and DeviceError where the memory is too small for it.
   */
  recover(): Promise<void> {
    this.opening ??= this.tell(this.open()).finally(() => {
      this.opening = undefined;
    });
    return this.opening;
  }

  /** Releases the model and its device, for good. */
  destroy(): void {
    release(this.placed);
    this.ending.abort(
      new DeviceLostError("The engine was destroyed while its device was opened again; load the model anew."),
    );
  }

  private async tell(recovered: Promise<void>): Promise<void> {
    // Nobody has to listen.
    recovered.catch(() => {});
    const { reopen, onDeviceLost } = this.options;
    if (reopen && !this.ending.signal.aborted) onDeviceLost?.(this.placed.loss!()!.error, recovered);
    await recovered;
  }

  private async open(): Promise<void> {
    const { reopen } = this.options;
    const { signal } = this.ending;
    for (let loss = this.placed.loss!()!; ; ) {
      if (!reopen || signal.aborted) throw loss.error;
      this.losses.count(loss, this.placed.need);
      release(this.placed);
      const placed = await reopen(signal);
      if (placed instanceof DeviceLostError) {
        loss = { error: placed, ranOut: false };
        continue;
      }
      if (signal.aborted) release(placed);
      signal.throwIfAborted();
      this.placed = placed;
      return;
    }
  }
}

/** Releases a model and its device. */
export function release({ model, free }: PlacedModel): void {
  model.destroy();
  free?.();
}
