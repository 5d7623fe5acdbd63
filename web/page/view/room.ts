import type { Room } from "../../../src/index.ts";
import type { Models } from "../../api.ts";
import { transfers } from "../state/transfers.ts";
import { t } from "../strings/strings.ts";
import { h } from "../ui/dom.ts";
import { bytes } from "../ui/format.ts";
import { fact } from "./facts.ts";

/** Where models are stored, and where the person deletes them. */
export interface Shelf {
  readonly models: Models;
  /** Those that are not to go: the one that runs, and the one that there is no room for. */
  readonly kept: readonly string[];
  /** Shows the list of the models. */
  open(): void;
}

/** What is needed, what is free, and which models could go, by now: it is drawn again when one has gone. */
export function roomView(room: Room | undefined, shelf: Shelf): HTMLElement {
  const element = h("dl", { class: "facts" });
  const gone = new AbortController();
  let drawn = false;
  transfers.listen(gone.signal, () => {
    if (drawn && !element.isConnected) gone.abort();
    else void draw();
  });

  async function draw(): Promise<void> {
    const found = await Promise.all([shelf.models.list(), shelf.models.space()]).catch(() => undefined);
    drawn = true;
    // Of a storage that does not answer either nothing can be told.
    if (!found) return;
    const [stored, { free }] = found;
    const could = stored.filter(({ name, done }) => done > 0 && !shelf.kept.includes(name));
    const { need, free: had } = room ?? {};
    // Browsers keep from pages how full the disk is, and count as free what is not.
    const miscounted = need !== undefined && had !== undefined && need <= had;
    element.replaceChildren(
      ...(need === undefined ? [] : [fact(t().needed, [bytes(need)])]),
      miscounted || need === undefined
        ? fact(t().spaceFree, [miscounted ? t().miscounted(bytes(free)) : bytes(free)])
        : fact(t().spaceFree, [bytes(free)], need <= free),
      fact(t().couldGo, [
        could.map(({ name, done }) => `${name} (${bytes(done)})`).join(" · ") || t().nothingCouldGo,
      ]),
    );
  }
  return element;
}
