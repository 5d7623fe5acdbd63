import type { EngineInfo } from "../../api.ts";
import type { Chat } from "../state/chat.ts";
import type { Meter } from "../state/meter.ts";
import type { Session } from "../state/session.ts";
import { t } from "../strings/strings.ts";
import { h, icon, iconButton, svg } from "../ui/dom.ts";
import { adapterName, bytes, number, speed } from "../ui/format.ts";
import { fact } from "./facts.ts";
import { sparkline } from "./sparkline.ts";

/** What the model runs on and how fast it is, drawn as it runs. */
export function makePanel(
  chat: Chat,
  session: Session,
  openBenchmark: () => void,
  close: () => void,
  gone: AbortSignal,
): HTMLElement {
  const facts = h("div", {});
  const decode = rate(t().decodeRate, chat.meters.decode);
  const prefill = rate(t().prefillRate, chat.meters.prefill);
  const first = h("p", { class: "soft" });
  const benchmark = h(
    "button",
    { type: "button", class: "quiet", id: "benchmark", onclick: openBenchmark },
    icon("gauge"),
    t().benchmark,
  );
  const element = h(
    "aside",
    { class: "panel", id: "panel", "aria-label": t().engine },
    h("div", { class: "panel-head" }, h("h2", {}, t().engine), iconButton("close", t().closePanel, close)),
    decode.element,
    prefill.element,
    first,
    facts,
    benchmark,
  );
  session.state.listen(gone, (state) => {
    benchmark.disabled = state.kind !== "ready";
    facts.replaceChildren(
      state.kind === "ready" ? factsOf(state.engine.info) : h("p", { class: "soft" }, t().noEngine),
    );
  });
  const draw = () => {
    decode.draw();
    prefill.draw();
  };
  chat.grown.listen(gone, draw);
  chat.activity.listen(gone, ({ kind }) => kind === "reading" && draw());
  chat.latest.listen(gone, (result) => {
    if (!result) return;
    const { decode_tokens_per_second, prefill_tokens_per_second, time_to_first_token_ms } = result.timings;
    draw();
    // What the engine has measured takes the place of what was counted here.
    decode.show(decode_tokens_per_second);
    prefill.show(prefill_tokens_per_second);
    const cached = result.usage.cached_tokens;
    first.textContent =
      time_to_first_token_ms === null ? "" : t().firstToken(number(time_to_first_token_ms), number(cached));
  });
  return element;
}

function rate(label: string, meter: Meter) {
  const figure = h("strong", {}, "–");
  const curve = sparkline();
  const show = (value: number | null | undefined) => {
    if (value) figure.textContent = speed(value);
  };
  return {
    element: h(
      "div",
      { class: "rate" },
      h("span", { class: "soft" }, label),
      h("span", {}, figure, h("small", { class: "soft" }, ` ${t().perSecond}`)),
      curve.element,
    ),
    show,
    draw() {
      show(meter.points.at(-1));
      curve.draw(meter.points);
    },
  };
}

function factsOf(info: EngineInfo): HTMLElement {
  const { adapter, memory } = info;
  return h(
    "dl",
    { class: "facts" },
    fact(t().adapter, [adapterName(adapter)]),
    fact(
      t().features,
      info.features.length > 0
        ? info.features.map((feature) => h("span", { class: "tag" }, feature))
        : [t().coreOnly],
    ),
    fact(t().decoding, [info.decoding]),
    fact(t().prefilling, [info.prefilling]),
    ...info.wrong.map((sentence) => fact(t().doneWithout, [sentence])),
    fact(t().gpuMemory, [bytes(memory.total), memoryBar(info)]),
    fact("", [t().memoryParts(bytes(memory.weights), bytes(memory.cache), bytes(memory.activations))]),
    fact(t().contextLength, [t().tokens(number(info.context), info.context)]),
  );
}

function memoryBar({ memory }: EngineInfo): SVGSVGElement {
  let x = 0;
  const part = (size: number, name: string) => {
    const width = (100 * size) / memory.total;
    const bar = svg("rect", { x, y: 0, width, height: 6, class: name });
    x += width;
    return bar;
  };
  return svg(
    "svg",
    { viewBox: "0 0 100 6", preserveAspectRatio: "none", class: "memory", "aria-hidden": "true" },
    part(memory.weights, "memory-weights"),
    part(memory.cache, "memory-cache"),
    part(memory.activations, "memory-activations"),
  );
}
