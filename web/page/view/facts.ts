import { type Child, h } from "../ui/dom.ts";

/** A row of a list of facts; `suffices` marks a figure as enough or as too little. */
export function fact(label: string, value: readonly Child[], suffices?: boolean): HTMLElement {
  return h(
    "div",
    { class: suffices === false ? "wrong" : "" },
    h("dt", {}, label),
    h("dd", {}, ...value, suffices !== undefined && h("span", { class: "verdict" }, suffices ? " ✓" : " ✗")),
  );
}
