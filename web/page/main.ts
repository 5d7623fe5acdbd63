import { loadEngine, type WebEngine } from "../index.ts";

const main = element("main", HTMLElement);
const form = element("form", HTMLFormElement);
const question = element("#question", HTMLTextAreaElement);
const ask = element("#ask", HTMLButtonElement);
const stop = element("#stop", HTMLButtonElement);
const status = element("#status", HTMLElement);
const answer = element("#answer", HTMLElement);
const problem = element("#problem", HTMLElement);

let stopAnswer = new AbortController();

try {
  const engine = await loadEngine("models/ziya-tiny/", {
    onProgress: ({ done, total }) => {
      status.textContent = `Loading the model… ${Math.floor((100 * done) / total)} %`;
    },
  });
  enter("ready", "Ready.");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (main.dataset.state === "ready") void reply(engine);
  });
} catch (error) {
  enter("failed", "");
  show(error);
}

stop.addEventListener("click", () => stopAnswer.abort());

// Enter asks, Shift+Enter breaks the line; while an input method composes, Enter is the method's.
question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});

/** Answers the question in the form, piece by piece. */
async function reply(engine: WebEngine): Promise<void> {
  stopAnswer = new AbortController();
  answer.textContent = "";
  problem.hidden = true;
  enter("answering", "Answering…");
  try {
    const messages = [{ role: "user" as const, content: question.value }];
    const stream = engine.chat(messages, { ...optionsOfAddress(), signal: stopAnswer.signal });
    for await (const piece of stream) answer.append(piece);
    const { finish_reason, usage, timings } = await stream.result;
    const speed = timings.decode_tokens_per_second;
    const ended = finish_reason === "abort" ? "Stopped after" : "Done:";
    const rate = speed === null ? "" : `, ${speed.toFixed(speed < 10 ? 1 : 0)} a second`;
    enter("ready", `${ended} ${usage.completion_tokens} tokens${rate}.`);
  } catch (error) {
    enter("ready", "");
    show(error);
  }
}

/**
 * Generation options from the fragment of the page's address, for example #temperature=0&max_tokens=32; the engine
 * checks them. The query is not the page's own: others add to it (utm_source).
 */
function optionsOfAddress(): Record<string, number> {
  const parameters = [...new URLSearchParams(location.hash.slice(1))];
  return Object.fromEntries(parameters.map(([name, value]) => [name, Number(value)]));
}

function enter(state: "ready" | "answering" | "failed", message: string): void {
  const focused = document.activeElement;
  main.dataset.state = state;
  ask.disabled = state !== "ready";
  stop.disabled = state !== "answering";
  // A button that is disabled loses the keyboard's focus: hand it on.
  if (focused === ask && ask.disabled) stop.focus();
  if (focused === stop && stop.disabled) ask.focus();
  status.textContent = message;
}

function show(error: unknown): void {
  problem.textContent = error instanceof Error ? error.message : String(error);
  problem.hidden = false;
}

function element<T extends HTMLElement>(selector: string, type: new () => T): T {
  const found = document.querySelector(selector);
  if (!(found instanceof type)) throw new Error(`index.html has no ${selector}.`);
  return found;
}
