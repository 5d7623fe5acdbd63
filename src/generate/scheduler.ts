import { ContextOverflowError } from "../errors.ts";
import { MOST_DRAWN } from "../kernels/rows.ts";
import type { LanguageModel, PassKind, PassPart, Want } from "../model/language-model.ts";
import { runAhead } from "./ahead.ts";
import { expectPlace, Guests } from "./guests.ts";
import { shareOut } from "./share.ts";
import { type Request, Ticket } from "./ticket.ts";

/** How many requests are served at once, and how many more may wait. */
export interface SchedulerOptions {
  /** From 1 to MOST_SERVED. Default 8. */
  readonly parallel?: number;
  /** Default 64. */
  readonly queue?: number;
}

/** Each has a row in a pass. */
export const MOST_SERVED: number = MOST_DRAWN;
const [SERVED, QUEUE] = [8, 64];
/** Milliseconds that a reader may take for a token before somebody who waits gets its place. */
const PATIENCE = 1000;

/** Whoever needs less takes what the others need. */
const WANTS: readonly Want[] = ["argmax", "candidates", "logits"];

/**
 * Who runs in the next pass. A token of each that is decoding, in one pass; then a chunk of prompts, of which the shortest
 * comes first; and so on in turns, so that nobody waits longer than for a chunk. Prompts and tokens do not share a pass, since a
 * token's kernels give it the same numbers in any company, and those of a prompt others. Whoever is alone has the model
 * run ahead of what is read. Where the cache has no room for all, who came last is put back into the queue, and later run
 * again from what is known of it; so is who holds a place and does not read, when somebody waits for one.
 */
export class Scheduler {
  private readonly model: LanguageModel;
  private readonly rows: number;
  private readonly parallel: number;
  private readonly queue: number;
  /** Who is to be served next comes first. */
  private readonly waiting: Ticket[] = [];
  /** By when they began to be served. */
  private readonly served: Ticket[] = [];
  /** Those whose sequences a pass writes to just now. */
  private readonly running = new Set<Ticket>();
  /** Who finds no room in the cache while they have a part of it waits until they leave. */
  readonly guests: Guests = new Guests(
    () => expectPlace(this.open, this.parallel, this.queue),
    () => this.wake(true),
  );
  private readonly closing = new Map<Ticket, () => void>();
  private readonly jobs: (() => Promise<void>)[] = [];
  private looping = false;
  /** Whether there was no room in the cache, and nobody has left it since. */
  private full = false;
  private noteChange: () => void = () => {};
  private alarm: ReturnType<typeof setTimeout> | undefined;

  private readonly surroundings = {
    isSteady: () => this.waiting.length + this.guests.count + this.jobs.length + this.closing.size === 0,
    isClosing: (ticket: Ticket) => this.closing.has(ticket),
    change: () =>
      new Promise<void>((resolve) => {
        this.noteChange = resolve;
      }),
  };

  constructor(model: LanguageModel, { parallel = SERVED, queue = QUEUE }: SchedulerOptions = {}) {
    this.model = model;
    // Each has a row in a pass.
    this.rows = model.rowsOf(MOST_DRAWN);
    this.parallel = Math.min(parallel, this.rows);
    this.queue = queue;
  }

  /** Requests that were not closed. */
  get open(): number {
    return this.served.length + this.waiting.length + this.guests.count;
  }

  /**
   * Takes a request; its tokens come as the ticket's reader asks for them. Close it when no more are wanted.
   * @throws BusyError when too many wait.
   */
  submit(request: Request): Ticket {
    expectPlace(this.open, this.parallel, this.queue);
    const ticket = new Ticket(request, this.enqueue);
    this.waiting.push(ticket);
    return ticket;
  }

  /** Ends a request: what the reader knows stays in the cache. Settles once nothing runs for it any more. */
  async close(ticket: Ticket): Promise<void> {
    const closed =
      this.running.has(ticket) && new Promise<void>((resolve) => this.closing.set(ticket, resolve));
    if (!closed) this.retire(ticket);
    this.wake();
    await closed;
  }

  /** Runs what needs the model for itself, between two passes. */
  run<Result>(work: () => Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.jobs.push(() => work().then(resolve, reject));
      this.wake();
    });
  }

  /** A ticket whose reader waits for a token is served, or waits to be. */
  private readonly enqueue = (ticket: Ticket): void => {
    if (!ticket.sequence && !this.waiting.includes(ticket)) this.waiting.push(ticket);
    this.wake();
  };

  private readonly wake = (hasRoom = false): void => {
    if (hasRoom) this.full = false;
    this.noteChange();
    if (this.looping) return;
    this.looping = true;
    // Whoever asks in the same turn comes along.
    queueMicrotask(() => void this.loop());
  };

  private async loop(): Promise<void> {
    for (;;) {
      for (const ticket of [...this.closing.keys()]) this.retire(ticket);
      for (const job of this.jobs.splice(0)) await job();
      this.admit();
      const prefilling = this.served.filter((ticket) => ticket.promptLeft > 0);
      // Where there are several, each has a token before it, so that they stay in step whoever reads slowly.
      const ahead = this.served.length > 1 ? 1 : 0;
      const decoding = this.served.filter(
        (ticket) => ticket.promptLeft === 0 && (ticket.isAsked || ticket.unread < ahead),
      );
      if (prefilling.length + decoding.length === 0) {
        if (this.jobs.length > 0) continue;
        this.looping = false;
        return;
      }
      const isAll = decoding.length === this.served.length;
      if (isAll && this.surroundings.isSteady() && (await this.runAhead(decoding))) continue;
      if (decoding.length > 0) await this.decode(decoding);
      const left = prefilling.filter(({ sequence }) => sequence);
      if (left.length > 0) await this.prefill(left);
    }
  }

  /** Serves those who wait, as long as there are places and room in the cache. */
  private admit(): void {
    while (this.waiting.length > 0 && !this.full) {
      if (this.served.length >= this.parallel) {
        const idle = this.served.find((ticket) => ticket.idleMilliseconds > PATIENCE);
        if (!idle) {
          clearTimeout(this.alarm);
          this.alarm = setTimeout(this.wake, PATIENCE);
          return;
        }
        this.putBack(idle);
      }
      const ticket = this.waiting.shift()!;
      const sequence = this.model.open(ticket.tokens);
      try {
        sequence.reserve(ticket.tokens.length - sequence.length);
      } catch (error) {
        sequence.release();
        if (error instanceof ContextOverflowError && this.served.length + this.guests.count > 0) {
          this.waiting.unshift(ticket);
          this.full = true;
          return;
        }
        ticket.fail(error);
        continue;
      }
      ticket.serve(sequence);
      this.served.push(ticket);
    }
  }

  /** One token of each. */
  private async decode(tickets: readonly Ticket[]): Promise<void> {
    for (const ticket of tickets) if (ticket.sequence) this.makeRoom(ticket);
    const able = tickets.filter(({ sequence }) => sequence);
    let room = this.rows - able.length;
    const parts = able.map((ticket) => {
      const part = ticket.decodePart(room);
      room -= part.count - 1;
      return part;
    });
    await this.pass(able, parts, "decode");
  }

  /** A chunk of prompts, the shortest first. */
  private async prefill(tickets: readonly Ticket[]): Promise<void> {
    const byLength = [...tickets].sort((a, b) => a.promptLeft - b.promptLeft);
    const left = byLength.map(({ promptLeft }) => promptLeft);
    const shares = shareOut(left, this.model.rowsOf(left.reduce((a, b) => a + b, 0)));
    await this.pass(
      byLength.slice(0, shares.length),
      shares.map((share, i) => byLength[i]!.part(share)),
      "prefill",
    );
  }

  /** Runs a part of each ticket, and draws. What fails for all is everybody's error. */
  private async pass(tickets: readonly Ticket[], parts: readonly PassPart[], kind: PassKind): Promise<void> {
    if (parts.length === 0) return;
    const wants = tickets.map(({ request }, i) =>
      parts[i]!.drawn > 0 ? WANTS.indexOf(request.sampler.want) : 0,
    );
    for (const ticket of tickets) this.running.add(ticket);
    try {
      const started = performance.now();
      const candidates = [...(await this.model.run(parts, WANTS[Math.max(...wants)]!, kind))];
      const milliseconds = performance.now() - started;
      for (const [i, ticket] of tickets.entries()) {
        const rows = candidates.splice(0, parts[i]!.drawn);
        this.attempt(ticket, () => {
          ticket.notePrefill();
          if (rows.length > 0) ticket.draw(rows, milliseconds);
        });
      }
    } catch (error) {
      for (const ticket of tickets) this.drop(ticket, error);
    } finally {
      this.running.clear();
    }
  }

  /** Has the model run ahead for all. @returns false where it cannot. */
  private async runAhead(tickets: readonly Ticket[]): Promise<boolean> {
    for (const ticket of tickets) this.running.add(ticket);
    try {
      const failed = await runAhead(this.model, tickets, this.surroundings);
      for (const ticket of tickets) {
        if (ticket.isDone) this.leave(ticket);
        else if (failed?.has(ticket)) this.drop(ticket, failed.get(ticket));
      }
      return failed !== undefined;
    } catch (error) {
      for (const ticket of tickets) this.drop(ticket, error);
      return true;
    } finally {
      this.running.clear();
    }
  }

  /** Makes room for a token more, if need be by putting back who came last. */
  private makeRoom(ticket: Ticket): void {
    while (ticket.sequence) {
      try {
        ticket.sequence.reserve(1);
        return;
      } catch (error) {
        const others = this.served.length - 1 + this.guests.count;
        if (!(error instanceof ContextOverflowError) || others === 0) this.drop(ticket, error);
        else this.putBack(this.served.at(-1)!);
      }
    }
  }

  /** Takes a ticket's place; it waits for another one as soon as its reader does. */
  private putBack(ticket: Ticket): void {
    this.leave(ticket);
    if (ticket.isAsked) this.waiting.unshift(ticket);
  }

  /** Gives its place in the cache up, where what ran stays as long as there is room. */
  private leave(ticket: Ticket): void {
    const at = this.served.indexOf(ticket);
    if (at >= 0) this.served.splice(at, 1);
    const { sequence, tokens } = ticket;
    // What a run did behind the last token is nobody's.
    if (sequence && sequence.length >= tokens.length) sequence.truncate(tokens.length - 1);
    sequence?.release();
    ticket.sequence = undefined;
    this.full = false;
  }

  private retire(ticket: Ticket): void {
    const { sequence, known } = ticket;
    if (sequence && sequence.length > known) sequence.truncate(known);
    this.leave(ticket);
    const at = this.waiting.indexOf(ticket);
    if (at >= 0) this.waiting.splice(at, 1);
    this.closing.get(ticket)?.();
    this.closing.delete(ticket);
  }

  /** What fails for one is its error alone; who is done gives its place up. */
  private attempt(ticket: Ticket, step: () => void): void {
    try {
      step();
      if (ticket.isDone) this.leave(ticket);
    } catch (error) {
      this.drop(ticket, error);
    }
  }

  /** Nobody should build on what a failed pass may have left. */
  private drop(ticket: Ticket, error: unknown): void {
    ticket.sequence?.discard();
    this.leave(ticket);
    ticket.fail(error);
  }
}
