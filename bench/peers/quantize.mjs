// llama.cpp's own quantiser, by a call into the library that node-llama-cpp brings, which does not offer it itself. A
// process of its own: reads one request as JSON from stdin, writes a GGUF file and prints what its matrices take as JSON.
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import koffi from "koffi";
import { readGgufFileInfo } from "node-llama-cpp";

/**
 * type: of llama.cpp's names for files; pure: every matrix in that very type, no mixture; importance: of columns, by
 * llama.cpp's names of tensors; exact: which tensors stay F32, as a regular expression.
 * @typedef {{
 *   from: string, to: string, type: string, pure: boolean, threads: number,
 *   importance?: Record<string, number[]>, exact?: string,
 * }} Request
 */

/**
 * llama_ftype of llama.h.
 * @type {Readonly<Record<string, number>>}
 */
const FILE_TYPES = { F32: 0, F16: 1, Q4_0: 2, Q4_1: 3, Q8_0: 7, Q4_K_S: 14, Q4_K_M: 15 };

/**
 * ggml_type of ggml.h: name and bits a weight.
 * @type {Readonly<Record<number, readonly [string, number]>>}
 */
const TENSOR_TYPES = {
  0: ["F32", 32],
  1: ["F16", 16],
  2: ["Q4_0", 4.5],
  3: ["Q4_1", 5],
  6: ["Q5_0", 5.5],
  7: ["Q5_1", 6],
  8: ["Q8_0", 8.5],
  12: ["Q4_K", 4.5],
  13: ["Q5_K", 5.5],
  14: ["Q6_K", 6.5625],
};

/** @type {Request} */
const { from, to, type, pure, threads, importance, exact } = JSON.parse(await text(process.stdin));
const fileType = FILE_TYPES[type];
if (fileType === undefined)
  throw new Error(`There is no type ${type}; there are ${Object.keys(FILE_TYPES)}.`);

const folder = join(
  dirname(fileURLToPath(import.meta.url)),
  "node_modules/@node-llama-cpp/linux-x64/bins/linux-x64",
);
const name = readdirSync(folder).find((file) => /^libllama\..*\.so$/.test(file));
if (name === undefined) throw new Error("There is no libllama in bench/peers/node_modules.");
const library = koffi.load(join(folder, name));
// llama_model_quantize_params in llama.h of the release that package.json pins, and what it points to: arrays that end with
// an element whose first pointer is null.
const Importance = koffi.struct("llama_model_imatrix_data", { name: "str", data: "float *", size: "size_t" });
const Override = koffi.struct("llama_model_tensor_override", { pattern: "str", type: "int" });
const Params = koffi.struct("llama_model_quantize_params", {
  nthread: "int32_t",
  ftype: "int32_t",
  output_tensor_type: "int32_t",
  token_embedding_type: "int32_t",
  allow_requantize: "bool",
  quantize_output_tensor: "bool",
  only_copy: "bool",
  pure: "bool",
  keep_split: "bool",
  dry_run: "bool",
  imatrix: koffi.pointer(Importance),
  kv_overrides: "void *",
  tt_overrides: koffi.pointer(Override),
  prune_layers: "void *",
  max_buf_size: "size_t",
});
/** @type {() => object} */
const defaults = library.func("llama_model_quantize_default_params", Params, []);
const quantize = library.func("llama_model_quantize", "uint32_t", ["str", "str", koffi.pointer(Params)]);

const F32 = 0;
const changes = {
  ftype: fileType,
  nthread: threads,
  pure,
  allow_requantize: true,
  ...(importance && {
    imatrix: [
      ...Object.entries(importance).map(([name, values]) => ({
        name,
        data: Float32Array.from(values),
        size: values.length,
      })),
      { name: null, data: null, size: 0 },
    ],
  }),
  ...(exact && {
    tt_overrides: [
      { pattern: exact, type: F32 },
      { pattern: null, type: 0 },
    ],
  }),
};
const status = quantize(from, to, { ...defaults(), ...changes });
if (status !== 0) throw new Error(`llama.cpp's quantiser ended with ${status}.`);

let bits = 0;
let weights = 0;
/** @type {Record<string, number>} */
const types = {};
for (const { dimensions, ggmlType } of (await readGgufFileInfo(to)).fullTensorInfo ?? []) {
  if (dimensions.length < 2) continue;
  const known = TENSOR_TYPES[ggmlType];
  if (known === undefined) throw new Error(`The file has tensors of ggml type ${ggmlType}.`);
  const elements = dimensions.map(Number).reduce((product, size) => product * size);
  bits += elements * known[1];
  weights += elements;
  types[known[0]] = (types[known[0]] ?? 0) + 1;
}
console.log(JSON.stringify({ bitsPerWeight: bits / weights, types }));
