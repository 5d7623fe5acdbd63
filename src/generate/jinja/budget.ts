import { ConfigError } from "../../errors.ts";

/** Steps for any prompt: a typical template takes some 30 a message. */
const BASE_STEPS = 1_000_000;
/** More steps for each UTF-16 unit of the messages, so that long ones can be handled some thirty times. */
const STEPS_PER_UNIT = 4;
/** Units of text that cost as much as a step. */
const UNITS_PER_STEP = 8;
/** Expressions and calls in one another; a template has tens. It keeps within the stack of a page's worker. */
const DEEPEST = 400;

/**
 * What one rendering may take. Each expression is a step, and so is each list item or eight characters that an
 * operation reads or makes: this bounds the time and the memory of whatever a template does.
 */
export class Budget {
  private readonly limit: number;
  private left: number;
  private depth = 0;

  /** @param units The length of all messages in UTF-16 units. */
  constructor(units: number) {
    this.limit = BASE_STEPS + STEPS_PER_UNIT * units;
    this.left = this.limit;
  }

  /** @throws ConfigError when the template has taken all it may. */
  charge(steps: number): void {
    this.left -= steps;
    // Written so that NaN is too much.
    if (!(this.left >= 0)) {
      throw new ConfigError(
        `The model's chat template took more than ${this.limit} steps; a template takes some thousand. It is damaged or made to harm: take the one that the model's makers publish.`,
      );
    }
  }

  chargeText(units: number): void {
    this.charge(units / UNITS_PER_STEP);
  }

  /** Searching may read all of `part` at each place of `whole`. */
  chargeSearch(whole: { readonly length: number }, part: { readonly length: number }): void {
    this.chargeText(whole.length * Math.max(1, part.length));
  }

  /** Runs `inner` one level deeper. */
  deeper<T>(inner: () => T): T {
    if (++this.depth > DEEPEST) {
      throw new ConfigError(
        `The model's chat template nests more than ${DEEPEST} expressions or calls in one another; wanted one as the model's makers publish it.`,
      );
    }
    try {
      return inner();
    } finally {
      this.depth--;
    }
  }
}
