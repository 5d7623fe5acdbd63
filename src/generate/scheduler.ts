import { ContextOverflowError, DeviceLostError, OptionError } from "../errors.ts";
import { MOST_DRAWN } from "../kernels/rows.ts";
import type { PassKind, PassPart, Want } from "../model/language-model.ts";
import { runAhead } from "./ahead.ts";
import { Places } from "./places.ts";
import type { EngineModel, Recovery } from "./recovery.ts";
import { shareOut } from "./share.ts";
import { type Request, Ticket } from "./ticket.ts";

/** How many requests are served at once, and how many more may wait. */
export interface SchedulerOptions {
  /** From 1 to MOST_SERVED, and no more than a pass has rows. Default 8, or those rows. */
  readonly parallel?: number;
  /** Default 64. */
  readonly queue?: number;
}

/** Each has a row in a pass. */
export const MOST_SERVED: number = MOST_DRAWN;
const [SERVED, QUEUE] = [8, 64];

/**
 * How many are served at once, of a model whose passes have so many rows.
 * @throws OptionError where more were asked for.
 */
export function servedAtOnce(parallel: number | undefined, rows: number): number {
  if (parallel === undefined) return Math.min(SERVED, rows);
  expectRows("parallel", parallel, "answer", rows);
  return parallel;
}

function expectRows(option: string, count: number, each: string, rows: number): void {
  if (count <= rows) return;
  throw new OptionError(
    `${option} is ${count}, and each ${each} has a row of a pass, which has ${rows} of them; ask for at most ${rows}, or load the model with a chunk of at least ${count}.`,
  );
}

/** What runs between two passes. */
interface Work {
  run(): Promise<void>;
  fail(error: unknown): void;
}

/** Whoever needs less takes what the others need. */
const WANTS: readonly Want[] = ["argmax", "candidates", "logits"];

/**
 * Who runs in the next pass. A token of each that is decoding, in one pass; then a chunk of prompts, of which the shortest
 * comes first; and so on in turns, so that nobody waits longer than for a chunk. Prompts and tokens do not share a pass, since a
 * token's kernels give it the same numbers in any company, and those of a prompt others. Whoever is alone has the model
 * run ahead of what is read. When the device is lost, everybody waits for another one, and is run again there from what is known
 * of it.
 */
export class Scheduler {
  private readonly home: Recovery;
  private readonly rows: number;
  /** Who is served, and who has room in the cache besides. */
  readonly places: Places;
  /** Those whose sequences a pass writes to just now. */
  private readonly running = new Set<Ticket>();
  private readonly closing = new Map<Ticket, () => void>();
  private readonly jobs: Work[] = [];
  private looping = false;
  private noteChange: () => void = () => {};

  private readonly surroundings = {
    isSteady: () => this.places.waitingCount + this.jobs.length + this.closing.size === 0,
    isClosing: (ticket: Ticket) => this.closing.has(ticket),
    change: () =>
      new Promise<void>((resolve) => {
        this.noteChange = resolve;
      }),
  };

  /** @throws OptionError for more at once than a pass has rows. */
  constructor(home: Recovery, { parallel, queue = QUEUE }: SchedulerOptions = {}) {
    this.home = home;
    // Of a prompt that would leave a row alone, a pass takes one less than it could.
    this.rows = Math.max(...[MOST_DRAWN, MOST_DRAWN - 1].map((left) => home.model.rowsOf(left)));
    this.places = new Places(home, servedAtOnce(parallel, this.rows), queue, () => this.wake());
  }

  /** As it is now: after a loss it is another one. */
  get model(): EngineModel {
    return this.home.model;
  }

  /** Requests that were not closed. */
  get open(): number {
    return this.places.open;
  }

  /**
   * Takes a request; its tokens come as the ticket's reader asks for them. Close it when no more are wanted.
   * @throws BusyError when too many wait.
   */
  submit(request: Request): Ticket {
    this.places.expectOne();
    const ticket = new Ticket(request, this.enqueue);
    this.places.enqueue(ticket);
    return ticket;
  }

  /** @throws OptionError for more beams than a pass has rows. */
  expectBeams(count: number): void {
    expectRows("num_beams", count, "beam", this.rows);
  }

  /** Ends a request: what the reader knows stays in the cache. Settles once nothing runs for it any more. */
  async close(ticket: Ticket): Promise<void> {
    const closed =
      this.running.has(ticket) && new Promise<void>((resolve) => this.closing.set(ticket, resolve));
    if (!closed) this.places.retire(ticket);
    this.wake();
    await closed;
  }

  /** Runs what needs the model for itself, between two passes. */
  run<Result>(work: () => Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.jobs.push({ run: () => work().then(resolve, reject), fail: reject });
      this.wake();
    });
  }

  /** Settles when there is a device. @throws what stands in the way of one. */
  async ready(): Promise<void> {
    if (this.home.isLost) await this.run(async () => {});
  }

  /** Whether what failed is to be begun again, since its device was lost and another one is there. @throws as ready(). */
  async recovers(error: unknown): Promise<boolean> {
    if (!(error instanceof DeviceLostError || this.home.isLost)) return false;
    await this.ready();
    return true;
  }

  /** To be called by those who have sequences of their own, when something came of them. */
  noteProgress(): void {
    this.home.noteProgress();
  }

  /** A ticket whose reader waits for a token is served, or waits to be. */
  private readonly enqueue = (ticket: Ticket): void => {
    this.places.enqueue(ticket);
    this.wake();
  };

  private wake(): void {
    this.noteChange();
    if (this.looping) return;
    this.looping = true;
    // Whoever asks in the same turn comes along.
    queueMicrotask(() => void this.loop());
  }

  private async loop(): Promise<void> {
    for (;;) {
      for (const [ticket, settle] of [...this.closing]) {
        this.closing.delete(ticket);
        this.places.retire(ticket);
        settle();
      }
      if (this.home.isLost) {
        this.places.putBackAll();
        if (this.jobs.length === 0 && !this.places.isAwaited) {
          this.looping = false;
          return;
        }
        await this.recover();
        continue;
      }
      for (const job of this.jobs.splice(0)) await job.run();
      this.places.admit();
      const { served } = this.places;
      const prefilling = served.filter((ticket) => ticket.promptLeft > 0);
      // Where there are several, each has a token before it, so that they stay in step whoever reads slowly.
      const ahead = served.length > 1 ? 1 : 0;
      const decoding = served.filter(
        (ticket) => ticket.promptLeft === 0 && (ticket.isAsked || ticket.unread < ahead),
      );
      if (prefilling.length + decoding.length === 0) {
        if (this.jobs.length > 0) continue;
        this.looping = false;
        return;
      }
      const isAll = decoding.length === served.length;
      if (isAll && this.surroundings.isSteady() && (await this.runAhead(decoding))) continue;
      if (decoding.length > 0) await this.decode(decoding);
      const left = prefilling.filter(({ sequence }) => sequence);
      if (left.length > 0) await this.prefill(left);
    }
  }

  /** Has the device opened again. Where that cannot be, it is the error of all who wait. */
  private async recover(): Promise<void> {
    try {
      await this.home.recover();
    } catch (error) {
      this.places.failAll(error);
      for (const job of this.jobs.splice(0)) job.fail(error);
    }
  }

  /** One token of each. */
  private async decode(tickets: readonly Ticket[]): Promise<void> {
    for (const ticket of tickets) this.places.makeRoom(ticket);
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
    const shares = shareOut(left, this.home.model.rowsOf(left.reduce((a, b) => a + b, 0)));
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
      const candidates = [...(await this.home.model.run(parts, WANTS[Math.max(...wants)]!, kind))];
      const milliseconds = performance.now() - started;
      for (const [i, ticket] of tickets.entries()) {
        const rows = candidates.splice(0, parts[i]!.drawn);
        this.attempt(ticket, () => {
          ticket.notePrefill();
          if (rows.length === 0) return;
          ticket.draw(rows, milliseconds);
          this.noteProgress();
        });
      }
    } catch (error) {
      this.dropAll(tickets, error);
    } finally {
      this.running.clear();
    }
  }

  /** Has the model run ahead for all. @returns false where it cannot. */
  private async runAhead(tickets: readonly Ticket[]): Promise<boolean> {
    for (const ticket of tickets) this.running.add(ticket);
    const before = tickets.map(({ drawn }) => drawn);
    try {
      const failed = await runAhead(this.home.model, tickets, this.surroundings);
      for (const ticket of tickets) {
        if (ticket.isDone) this.places.leave(ticket);
        else if (failed?.has(ticket)) this.places.drop(ticket, failed.get(ticket));
      }
      return failed !== undefined;
    } catch (error) {
      // A pass of one token each has others give way first.
      if (error instanceof ContextOverflowError) return false;
      this.dropAll(tickets, error);
      return true;
    } finally {
      if (tickets.some(({ drawn }, i) => drawn > before[i]!)) this.noteProgress();
      this.running.clear();
    }
  }

  /** What fails for all, unless it is the device: another one runs them again. */
  private dropAll(tickets: readonly Ticket[], error: unknown): void {
    if (this.home.isLost) return;
    for (const ticket of tickets) this.places.drop(ticket, error);
  }

  /** What fails for one is its error alone; who is done gives its place up. */
  private attempt(ticket: Ticket, step: () => void): void {
    try {
      step();
      if (ticket.isDone) this.places.leave(ticket);
    } catch (error) {
      this.places.drop(ticket, error);
    }
  }
}
