import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensurePeers } from "../../fixtures/peers/install.ts";
import { dawnHost } from "../../node/host.ts";
import { READ_BYTES, readBandwidth } from "../../src/benchmark/read.ts";
import { describeAdapter } from "../../src/gpu/adapter.ts";
import { type Gpu, openDevice } from "../../src/gpu/device.ts";
import { presetOf } from "../../src/gpu/features.ts";
import type { Config } from "../../src/model/config.ts";
import { median, timeInterleaved } from "../measure.ts";
import { costOf } from "../model.ts";
import { saveResults } from "../record.ts";
import type { Contestant } from "./contestant.ts";
import { type LlamaPeer, type LlamaSetup, librariesOf, startLlama } from "./llama-peer.ts";
import { createOurs } from "./ours.ts";
import { type Quantised, writeRandomGguf } from "./random-gguf.ts";
import { BACKENDS, type Backend, HELP, readSpeedOptions, type SpeedOptions } from "./speed-options.ts";
import { medianRatio, takeTurns } from "./turns.ts";

/** A line of the report: one contestant in one kind of pass. */
interface Row {
  readonly pass: "decode" | "prefill";
  /** Tokens in the cache before the pass. */
  readonly context: number;
  /** Tokens of a turn. */
  readonly tokens: number;
  readonly name: string;
  /** Milliseconds a token in each turn. */
  readonly turns: readonly number[];
  /** Medians over the turns; the second and third compare each turn with the one beside it. */
  readonly tokensPerSecond: number;
  /** Our speed over this one's. */
  readonly oursOverThis: number;
  /** The bytes that a pass must at least read, over its time, as a share of the read bandwidth. */
  readonly shareOfReadBandwidth: number;
}

/** What a run works with, the tokens that depend on the adapter decided. */
interface Plan {
  readonly config: Config;
  readonly contexts: readonly number[];
  readonly prompts: readonly number[];
  readonly tokens: number;
  readonly turns: number;
  /** Tokens of the longest context, its turn included, and of the longest prompt. */
  readonly context: number;
  readonly chunk: number;
}

/** Of bench/peers what is used here: a bundle has no more. */
const PACKAGES = ["koffi", "@koromix/koffi-linux-x64", "@node-llama-cpp/linux-x64-vulkan"];

/** Our passes take so many tokens at a time at most, as llama.cpp's do. */
const CHUNK = 512;

function planOf(options: SpeedOptions, software: boolean): Plan {
  const { contexts, turns } = options;
  const tokens = options.tokens ?? (software ? 4 : 64);
  const prompts = options.prompts ?? (software ? [] : [CHUNK]);
  const context = Math.max(...prompts, contexts.at(-1)! + tokens + 1);
  const config = {
    ...options.config,
    max_position_embeddings: Math.max(options.config.max_position_embeddings, context),
  };
  return {
    config,
    contexts,
    prompts,
    tokens,
    turns,
    context,
    chunk: Math.min(CHUNK, Math.max(1, ...prompts)),
  };
}

/**
 * Lets `ours` and the others take turns in every kind of pass, and the kernel that measures the read bandwidth with them.
 * @param report gets the rows of one kind of pass and the read bandwidth beside them.
 */
async function compareSpeeds(
  gpu: Gpu,
  plan: Plan,
  contestants: readonly Contestant[],
  report: (rows: readonly Row[], readGigabytesPerSecond: number) => void,
): Promise<void> {
  const reader = await readBandwidth(gpu);
  const reading = { name: "read", turn: async () => (await timeInterleaved(gpu, [[reader.dispatch]]))[0]! };
  /** `bytes`: what must be read for a token; `turn`: milliseconds a token. */
  const measure = async (
    kind: Pick<Row, "pass" | "context" | "tokens">,
    bytes: number,
    turn: (contestant: Contestant) => Promise<number>,
  ) => {
    const entrants = contestants.map((contestant) => ({
      name: contestant.name,
      turn: () => turn(contestant),
    }));
    const ms = await takeTurns([reading, ...entrants], plan.turns);
    const [readMs, ours] = ms as [number[], number[]];
    const rows = entrants.map(({ name }, i) => {
      const turns = ms[i + 1]!;
      return {
        ...kind,
        name,
        turns,
        tokensPerSecond: 1000 / median(turns),
        oursOverThis: medianRatio(turns, ours),
        shareOfReadBandwidth: (bytes / READ_BYTES) * medianRatio(readMs, turns),
      };
    });
    report(rows, READ_BYTES / median(readMs) / 1e6);
  };
  const { tokens } = plan;
  for (const context of plan.contexts) {
    for (const contestant of contestants) await contestant.fill(context);
    const { bytes } = costOf(plan.config, "q4", context + tokens / 2, 1);
    await measure({ pass: "decode", context, tokens }, bytes, async (contestant) => {
      // The first pass after the other one's turn finds nothing of its own in the caches.
      const [, ...ms] = await contestant.decode(tokens + 1);
      return ms.reduce((sum, value) => sum + value, 0) / tokens;
    });
  }
  for (const contestant of contestants) await contestant.fill(0);
  for (const prompt of plan.prompts) {
    const { bytes } = costOf(plan.config, "q4", 0, prompt);
    const kind = { pass: "prefill", context: 0, tokens: prompt } as const;
    await measure(kind, bytes / prompt, async (contestant) => (await contestant.prefill(prompt)) / prompt);
  }
  reader.destroy();
}

/** Starts llama.cpp in each way asked for; what cannot be is told in `absent`, of what is there by default only. */
async function startPeers(
  options: SpeedOptions,
  plan: Plan,
  software: boolean,
  files: ReadonlyMap<Quantised, string>,
): Promise<{ peers: LlamaPeer[]; absent: string[] }> {
  const peers: LlamaPeer[] = [];
  const absent: string[] = [];
  const wanted = options.backends ?? (Object.keys(BACKENDS) as Backend[]);
  for (const backend of wanted) {
    const libraries = librariesOf(backend, options.cuda);
    if (libraries === undefined) {
      absent.push(`llama.cpp ${BACKENDS[backend]}: its libraries are not here; see bench/peers/README.md.`);
      continue;
    }
    for (const [type, model] of files) {
      const { context, chunk: batch } = plan;
      const { threads } = options;
      const setup: LlamaSetup = { backend, libraries, model, type, context, batch, threads, software };
      try {
        peers.push(await startLlama(setup));
      } catch (error) {
        absent.push(`llama.cpp ${BACKENDS[backend]}, ${type}: ${(error as Error).message}`);
      }
    }
  }
  return { peers, absent };
}

async function run(options: SpeedOptions): Promise<void> {
  ensurePeers(PACKAGES);
  const host = dawnHost();
  const gpu = await openDevice(host, options.device);
  const software = Boolean(gpu.info.isFallbackAdapter);
  const plan = planOf(options, software);
  const adapter = describeAdapter(gpu.info);
  const rung = presetOf(gpu.features);
  const folder = mkdtempSync(join(tmpdir(), "ziya-peers-"));
  const rows: Row[] = [];
  const read: number[] = [];
  let peers: LlamaPeer[] = [];
  let absent: string[] = [];
  let failure: Error | undefined;
  try {
    const files = new Map<Quantised, string>();
    for (const type of options.types) {
      const path = join(folder, `${type}.gguf`);
      await writeRandomGguf(path, plan.config, type);
      files.set(type, path);
    }
    ({ peers, absent } = await startPeers(options, plan, software, files));
    const { config, context, chunk } = plan;
    const ours = await createOurs(gpu, config, context, chunk);
    console.log(`${adapter}, rung ${rung}, ${options.shape} with ${config.num_hidden_layers} layers`);
    for (const { name, device } of peers) console.log(`${name}: ${device}`);
    for (const text of absent) console.log(`absent: ${text}`);
    console.log(`\n| ${COLUMNS.join(" | ")} |\n| ${COLUMNS.map(() => "---").join(" | ")} |`);
    await compareSpeeds(gpu, plan, [ours, ...peers], (found, gigabytesPerSecond) => {
      for (const row of found) console.log(`| ${cells(row).join(" | ")} |`);
      rows.push(...found);
      read.push(gigabytesPerSecond);
    });
    for (const { name, turnsNotFinite } of peers) {
      if (turnsNotFinite === 0) continue;
      console.log(`${name}: the logits were not finite in ${turnsNotFinite} turns.`);
      process.exitCode = 1;
    }
    await ours.close();
  } catch (error) {
    failure = error as Error;
  } finally {
    await Promise.all(peers.map((peer) => peer.close()));
    rmSync(folder, { recursive: true });
  }
  const { shape, turns, threads } = { ...options, ...plan };
  const layers = plan.config.num_hidden_layers;
  saveResults(`peers-${shape}-${layers}-layers`, options.out, {
    adapter,
    rung,
    shape,
    layers,
    turns,
    threads,
    cache: "f16",
    readGigabytesPerSecond: read,
    peers: peers.map(({ name, device, library, turnsNotFinite }) => ({
      name,
      device,
      library,
      turnsNotFinite,
    })),
    absent,
    ...(failure ? { failure: failure.message } : {}),
    rows,
  });
  gpu.destroy();
  host.release();
  if (failure) throw failure;
  if (peers.length === 0) throw new Error(`There is nothing to compare with.\n${absent.join("\n")}`);
  if (options.backends && absent.length > 0) process.exitCode = 1;
}

const COLUMNS = [
  "pass",
  "context",
  "runtime",
  "tokens/s",
  "ours is",
  "of read bandwidth",
  "slowest",
  "fastest",
];

function cells(row: Row): string[] {
  const speed = (ms: number) => (1000 / ms).toFixed(2);
  return [
    row.pass === "decode" ? "decode" : `prefill x ${row.tokens}`,
    String(row.context),
    row.name,
    row.tokensPerSecond.toFixed(2),
    `${row.oursOverThis.toFixed(2)} x`,
    `${(100 * row.shareOfReadBandwidth).toFixed(0)} %`,
    speed(Math.max(...row.turns)),
    speed(Math.min(...row.turns)),
  ];
}

async function main(): Promise<void> {
  const options = readSpeedOptions(process.argv.slice(2));
  if (options) await run(options);
  else console.log(HELP);
}

main().catch((error: Error) => {
  console.error(`bench:peers: ${error.message}`);
  process.exitCode = 1;
});
