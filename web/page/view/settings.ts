import {
  optionsOfAddress,
  prefer,
  preferences,
  SAMPLING,
  type SamplingName,
  type Theme,
} from "../state/preferences.ts";
import type { Session } from "../state/session.ts";
import { LANGUAGES, type Language, language, t } from "../strings/strings.ts";
import { openDialog } from "../ui/dialog.ts";
import { type Child, h } from "../ui/dom.ts";

/** The bounds of each field: those of the library, which checks them again. */
const BOUNDS: Readonly<Record<SamplingName, { least: number; most: number; step: number | "any" }>> = {
  temperature: { least: 0, most: 100, step: 0.05 },
  top_k: { least: 0, most: 1_048_576, step: 1 },
  top_p: { least: 0, most: 1, step: 0.01 },
  min_p: { least: 0, most: 1, step: 0.01 },
  repetition_penalty: { least: 0.01, most: 100, step: 0.01 },
  max_tokens: { least: 1, most: 1_048_576, step: 1 },
  seed: { least: 0, most: Number.MAX_SAFE_INTEGER, step: 1 },
};

/** How answers are drawn, what happens at the end of the context, and how the page looks. All of it holds at once. */
export function openSettings(session: Session): void {
  const { value: state } = session.state;
  const defaults = state.kind === "ready" ? state.engine.info.defaults : undefined;
  const fields = SAMPLING.map((name) => samplingField(name, name === "seed" ? undefined : defaults?.[name]));
  const fromAddress = Object.entries(optionsOfAddress());
  const overflow = choices(
    "overflow",
    preferences.value.overflow,
    [
      ["truncate", t().overflow.truncate],
      ["error", t().overflow.error],
    ],
    (value) => prefer({ overflow: value }),
  );
  const theme = choices<Theme>(
    "theme",
    preferences.value.theme,
    [
      ["system", t().themes.system],
      ["light", t().themes.light],
      ["dark", t().themes.dark],
    ],
    (value) => prefer({ theme: value }),
  );
  const languages = choices<Language>(
    "language",
    language(),
    (Object.keys(LANGUAGES) as Language[]).map((name) => [name, LANGUAGES[name].languageName, name]),
    (value) => {
      dialog.close();
      prefer({ language: value });
      // The button that had the focus was made anew.
      document.querySelector<HTMLElement>("#settings")?.focus();
    },
  );
  const reset = h(
    "button",
    {
      type: "button",
      onclick: () => {
        prefer({ sampling: {} });
        for (const { box } of fields) box.value = "";
      },
    },
    t().resetSampling,
  );
  const dialog = openDialog(
    t().settings,
    "settings",
    h(
      "section",
      { "aria-labelledby": "sampling-title" },
      h("h3", { id: "sampling-title" }, t().sampling),
      h("p", { class: "soft" }, defaults ? t().samplingText : t().samplingWaits),
      fromAddress.length > 0 &&
        h(
          "p",
          { class: "tag" },
          t().fromAddress(fromAddress.map(([name, value]) => `${name} = ${value}`).join(", ")),
        ),
      h("div", { class: "fields" }, ...fields.map(({ element }) => element)),
      h("div", { class: "row" }, reset),
    ),
    group(t().whenFull, overflow),
    group(t().theme, theme),
    group(t().language, languages),
  );
}

function samplingField(
  name: SamplingName,
  byDefault: number | undefined,
): { element: HTMLElement; box: HTMLInputElement } {
  const { least, most, step } = BOUNDS[name];
  const words = t().options[name];
  const box = h("input", {
    type: "number",
    id: `option-${name}`,
    min: least,
    max: most,
    step,
    value: preferences.value.sampling[name],
    placeholder: byDefault ?? (name === "seed" ? t().random : ""),
    "aria-describedby": `about-${name}`,
  });
  box.addEventListener("input", () => {
    if (!box.checkValidity()) return;
    const { [name]: _, ...others } = preferences.value.sampling;
    prefer({ sampling: box.value === "" ? others : { ...others, [name]: Number(box.value) } });
  });
  const element = h(
    "div",
    { class: "field" },
    h("label", { for: `option-${name}` }, words.label, h("code", {}, name)),
    box,
    h("p", { id: `about-${name}`, class: "soft" }, words.about),
  );
  return { element, box };
}

function choices<Value extends string>(
  name: string,
  chosen: Value,
  values: readonly (readonly [Value, string, string?])[],
  choose: (value: Value) => void,
): HTMLElement {
  return h(
    "div",
    { class: "tabs" },
    ...values.map(([value, label, lang]) =>
      h(
        "label",
        { lang },
        h("input", { type: "radio", name, value, checked: value === chosen, onchange: () => choose(value) }),
        h("span", {}, label),
      ),
    ),
  );
}

function group(title: string, ...children: readonly Child[]): HTMLElement {
  return h("fieldset", {}, h("legend", {}, title), ...children);
}
