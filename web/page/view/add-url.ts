import type { Session } from "../state/session.ts";
import { transfer } from "../state/transfers.ts";
import { t } from "../strings/strings.ts";
import { h } from "../ui/dom.ts";
import { needsCard } from "./needs.ts";

/** A model by its address: what it takes is shown before it is fetched. */
export function addByAddress(session: Session, used: () => void, gone: AbortSignal): HTMLElement {
  const address = h("input", {
    type: "url",
    id: "model-address",
    required: true,
    placeholder: "https://huggingface.co/…/resolve/main/",
    autocomplete: "off",
    spellcheck: "false",
  });
  const found = h("div", {});
  let asking = new AbortController();
  const look = () => {
    asking.abort();
    asking = new AbortController();
    const url = new URL(address.value.replace(/\/?$/, "/"));
    const name = nameOf(url);
    const source = { url, name };
    const choice = { kind: "stored", name, url: url.href } as const;
    found.replaceChildren(
      needsCard(
        session.models,
        name,
        source,
        () => [
          {
            label: t().fetchAndUse,
            run: () => {
              // Whoever fetches a model wants the browser to keep it; it may ask in turn.
              void navigator.storage.persist();
              session.open({ name, source, choice });
              used();
            },
          },
          {
            label: t().fetchOnly,
            run: () => {
              transfer(name, (options) => session.models.download(source, options));
              found.replaceChildren();
            },
          },
        ],
        AbortSignal.any([gone, asking.signal]),
      ),
    );
  };
  return h(
    "form",
    {
      class: "add",
      onsubmit: (event: SubmitEvent) => {
        event.preventDefault();
        look();
      },
    },
    h("label", { for: "model-address" }, t().address),
    h("div", { class: "row" }, address, h("button", { type: "submit" }, t().look)),
    h("p", { class: "soft" }, t().addressHint),
    found,
  );
}

/** The last part of the path that says something: of ".../Ziya-13B-q4/resolve/main/" the third from the end. */
function nameOf(url: URL): string {
  const parts = url.pathname.split("/").filter(Boolean).map(decodeURIComponent);
  const at = parts.indexOf("resolve");
  const part = at > 0 ? parts[at - 1] : parts.at(-1);
  return part ?? url.hostname;
}
