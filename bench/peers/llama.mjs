// Logits by llama.cpp, through node-llama-cpp's processor backend. A process of its own: reads one request as JSON from
// stdin, writes raw little-endian float32 [tokens of all sequences, vocab] to the file that it names.
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { getLlama } from "node-llama-cpp";

/**
 * model: a GGUF file; cache: how keys and values are stored; sequences: token ids, each from an empty cache.
 * @typedef {{ model: string, cache: "F32" | "F16", sequences: number[][], threads: number, out: string }} Request
 */

/** @type {Request} */
const { model: modelPath, cache, sequences, threads, out } = JSON.parse(readFileSync(0, "utf8"));

const llama = await getLlama({
  gpu: false,
  build: "never",
  skipDownload: true,
  maxThreads: threads,
  logLevel: "error",
});
const model = await llama.loadModel({ modelPath });
const longest = Math.max(...sequences.map((tokens) => tokens.length));
const context = await model.createContext({
  contextSize: longest,
  batchSize: longest,
  threads: { ideal: threads, min: threads },
  flashAttention: false,
  experimentalKvCacheKeyType: cache,
  experimentalKvCacheValueType: cache,
});
const sequence = context.getSequence();
// Temperature 1 without any cut leaves the logits as the model gives them.
const options = { temperature: 1, topK: 0, topP: 1, minP: 0 };
const file = openSync(out, "w");
for (const tokens of sequences) {
  const input = tokens.map(
    (token) => /** @type {const} */ ([token, { generateNext: { logits: true, options } }]),
  );
  const results = await sequence.controlledEvaluate(input);
  for (const [position, result] of results.entries()) writeRow(result?.next.logits, position);
  await sequence.clearHistory();
}
closeSync(file);
await llama.dispose();

/**
 * @param {Map<number, number> | undefined} logits
 * @param {number} position
 */
function writeRow(logits, position) {
  const vocab = model.fileInfo.metadata.llama.vocab_size;
  if (logits?.size !== vocab)
    throw new Error(`Position ${position} has ${logits?.size} logits; wanted ${vocab}.`);
  const row = new Float32Array(vocab).fill(Number.NaN);
  for (const [id, logit] of logits) row[id] = logit;
  writeSync(file, new Uint8Array(row.buffer));
}
