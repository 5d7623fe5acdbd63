import { ContextOverflowError } from "../errors.ts";
import type { AheadRow, Candidates, PassPart } from "../model/language-model.ts";
import type { Sequence } from "../model/sequence.ts";
import { Lookup } from "./lookup.ts";
import type { Sampler } from "./sampler.ts";

/** Whose tokens are wanted. */
export interface Request {
  /** At least one id. */
  readonly prompt: readonly number[];
  readonly sampler: Sampler;
  /** Tokens to be drawn, at least 1. */
  readonly maxTokens: number;
  /** The longest draft; 0 or nothing for none. */
  readonly lookup?: number;
  /** Ids after which nothing is drawn. */
  readonly stopIds: ReadonlySet<number>;
  /** Told of the prompt's tokens that ran, and of those that have to. */
  readonly onPrefill?: ((done: number, total: number) => void) | undefined;
}

/** A token that was drawn, and how long the model took for it. */
interface DrawnToken {
  readonly id: number;
  readonly milliseconds: number;
}

interface Waiter {
  readonly resolve: (token: DrawnToken) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * One request in the hands of the scheduler: the tokens that are known of it, those of the prompt and then those drawn; where
 * they are cached, while it is served; and the reader, who takes the drawn ones one by one.
 */
export class Ticket {
  readonly request: Request;
  /** The prompt and what was drawn. */
  readonly tokens: number[];
  /** While it is served. It may be behind `tokens` when it was put back and lost its place in the cache. */
  sequence: Sequence | undefined;
  /** Tokens of the prompt that were in the cache when it was first served. */
  cached = 0;
  private readonly seen: Set<number>;
  private readonly lookup: Lookup | undefined;
  /** What may come behind so many tokens. */
  private found: { readonly length: number; readonly ids: readonly number[] } = { length: 0, ids: [] };
  /** What it drafted for the pass that runs. */
  private drafted: readonly number[] = [];
  private readonly milliseconds: number[] = [];
  private readonly onAsk: (ticket: Ticket) => void;
  private taken = 0;
  private takenAt = performance.now();
  private waiter: Waiter | undefined;
  private failure: { readonly error: unknown } | undefined;

  constructor(request: Request, onAsk: (ticket: Ticket) => void) {
    this.request = request;
    this.tokens = [...request.prompt];
    this.seen = new Set(request.sampler.usesSeen ? request.prompt : []);
    this.lookup = request.lookup ? new Lookup(request.lookup) : undefined;
    this.onAsk = onAsk;
  }

  /** Tokens drawn so far. */
  get drawn(): number {
    return this.milliseconds.length;
  }

  /** Whether it has drafts for its next pass. */
  get isDrafting(): boolean {
    return this.drafts.length > 0;
  }

  /** Whether the reader waits for a token. */
  get isAsked(): boolean {
    return this.waiter !== undefined;
  }

  /** Tokens that may still be drawn. */
  get left(): number {
    return this.request.maxTokens - this.drawn;
  }

  /** Whether the model may draw its next tokens by itself: the first one comes out of the prompt's pass. */
  get canRunAhead(): boolean {
    const isKnown = this.drawn > 0 && this.sequence!.length === this.tokens.length - 1;
    return isKnown && !this.isDrafting && this.request.sampler.runsAhead;
  }

  /** How long the reader has been at what it took last. */
  get idleMilliseconds(): number {
    return this.isAsked ? 0 : performance.now() - this.takenAt;
  }

  /** Whether nothing is to be drawn any more. */
  get isDone(): boolean {
    return this.left <= 0 || (this.drawn > 0 && this.request.stopIds.has(this.tokens.at(-1)!));
  }

  /** Tokens of the prompt that are still to be run by passes of many rows: its last alone is run like one that was drawn. */
  get promptLeft(): number {
    const left = this.request.prompt.length - this.sequence!.length;
    return left > 1 ? left : 0;
  }

  /** How many drawn tokens the reader has before it. */
  get unread(): number {
    return this.drawn - this.taken;
  }

  /** Tokens of the cache that stand for what the reader knows: the prompt, and what it took but for the last. */
  get known(): number {
    return this.request.prompt.length + Math.max(this.taken - 1, 0);
  }

  /** The next token. One call at a time. */
  next(): Promise<DrawnToken> {
    if (this.unread > 0) return Promise.resolve(this.take());
    if (this.failure) return Promise.reject(this.failure.error);
    return new Promise((resolve, reject) => {
      this.waiter = { resolve, reject };
      this.onAsk(this);
    });
  }

  /** Its first place in the cache, or a new one. */
  serve(sequence: Sequence): void {
    if (!this.sequence && this.drawn === 0) this.cached = sequence.length;
    this.sequence = sequence;
  }

  /** The next `count` tokens of a pass; the last known one is drawn from. */
  part(count: number): PassPart {
    const { tokens, sequence } = this;
    const first = sequence!.length;
    return { sequence: sequence!, tokens, first, count, drawn: first + count === tokens.length ? 1 : 0 };
  }

  /** What it has for a run ahead. */
  aheadRow(): AheadRow {
    const { draws: options, penalties } = this.request.sampler;
    const token = this.tokens.at(-1)!;
    const draws = options && { options, before: this.drawn };
    return { sequence: this.sequence!, token, draws, penalties };
  }

  /** Tells of the prompt's progress. */
  notePrefill(): void {
    const { onPrefill, prompt } = this.request;
    if (this.drawn === 0)
      onPrefill?.(Math.min(this.sequence!.length, prompt.length) - this.cached, prompt.length - this.cached);
  }

  /** What may come next. All tokens are looked through for it, once for each that is drawn. */
  private get drafts(): readonly number[] {
    const { lookup, tokens, left } = this;
    const { length } = tokens;
    if (lookup && this.found.length !== length) this.found = { length, ids: lookup.draft(tokens, left - 1) };
    return this.found.ids;
  }

  /** Takes a token that was drawn, and gives it to the reader if it waits for one. */
  private accept(id: number, milliseconds: number): void {
    if (this.request.sampler.usesSeen) this.seen.add(id);
    this.tokens.push(id);
    this.milliseconds.push(milliseconds);
    const { waiter } = this;
    this.waiter = undefined;
    waiter?.resolve(this.take());
  }

  /**
   * What it has for a pass of single tokens: its next, and, where that is the last known one, up to `room` drafted ones
   * behind it, for which its sequence takes room.
   */
  decodePart(room: number): PassPart {
    const { tokens, sequence } = this;
    this.drafted = [];
    if (sequence!.length + 1 < tokens.length) return this.part(1);
    const drafted = this.drafts.slice(0, room);
    if (drafted.length === 0) return this.part(1);
    try {
      sequence!.reserve(1 + drafted.length);
    } catch (error) {
      // There is room for the token alone.
      if (error instanceof ContextOverflowError) return this.part(1);
      throw error;
    }
    this.drafted = drafted;
    const count = 1 + drafted.length;
    return { sequence: sequence!, tokens: [tokens.at(-1)!, ...drafted], first: 0, count, drawn: count };
  }

  /**
   * Draws the next token, and those after it as long as they are the drafted ones: the others' rows saw tokens that were not
   * drawn. Throws LogitsError.
   */
  draw(candidates: readonly Candidates[], milliseconds: number): void {
    const { sampler, stopIds } = this.request;
    const ids: number[] = [];
    for (const [i, row] of candidates.entries()) {
      const id = sampler.sample(row, this.seen);
      if (sampler.usesSeen) this.seen.add(id);
      ids.push(id);
      if (id !== this.drafted[i] || stopIds.has(id)) break;
    }
    // The first comes out of the prompt's pass.
    if (this.drawn > 0) this.lookup?.note(this.drafted.length, ids.length, milliseconds);
    for (const id of ids) this.accept(id, milliseconds / ids.length);
    this.sequence!.truncate(Math.min(this.sequence!.length, this.tokens.length - 1));
  }

  /** Takes a token that the model drew by itself. Throws LogitsError. */
  acceptAhead(drawn: Candidates, milliseconds: number): void {
    this.lookup?.note(0, 1, milliseconds);
    this.accept(this.request.sampler.accept(drawn), milliseconds);
  }

  /** Gives the reader an error, behind the tokens that were drawn. */
  fail(error: unknown): void {
    this.failure ??= { error };
    const { waiter } = this;
    this.waiter = undefined;
    waiter?.reject(error);
  }

  private take(): DrawnToken {
    const at = this.taken++;
    this.takenAt = performance.now();
    return { id: this.tokens[this.request.prompt.length + at]!, milliseconds: this.milliseconds[at]! };
  }
}
