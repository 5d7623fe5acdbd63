import { narrowToHalves } from "../../src/f16.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { wholeOf } from "../../src/gpu/part.ts";
import type { Config } from "../../src/model/config.ts";
import { LlamaModel } from "../../src/model/model.ts";
import { fillPart, fillWeights, PATTERN_VALUES, randomValues } from "../random.ts";
import type { Contestant } from "./contestant.ts";

/**
 * This runtime with random weights in q4. The cache is full of random halves from the beginning, so that a context of any
 * length is there at once; every token's argmax is read back.
 * @param context the most tokens that there will be.
 * @param chunk tokens of the longest prompt.
 */
export async function createOurs(
  gpu: Gpu,
  config: Config,
  context: number,
  chunk: number,
): Promise<Contestant> {
  const { vocab_size: vocab } = config;
  const model = await LlamaModel.create(gpu, config, {
    formatOf: () => "q4",
    context,
    cache: "f16",
    chunk,
    tokenCount: vocab,
  });
  fillWeights(gpu, model.weights);
  const halves = new Uint32Array(narrowToHalves(randomValues(PATTERN_VALUES, 1)).buffer);
  for (const { keys, values } of model.state.layers) {
    fillPart(gpu, wholeOf(keys), halves);
    fillPart(gpu, wholeOf(values), halves);
  }
  const sequence = model.open();
  const pass = async (count: number) => {
    const tokens = Array.from({ length: count }, () => Math.floor(Math.random() * vocab));
    const start = performance.now();
    await model.forward(sequence, tokens, "argmax");
    return performance.now() - start;
  };
  return {
    name: "ziya-webgpu, q4",
    async fill(tokens) {
      sequence.truncate(0);
      sequence.reserve(tokens);
      sequence.append(new Array<number>(tokens).fill(0), 0, tokens);
    },
    async decode(count) {
      const { length } = sequence;
      const ms: number[] = [];
      for (let i = 0; i < count; i++) ms.push(await pass(1));
      sequence.truncate(length);
      return ms;
    },
    async prefill(count) {
      sequence.truncate(0);
      const ms = await pass(count);
      sequence.truncate(0);
      return ms;
    },
    async close() {
      model.destroy();
    },
  };
}
