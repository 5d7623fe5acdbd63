import type { LanguageModel } from "../model/language-model.ts";
import type { Sequence } from "../model/sequence.ts";

/** A sequence in the cache of somebody who is not answered, such as of a text that is scored. */
export class Holding {
  /** Whether what it holds can be run again: if not, it is nobody else's before it is given back. */
  readonly canBeginAgain: boolean;
  private held: { readonly sequence: Sequence; readonly model: LanguageModel } | undefined;
  /** Since when nobody wants anything of it; undefined while somebody does. */
  private restsSince: number | undefined;

  constructor(canBeginAgain: boolean) {
    this.canBeginAgain = canBeginAgain;
  }

  /** For how long nobody has wanted anything of it. */
  get restedMilliseconds(): number {
    return this.restsSince === undefined ? 0 : performance.now() - this.restsSince;
  }

  /** What it has in a model's cache: nothing where it was lost with another model, or given up. */
  in(model: LanguageModel): Sequence | undefined {
    return this.held?.model === model ? this.held.sequence : undefined;
  }

  take(sequence: Sequence, model: LanguageModel): void {
    this.held = { sequence, model };
  }

  /** Gives up what was not released. */
  giveUp(): void {
    this.held?.sequence.discard();
    this.held = undefined;
  }

  rest(): void {
    this.restsSince = performance.now();
  }

  wake(): void {
    this.restsSince = undefined;
  }
}
