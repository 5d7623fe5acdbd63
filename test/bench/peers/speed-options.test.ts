import { expect, test } from "vitest";
import { readSpeedOptions } from "../../../bench/peers/speed-options.ts";

test("the defaults are two layers of Ziya's width, three contexts and five turns", () => {
  const { config, contexts, turns, threads, types, ...rest } = readSpeedOptions([])!;
  expect([config.hidden_size, config.vocab_size, config.num_hidden_layers]).toEqual([5120, 39424, 2]);
  expect({ contexts, turns, threads, types }).toEqual({
    contexts: [0, 512, 2048],
    turns: 5,
    threads: 2,
    types: ["Q4_K"],
  });
  // What depends on the adapter is left to it.
  expect(rest).toMatchObject({ tokens: undefined, prompts: undefined, backends: undefined, device: {} });
});

test("lists are read once each, contexts in ascending order, and no prompt as none", () => {
  const args = ["--contexts", "512,0,512", "--prompt", "0", "--layers", "all", "--types", "Q4_0,Q4_K"];
  const options = readSpeedOptions([...args, "--backends", "cuda,vulkan,cuda"])!;
  expect(options.contexts).toEqual([0, 512]);
  expect(options.prompts).toEqual([]);
  expect(options.config.num_hidden_layers).toBe(40);
  expect(options.types).toEqual(["Q4_0", "Q4_K"]);
  expect(options.backends).toEqual(["cuda", "vulkan"]);
});

test("help is no run", () => {
  expect(readSpeedOptions(["--help"])).toBeUndefined();
});

test.each([
  [["--shape", "gpt-2"], 'There is no shape "gpt-2"'],
  [["--layers", "0"], '--layers has "0"; wanted whole numbers from 1'],
  [["--contexts", "0,1e3"], '--contexts has "1e3"; wanted whole numbers from 0'],
  [["--contexts", ""], '--contexts has ""'],
  [["--contexts", "40000"], "to 32768"],
  [["--tokens", "-1"], "--tokens"],
  [["--turns", "2.5"], '--turns has "2.5"'],
  [["--threads", "0"], '--threads has "0"'],
  [["--backends", "vulkan,metal"], '--backends has "metal"; wanted vulkan, cuda.'],
  [["--types", "Q8_0"], '--types has "Q8_0"; wanted Q4_K, Q4_0.'],
  [["--rung", "top"], '--rung has "top"; wanted core, subgroups, dot, half.'],
  [["--speed", "1"], "--speed"],
  [["stray"], "stray"],
])("%j is refused by name", (args, message) => {
  expect(() => readSpeedOptions(args)).toThrow(message);
});
