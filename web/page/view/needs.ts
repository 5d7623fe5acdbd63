import type { ModelNeeds, ModelSource, Models } from "../../api.ts";
import { prefer, preferences } from "../state/preferences.ts";
import { t } from "../strings/strings.ts";
import { h } from "../ui/dom.ts";
import { bytes, number } from "../ui/format.ts";
import { fact } from "./facts.ts";
import { problemCard, type WayOn, wayButtons } from "./problem.ts";

const CONTEXTS = [512, 1024, 2048, 4096] as const;

/**
 * What a model takes and what is there, before a byte of it is fetched; what could be done where it does not fit.
 * @param name Under which the context that is chosen is kept.
 * @param ways Of having it, where it can be had.
 * @param pack The format that it is to be packed in, where it is.
 */
export function needsCard(
  models: Models,
  name: string,
  source: ModelSource,
  ways: () => readonly WayOn[],
  gone: AbortSignal,
  pack?: string,
): HTMLElement {
  const element = h("div", { class: "needs", "aria-live": "polite" });
  /** The context that the model was made for, once that is known: no other one is longer. */
  let longest: number | undefined;
  const ask = async (context?: number) => {
    element.replaceChildren(h("p", { class: "soft" }, t().looking));
    try {
      const needs = await models.inspect(source, {
        ...(context !== undefined && { context }),
        ...(pack !== undefined && { pack }),
        signal: gone,
      });
      if (gone.aborted) return;
      longest ??= needs.context;
      const { [name]: chosen } = preferences.value.contexts;
      if (context === undefined && chosen !== undefined && chosen < longest) return ask(chosen);
      element.replaceChildren(...show(needs, longest));
    } catch (error) {
      if (gone.aborted) return;
      element.replaceChildren(
        problemCard(error, [{ label: t().tryAgain, run: () => void ask(context) }], {
          doing: "files" in Object(source) ? undefined : "fetching",
        }),
      );
    }
  };

  function show(needs: ModelNeeds, longest: number): HTMLElement[] {
    const { memory, space } = needs;
    const missing = needs.bytes - needs.present;
    const fits = missing <= space.free;
    const contexts = [...CONTEXTS.filter((context) => context < longest), longest];
    const select = h(
      "select",
      {
        "aria-label": t().contextLength,
        onchange: () => {
          const context = Number(select.value);
          prefer({ contexts: { ...preferences.value.contexts, [name]: context } });
          void ask(context);
        },
      },
      ...contexts.map((context) =>
        h(
          "option",
          { value: context, selected: context === needs.context },
          t().tokens(number(context), context),
        ),
      ),
    );
    const rows = h(
      "dl",
      { class: "facts" },
      fact(t().weightFormat, [needs.weights]),
      fact(pack === undefined ? t().toFetch : t().toWrite, [bytes(missing)]),
      fact(t().spaceFree, [bytes(space.free)], fits),
      fact(t().gpuMemory, [bytes(memory.total)]),
      fact(t().gpuParts, [
        t().memoryParts(bytes(memory.weights), bytes(memory.cache), bytes(memory.activations)),
      ]),
      fact(t().contextLength, [select]),
    );
    if (!fits || needs.obstacle !== undefined) {
      return [
        rows,
        h(
          "div",
          { class: "problem", role: "alert" },
          h("p", {}, fits ? t().doesNotFit : t().diskTooSmall(bytes(missing - space.free))),
          needs.obstacle !== undefined && h("p", { class: "detail", lang: "en" }, needs.obstacle),
          h("ul", {}, ...t().whatCouldBeDone.map((way) => h("li", {}, way))),
        ),
      ];
    }
    return [rows, wayButtons(ways())];
  }

  void ask();
  return element;
}
