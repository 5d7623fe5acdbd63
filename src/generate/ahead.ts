import type { LanguageModel } from "../model/language-model.ts";
import type { Ticket } from "./ticket.ts";

/** What a run is told of those who are not in it. */
interface Surroundings {
  /** Whether nobody comes or goes. */
  isSteady(): boolean;
  /** Whether a reader wants no more. */
  isClosing(ticket: Ticket): boolean;
  /** Settles when a reader asks, or somebody comes or goes. */
  change(): Promise<void>;
}

/** Tokens that a slow reader has before it when a run that it is in ends for its sake. */
const MOST_UNREAD = 8;

/**
 * Has the model run ahead for all of the tickets, as long as nobody comes or goes. What was under way then is still read, for
 * whoever goes on.
 * @returns the errors of single tickets, or undefined where the model cannot. Throws what fails for all.
 */
export async function runAhead(
  model: LanguageModel,
  tickets: readonly Ticket[],
  surroundings: Surroundings,
): Promise<ReadonlyMap<Ticket, unknown> | undefined> {
  if (!tickets.every((ticket) => ticket.canRunAhead)) return undefined;
  const most = Math.min(...tickets.map(({ left }) => left));
  const rows = tickets.map((ticket) => ticket.aheadRow());
  const run = await model.ahead?.(rows, most);
  if (!run) return undefined;
  const failed = new Map<Ticket, unknown>();
  const isOut = (ticket: Ticket) => ticket.isDone || failed.has(ticket) || surroundings.isClosing(ticket);
  try {
    let goesOn = true;
    while (!tickets.every(isOut)) {
      goesOn &&=
        surroundings.isSteady() &&
        tickets.every((ticket) => !isOut(ticket) && ticket.unread < MOST_UNREAD && !ticket.isDrafting);
      if (goesOn && !tickets.some(({ isAsked }) => isAsked)) {
        await surroundings.change();
        continue;
      }
      const drawn = await run.next(goesOn);
      if (!drawn) break;
      for (const [d, ticket] of tickets.entries()) {
        if (isOut(ticket)) continue;
        try {
          ticket.acceptAhead(drawn[d]!, run.milliseconds);
        } catch (error) {
          failed.set(ticket, error);
        }
      }
    }
  } finally {
    await run.end();
  }
  return failed;
}
