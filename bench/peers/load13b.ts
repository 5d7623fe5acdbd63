import { mkdtempSync, rmSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compareLogits } from "../../fixtures/peers/metrics.ts";
import { packedTorchLogits } from "../../fixtures/peers/programs.ts";
import { dawnHost, type Engine, type LlamaModel, load, openFolder } from "../../node/index.ts";
import { describeAdapter as adapterName } from "../../src/gpu/adapter.ts";
import { openDevice } from "../../src/gpu/device.ts";
import { saveResults } from "../record.ts";

const HELP = `Usage: npm run load13b -- --model DIR [options]

Loads a packed checkpoint of full size, such as "npm run convert13b" writes: the loading rate beside what the disk
delivers and what the adapter takes, host memory, a Chinese prompt, decode, and the logits beside those of PyTorch in
float64 over the same shards, which it unpacks itself (q4 or q8).

  --model DIR    the packed checkpoint
  --tokens N     tokens to decode (default 4)
  --compare N    tokens of the prompt to compare with PyTorch (default 6; 0 for none)
  --out FILE     where the JSON goes (default bench/results/load13b-<adapter>-<date>.json; "-" for none)
`;

const MESSAGES = [{ role: "user" as const, content: "请用一句话介绍一下你自己。" }];
/** Bytes that are read or uploaded at a time: what the loader takes. */
const BLOCK = 8 * 1024 * 1024;
/** Uploaded to measure the adapter's rate, in one buffer after the other, so that no page of memory is met twice. */
const UPLOAD_BUFFERS = 16;
const UPLOAD_BUFFER = 128 * 1024 * 1024;
/** The KV cache of a whole context is not what is measured here. */
const CONTEXT = 256;

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    tokens: { type: "string", default: "4" },
    compare: { type: "string", default: "6" },
    out: { type: "string" },
    help: { type: "boolean" },
  },
});
if (values.help || values.model === undefined) {
  process.stdout.write(HELP);
  process.exit(values.help ? 0 : 2);
}
const folder = values.model;
const resident = () => process.memoryUsage.rss();

const uploading = await uploadRate();
const reading = await readRate();
const before = resident();
const start = performance.now();
const engine = await load({ model: folder, context: CONTEXT });
const seconds = (performance.now() - start) / 1000;
const loading = {
  seconds,
  bytes: reading.bytes,
  bytes_per_second: reading.bytes / seconds,
  share_of_slower: reading.bytes / seconds / Math.min(reading.bytes_per_second, uploading.bytes_per_second),
  resident_bytes_before: before,
  resident_bytes: resident(),
  peak_resident_bytes: process.resourceUsage().maxRSS * 1024,
  /** Software adapters keep their buffers in this process: what is left is the host's own. */
  host_peak_bytes: process.resourceUsage().maxRSS * 1024 - reading.bytes,
};
show("adapter takes", uploading);
show("disk delivers", reading);
show("loading", loading);

const chat = await answer(engine);
show("chat", chat);
const comparison = await compare(engine, Number(values.compare));
if (comparison) show("beside PyTorch", comparison);
saveResults("load13b", values.out, {
  adapter: uploading.adapter,
  processors: `${cpus().length} x ${cpus()[0]?.model}`,
  memory_bytes: totalmem(),
  uploading,
  reading,
  loading,
  chat,
  ...(comparison ? { comparison } : {}),
});

/** Bytes a second that queue.writeBuffer() brings to fresh buffers, their completion awaited. */
async function uploadRate() {
  const host = dawnHost();
  const gpu = await openDevice(host);
  const block = new Uint8Array(BLOCK).fill(1);
  const buffers: GPUBuffer[] = [];
  const start = performance.now();
  for (let i = 0; i < UPLOAD_BUFFERS; i++) {
    const buffer = gpu.buffer("upload", UPLOAD_BUFFER);
    buffers.push(buffer);
    for (let at = 0; at < UPLOAD_BUFFER; at += BLOCK) gpu.device.queue.writeBuffer(buffer, at, block);
    await gpu.device.queue.onSubmittedWorkDone();
  }
  const seconds = (performance.now() - start) / 1000;
  const adapter = adapterName(gpu.info);
  for (const buffer of buffers) buffer.destroy();
  gpu.destroy();
  host.release();
  const bytes = UPLOAD_BUFFERS * UPLOAD_BUFFER;
  return { adapter, bytes, seconds, bytes_per_second: bytes / seconds };
}

/** Bytes a second of the shards through the reader that the loader uses; in memory already, if they fit there. */
async function readRate() {
  const open = openFolder(folder);
  let bytes = 0;
  const start = performance.now();
  for (const name of (await readdir(folder)).filter((file) => file.endsWith(".safetensors"))) {
    const source = (await open(name))!;
    for (let at = 0; at < source.size; at += BLOCK) {
      bytes += (await source.read(at, Math.min(BLOCK, source.size - at))).length;
    }
  }
  const seconds = (performance.now() - start) / 1000;
  return { bytes, seconds, bytes_per_second: bytes / seconds };
}

/** A greedy answer; of random weights, so that its words mean nothing. */
async function answer(engine: Engine<LlamaModel>) {
  const stream = engine.chat(MESSAGES, { temperature: 0, max_tokens: Number(values.tokens) });
  const { text, usage, timings } = await stream.complete();
  return { prompt: MESSAGES[0]!.content, text, usage, timings };
}

/** Destroys the engine before PyTorch starts: both do not fit into memory. */
async function compare(engine: Engine<LlamaModel>, count: number) {
  const tokens = engine.encodeChat(MESSAGES).slice(0, count);
  const { vocab_size: vocab } = engine.model.config;
  const rows: Float32Array[] = [];
  if (count > 0) for await (const logits of engine.logits(tokens)) rows.push(logits);
  engine.destroy();
  if (count === 0) return undefined;
  const ours = new Float32Array(tokens.length * vocab);
  let at = 0;
  for (const logits of rows) {
    ours.set(logits, at);
    at += logits.length;
  }
  const scratch = mkdtempSync(join(tmpdir(), "ziya-load13b-"));
  try {
    const reference = packedTorchLogits({ model: folder, tokens, out: join(scratch, "logits.bin") });
    const { meanKl, maxKl, sameTop } = compareLogits(reference, ours, vocab);
    return { tokens, mean_kl: meanKl, max_kl: maxKl, same_top: sameTop };
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function show(what: string, figures: object): void {
  console.log(`${what}: ${JSON.stringify(figures)}`);
}
