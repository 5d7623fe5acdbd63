import { ContextOverflowError } from "../errors.ts";
import type { Sequence } from "../model/sequence.ts";
import { expectPlace, Guests } from "./guests.ts";
import type { Holding } from "./holding.ts";
import type { Recovery } from "./recovery.ts";
import type { Ticket } from "./ticket.ts";

/** Milliseconds that a reader may take for a token before somebody who waits gets its place, or its room in the cache. */
const PATIENCE = 1000;
/** When those are looked for: a timer may come a little early, and the next one is a second later. */
const ALARM = PATIENCE + 5;

/**
 * Who is served and who waits. Where the cache has no room for all, who came last is put back into the queue, and later run
 * again from what is known of it; so is who holds a place and does not read, when somebody waits for one.
 */
export class Places {
  /** By when they began to be served. */
  readonly served: Ticket[] = [];
  /** Who finds no room in the cache while they have a part of it waits until they leave. */
  readonly guests: Guests;
  private readonly home: Recovery;
  private readonly parallel: number;
  private readonly queue: number;
  private readonly onRoom: () => void;
  /** Who is to be served next comes first. */
  private readonly waiting: Ticket[] = [];
  /** Who has room in the cache and is neither served nor a guest. */
  private readonly holdings = new Set<Holding>();
  /** Who waits for room and is neither. */
  private readonly onChange = new Set<() => void>();
  /** Whether there was no room in the cache, and nobody has left it since. */
  private full = false;
  private alarm: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param parallel How many are served at once, and `queue` how many more may wait.
   * @param onRoom Called when somebody who waits may have a place now.
   */
  constructor(home: Recovery, parallel: number, queue: number, onRoom: () => void) {
    this.home = home;
    this.parallel = parallel;
    this.queue = queue;
    this.onRoom = onRoom;
    this.guests = new Guests(
      () => this.expectOne(),
      () => this.noteRoom(),
    );
  }

  /** Requests that were not closed. */
  get open(): number {
    return this.served.length + this.waitingCount;
  }

  /** Who is not served, guests too. */
  get waitingCount(): number {
    return this.waiting.length + this.guests.count;
  }

  /** Whether somebody waits to be served. */
  get isAwaited(): boolean {
    return this.waiting.length > 0;
  }

  /** @throws BusyError when too many wait. */
  expectOne(): void {
    expectPlace(this.open, this.parallel, this.queue);
  }

  /** Lets a ticket wait, if it is not served. */
  enqueue(ticket: Ticket): void {
    if (!ticket.sequence && !this.waiting.includes(ticket)) this.waiting.push(ticket);
  }

  /** Serves those who wait, as long as there are places and room in the cache. */
  admit(): void {
    while (this.waiting.length > 0) {
      if (this.full || this.served.length >= this.parallel) {
        const idle = this.served.find((ticket) => ticket.idleMilliseconds > PATIENCE);
        if (idle) this.putBack(idle);
        else if (this.full && this.reclaim(PATIENCE)) {
          this.full = false;
          continue;
        } else {
          clearTimeout(this.alarm);
          this.alarm = setTimeout(this.onRoom, ALARM);
          return;
        }
      }
      const ticket = this.waiting.shift()!;
      const sequence = this.home.model.open(ticket.tokens);
      try {
        sequence.reserve(ticket.tokens.length - sequence.length);
      } catch (error) {
        sequence.release();
        if (error instanceof ContextOverflowError && this.served.length + this.others > 0) {
          this.waiting.unshift(ticket);
          this.full = true;
          continue;
        }
        ticket.fail(error);
        continue;
      }
      ticket.serve(sequence);
      this.served.push(ticket);
    }
  }

  /** Makes room for a token more of one that is served, if need be by putting back who came last. */
  makeRoom(ticket: Ticket): void {
    while (ticket.sequence) {
      try {
        ticket.sequence.reserve(1);
        return;
      } catch (error) {
        const others = this.served.length - 1 + this.others;
        if (!(error instanceof ContextOverflowError) || others === 0) this.drop(ticket, error);
        else this.putBack(this.served.at(-1)!);
      }
    }
  }

  /** Makes room for a guest, between two passes: somebody else waits until it leaves. @returns false where nobody can. */
  yieldOne(): boolean {
    return this.displace() || this.reclaim(0);
  }

  /**
   * Has a holding hold room for `count` tokens of a sequence of its own, if need be that of those who are served. Between two passes.
   * @returns undefined where others than those have it.
   * @throws ContextOverflowError where nobody has.
   */
  hold(holding: Holding, count: number): Sequence | undefined {
    const { model } = this.home;
    const held = holding.in(model);
    if (held) return held;
    const sequence = model.open();
    for (;;) {
      try {
        sequence.reserve(count);
        break;
      } catch (error) {
        // More than the context holds, no room is enough for.
        const isFull = error instanceof ContextOverflowError && count <= model.contextLength;
        if (isFull && this.displace()) continue;
        sequence.release();
        if (isFull && this.others > 0) return undefined;
        throw error;
      }
    }
    holding.take(sequence, model);
    this.holdings.add(holding);
    return sequence;
  }

  /** Ends a holding: what it did not release is given up. */
  release(holding: Holding): void {
    holding.giveUp();
    this.holdings.delete(holding);
    this.noteRoom();
  }

  /** Settles when there may be more room than hold() found, or the signal comes. */
  room(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const settle = () => {
        clearTimeout(timer);
        this.onChange.delete(settle);
        signal?.removeEventListener("abort", settle);
        resolve();
      };
      const timer = setTimeout(settle, ALARM);
      this.onChange.add(settle);
      signal?.addEventListener("abort", settle);
    });
  }

  /** Gives its place in the cache up, where what ran stays as long as there is room. */
  leave(ticket: Ticket): void {
    const at = this.served.indexOf(ticket);
    if (at >= 0) this.served.splice(at, 1);
    const { sequence, tokens } = ticket;
    // What a run did behind the last token is nobody's.
    if (sequence && sequence.length >= tokens.length) sequence.truncate(tokens.length - 1);
    sequence?.release();
    ticket.sequence = undefined;
    this.full = false;
  }

  /** Ends a ticket: what its reader knows stays in the cache. */
  retire(ticket: Ticket): void {
    const { sequence, known } = ticket;
    if (sequence && sequence.length > known) sequence.truncate(known);
    this.leave(ticket);
    const at = this.waiting.indexOf(ticket);
    if (at >= 0) this.waiting.splice(at, 1);
  }

  /** Nobody should build on what a failed pass may have left. */
  drop(ticket: Ticket, error: unknown): void {
    ticket.sequence?.discard();
    this.leave(ticket);
    ticket.fail(error);
  }

  /** Takes everybody's place: what their sequences held is gone with the device. */
  putBackAll(): void {
    while (this.served.length > 0) this.putBack(this.served.at(-1)!);
  }

  /** Ends all who wait. */
  failAll(error: unknown): void {
    for (const ticket of this.waiting.splice(0)) ticket.fail(error);
  }

  /** Who has room in the cache and cannot be put back. */
  private get others(): number {
    return this.guests.count + this.holdings.size;
  }

  private noteRoom(): void {
    this.full = false;
    this.onRoom();
    for (const settle of [...this.onChange]) settle();
  }

  /** Puts back who came last, until somebody leaves, unless somebody else stays away. @returns false where nobody is served. */
  private displace(): boolean {
    if (this.reclaim(PATIENCE)) return true;
    const last = this.served.at(-1);
    if (!last) return false;
    this.putBack(last);
    this.full = true;
    return true;
  }

  /** Takes the room of a holding that has rested for so long. @returns false where there is none. */
  private reclaim(milliseconds: number): boolean {
    for (const holding of this.holdings) {
      if (!holding.canBeginAgain || holding.restedMilliseconds < milliseconds) continue;
      holding.giveUp();
      return this.holdings.delete(holding);
    }
    return false;
  }

  /** Takes a ticket's place; it waits for another one as soon as its reader does. */
  private putBack(ticket: Ticket): void {
    this.leave(ticket);
    if (ticket.isAsked) this.waiting.unshift(ticket);
  }
}
