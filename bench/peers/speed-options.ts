import { parseArgs } from "node:util";
import { SHAPE_NAMES, shapeConfig } from "../../fixtures/shapes.ts";
import { RUNGS, type Rung } from "../../src/gpu/features.ts";
import type { Config } from "../../src/model/config.ts";
import { QUANTISED, type Quantised } from "./random-gguf.ts";

/** What llama.cpp can run on here, as its device names begin. */
export const BACKENDS = { vulkan: "Vulkan", cuda: "CUDA" } as const;
export type Backend = keyof typeof BACKENDS;

export const HELP = `Usage: npm run bench:peers -- [options]

Decode and prefill of this runtime (weights q4) and of llama.cpp (weights of as many bits) in turns on the same adapter:
random weights of the same shape, the KV cache in f16, one sequence. Prints tokens/s, the ratio, and the share of the
read bandwidth that was measured in the same run.

  --shape NAME      ${SHAPE_NAMES.join(", ")} (default ziya-13b)
  --layers N        layers (default 2; "all" for the shape's own)
  --contexts LIST   tokens in the cache when decoding begins (default 0,512,2048)
  --tokens N        tokens decoded in a turn (default 64; 4 on a software adapter)
  --prompt LIST     tokens of a prefill pass, 0 for none (default 512; 0 on a software adapter)
  --turns N         turns of each, in the order A B A B (default 5)
  --backends LIST   llama.cpp's: ${Object.keys(BACKENDS).join(", ")} (default vulkan, and cuda where it is)
  --types LIST      how llama.cpp's matrices are stored: ${QUANTISED.join(", ")} (default Q4_K; ziya-tiny, of 704 columns, has Q4_0)
  --cuda DIR        llama.cpp's libraries built with CUDA (default build/llama-cuda/bin, where the README has them built)
  --threads N       of llama.cpp's processor part (default 2)
  --adapter NAME    part of an adapter's name, for this runtime
  --rung NAME       ${RUNGS.join(" or ")}, for this runtime
  --out FILE        where the JSON goes (default bench/results/peers-<shape>-<layers>-layers-<adapter>-<date>.json; "-" for none)
`;

export interface SpeedOptions {
  readonly config: Config;
  readonly shape: string;
  /** Ascending. */
  readonly contexts: readonly number[];
  readonly prompts: readonly number[] | undefined;
  readonly tokens: number | undefined;
  readonly turns: number;
  readonly threads: number;
  readonly backends: readonly Backend[] | undefined;
  readonly types: readonly Quantised[];
  readonly cuda: string | undefined;
  readonly device: { readonly adapter?: string; readonly rung?: Rung };
  readonly out: string | undefined;
}

/** The most tokens of a context or a prompt: llama.cpp's batch and our buffers are made for it. */
const MOST_TOKENS = 32768;

/**
 * @returns undefined where help is asked for.
 * @throws Error that names an argument it does not know, or the value and what was wanted.
 */
export function readSpeedOptions(args: readonly string[]): SpeedOptions | undefined {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      shape: { ...text, default: "ziya-13b" },
      layers: { ...text, default: "2" },
      contexts: { ...text, default: "0,512,2048" },
      tokens: text,
      prompt: text,
      turns: { ...text, default: "5" },
      backends: text,
      types: { ...text, default: "Q4_K" },
      cuda: text,
      threads: { ...text, default: "2" },
      adapter: text,
      rung: text,
      out: text,
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const { shape, layers, tokens, prompt, backends, adapter, rung, cuda, out } = values;
  return {
    shape,
    config: shapeConfig(shape, layers === "all" ? undefined : whole("layers", layers, 1)),
    contexts: wholes("contexts", values.contexts),
    prompts: prompt === undefined ? undefined : wholes("prompt", prompt).filter((count) => count > 0),
    tokens: tokens === undefined ? undefined : whole("tokens", tokens, 1),
    turns: whole("turns", values.turns, 1),
    threads: whole("threads", values.threads, 1),
    backends:
      backends === undefined ? undefined : names("backends", backends, Object.keys(BACKENDS) as Backend[]),
    types: names("types", values.types, QUANTISED),
    cuda,
    device: {
      ...(adapter === undefined ? {} : { adapter }),
      ...(rung === undefined ? {} : { rung: names("rung", rung, RUNGS)[0]! }),
    },
    out,
  };
}

function whole(name: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= MOST_TOKENS) return value;
  throw new Error(`--${name} has "${text}"; wanted whole numbers from ${least} to ${MOST_TOKENS}.`);
}

/** Whole numbers with commas between, each once, ascending. */
function wholes(name: string, list: string): number[] {
  return [...new Set(list.split(",").map((text) => whole(name, text, 0)))].sort((a, b) => a - b);
}

function names<Name extends string>(name: string, list: string, known: readonly Name[]): Name[] {
  return [...new Set(list.split(","))].map((text) => {
    const found = known.find((one) => one === text);
    if (found === undefined) throw new Error(`--${name} has "${text}"; wanted ${known.join(", ")}.`);
    return found;
  });
}
