import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { SHAPE_NAMES, shapeConfig } from "../fixtures/shapes.ts";
import { dawnHost } from "../node/host.ts";
import { describeAdapter } from "../src/gpu/adapter.ts";
import { type Gpu, openDevice } from "../src/gpu/device.ts";
import { LlamaModel } from "../src/model/model.ts";
import { ADAPTERS, type AdapterName } from "./isa/cards.ts";
import { findLaboratory, laboratoryAdvice, runOn } from "./isa/laboratory.ts";
import { median } from "./measure.ts";
import { choice, count, toggleFlags } from "./options.ts";
import { saveResults } from "./record.ts";

const CARDS = Object.keys(ADAPTERS) as AdapterName[];
const HELP = `Usage: npm run bench:host -- [options]

The host's milliseconds a token of a run ahead, by part, for a model of many narrow layers. For a card that is not there
all of it is the host's: its driver takes submits and computes nothing. Elsewhere the whole is decode's speed.

  --card NAME      ${CARDS.join(", ")}: its driver, without the card, from where bench:isa has it
  --root DIR       where that is, if elsewhere
  --shape NAME     ${SHAPE_NAMES.join(", ")} (default ziya-tiny)
  --layers N       (default 40)
  --decode NAME    kernels of a pass of one row (default i8 4x2)
  --toggles LIST   Dawn's. Each takes turns with none: of a,-b,c+-d the first has a, the next not b, the last c without d
  --turns N        of each (default 15)
  --tokens N       of a turn (default 32)
  --out FILE       where the JSON goes (default bench/results/host-<adapter>-<date>.json; "-" for none)
`;

/** Of passes of several rows, which none is run of. */
const PREFILL = "f32 matmul";

/** `rest` is the row before a pass, the copy for the host, and waiting for it; `token` is all of it. */
const PARTS = ["encode", "finish", "submit", "rest", "token"] as const;
type Sample = Record<(typeof PARTS)[number], number>;

/** What the calls of all devices took since it was reset, in milliseconds. */
const spent = { encode: 0, finish: 0, submit: 0 };

/** Has a method of all objects like this one tell when its calls began. */
function watch(like: object, name: string, note: (start: number) => void): void {
  const prototype = Object.getPrototypeOf(like) as Record<string, (...all: unknown[]) => unknown>;
  const call = prototype[name]!;
  prototype[name] = function (this: unknown, ...all: unknown[]) {
    const start = performance.now();
    const result = call.apply(this, all);
    note(start);
    return result;
  };
}

function watchDevice({ device }: Gpu): void {
  let began = 0;
  watch(device.createCommandEncoder(), "finish", (start) => {
    spent.encode += start - began;
    spent.finish += performance.now() - start;
  });
  watch(device.queue, "submit", (start) => {
    spent.submit += performance.now() - start;
  });
  watch(device, "createCommandEncoder", (start) => {
    began = start;
  });
}

async function runAhead(model: LlamaModel, tokens: number): Promise<Sample> {
  const sequence = model.open();
  const run = (await model.ahead([{ sequence, token: 1 }], tokens))!;
  Object.assign(spent, { encode: 0, finish: 0, submit: 0 });
  const start = performance.now();
  for (let i = 0; i < tokens; i++) await run.next();
  const token = (performance.now() - start) / tokens;
  await run.end();
  sequence.discard();
  const [encode, finish, submit] = [spent.encode / tokens, spent.finish / tokens, spent.submit / tokens];
  return { encode, finish, submit, rest: token - encode - finish - submit, token };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      card: { type: "string" },
      root: { type: "string" },
      shape: { type: "string", default: "ziya-tiny" },
      layers: { type: "string", default: "40" },
      decode: { type: "string", default: "i8 4x2" },
      toggles: { type: "string", default: "" },
      turns: { type: "string", default: "15" },
      tokens: { type: "string", default: "32" },
      out: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  const { card, root, shape, decode, out } = values;
  if (values.help) return void console.log(HELP);
  const config = shapeConfig(shape, count("layers", values.layers));
  const [turns, tokens] = [count("turns", values.turns), count("tokens", values.tokens)];
  if (card !== undefined) {
    const name = choice("card", card, CARDS);
    const laboratory = findLaboratory(ADAPTERS[name].vendor, root);
    if (!laboratory) throw new Error(laboratoryAdvice(ADAPTERS[name].vendor));
    const { card: _, root: __, help: ___, ...rest } = values;
    const args = Object.entries(rest).map(([option, value]) => `--${option}=${value}`);
    console.log((await runOn(name, laboratory, [fileURLToPath(import.meta.url), ...args])).stdout);
    return;
  }
  const contestants = [];
  for (const toggles of ["", ...values.toggles.split(",").filter(Boolean)]) {
    const host = dawnHost(toggleFlags(toggles.split("+").filter(Boolean)));
    const gpu = await openDevice(host);
    const model = await LlamaModel.create(gpu, config, {
      formatOf: () => "q4",
      context: 2 * tokens,
      cache: "f16",
      chunk: 1,
      tokenCount: config.vocab_size,
      decode,
      // A card that is not there gives no results to choose by.
      prefill: PREFILL,
    });
    contestants.push({ name: toggles || "as it comes", host, gpu, model, samples: [] as Sample[] });
  }
  const first = contestants[0]!;
  watchDevice(first.gpu);
  for (let turn = 0; turn <= turns; turn++) {
    for (const { model, samples } of contestants) {
      const sample = await runAhead(model, tokens);
      if (turn > 0) samples.push(sample); // The first turn pays for what is done once.
    }
  }
  const adapter = describeAdapter(first.gpu.info);
  console.log(`${adapter}, ${shape}, ${values.layers} layers, ${decode}: milliseconds a token\n`);
  const width = Math.max(...contestants.map(({ name }) => name.length)) + 2;
  console.log("".padEnd(width) + PARTS.map((part) => part.padStart(9)).join(""));
  const rows = contestants.map(({ name, samples }) => {
    const parts = PARTS.map((part) => median(samples.map((sample) => sample[part])));
    const ofFirst = median(samples.map(({ token }, i) => token / first.samples[i]!.token));
    const cells = parts.map((ms) => ms.toFixed(3).padStart(9)).join("");
    console.log(`${name.padEnd(width)}${cells}   x ${ofFirst.toFixed(3)}`);
    return { name, ...Object.fromEntries(PARTS.map((part, i) => [part, parts[i]])), ofFirst };
  });
  saveResults("host", out, { adapter, shape, layers: config.num_hidden_layers, decode, turns, tokens, rows });
  for (const { model, gpu, host } of contestants) {
    model.destroy();
    gpu.destroy();
    host.release();
  }
}

main().catch((error: Error) => {
  console.error(`bench:host: ${error.message}`);
  process.exitCode = 1;
});
