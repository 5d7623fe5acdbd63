// llama.cpp's decode and prefill, timed by calls into its library: nothing of JavaScript runs between two passes. A
// process of its own: its first argument is a Setup as JSON; then it reads one request a line from stdin as JSON and
// answers with one line on stdout, the first of them about itself.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import koffi from "koffi";

/**
 * libraries: the folder with libllama and libggml; backend: how the names of its devices begin ("Vulkan", "CUDA");
 * model: a GGUF file; context: tokens, the most there will be; batch: tokens of the longest prompt; fillOnProcessor:
 * whether a context is filled there and its state handed over, which is much faster where the adapter is a processor.
 * @typedef {{ libraries: string, backend: string, model: string, context: number, batch: number, threads: number,
 *   fillOnProcessor: boolean }} Setup
 * fill: makes the context that many random tokens long; decode: passes of one token after it, each timed; prefill: a pass
 * of that many tokens in an empty context, timed. The context is afterwards as before.
 * @typedef {{ fill: number } | { decode: number } | { prefill: number }} Request
 */

const REQUESTS = /** @type {const} */ (["fill", "decode", "prefill"]);
/** Of llama.h: a model on one device. */
const SPLIT_NONE = 0;

/** @type {Setup} */
const setup = JSON.parse(process.argv[2] ?? "");
const { library: base } = loadLibrary("ggml-base");
const { library: ggml } = loadLibrary("ggml");
const { library: llama, file } = loadLibrary("llama");
const { modelParams, contextParams, batch } = structs();

const call = {
  loadBackends: ggml.func("void ggml_backend_load_all_from_path(const char *)"),
  deviceCount: ggml.func("size_t ggml_backend_dev_count()"),
  device: ggml.func("void *ggml_backend_dev_get(size_t)"),
  deviceName: base.func("const char *ggml_backend_dev_name(void *)"),
  deviceDescription: base.func("const char *ggml_backend_dev_description(void *)"),
  version: base.func("const char *ggml_version()"),
  commit: base.func("const char *ggml_commit()"),
  modelDefaults: llama.func("llama_model_default_params", modelParams, []),
  contextDefaults: llama.func("llama_context_default_params", contextParams, []),
  loadModel: llama.func("llama_model_load_from_file", "void *", ["str", modelParams]),
  createContext: llama.func("llama_init_from_model", "void *", ["void *", contextParams]),
  freeContext: llama.func("void llama_free(void *)"),
  freeModel: llama.func("void llama_model_free(void *)"),
  tokenCount: llama.func("int llama_vocab_n_tokens(void *)"),
  vocabulary: llama.func("void *llama_model_get_vocab(void *)"),
  memory: llama.func("void *llama_get_memory(void *)"),
  truncate: llama.func("bool llama_memory_seq_rm(void *, int, int, int)"),
  decode: llama.func("llama_decode", "int", ["void *", batch]),
  synchronize: llama.func("void llama_synchronize(void *)"),
  logits: llama.func("void *llama_get_logits_ith(void *, int)"),
  stateSize: llama.func("size_t llama_state_seq_get_size(void *, int)"),
  getState: llama.func("size_t llama_state_seq_get_data(void *, void *, size_t, int)"),
  setState: llama.func("size_t llama_state_seq_set_data(void *, void *, size_t, int)"),
};

/** @type {(found: unknown) => string} */
const nameOf = call.deviceName;
/** @type {Record<"model" | "context", () => object>} */
const defaults = { model: call.modelDefaults, context: call.contextDefaults };

call.loadBackends(setup.libraries);
const devices = Array.from({ length: Number(call.deviceCount()) }, (_, i) => call.device(i));
const device = devices.find((found) => nameOf(found).startsWith(setup.backend));
if (device === undefined) {
  const names = devices.map(nameOf).join(", ");
  throw new Error(`llama.cpp has no device of ${setup.backend} here; it has ${names || "none"}.`);
}
const { model, context } = open([device], 9999);
const vocab = call.tokenCount(call.vocabulary(model));
const tokens = new Int32Array(Math.max(setup.batch, 1024));
let length = 0;

answer({
  device: nameOf(device),
  description: call.deviceDescription(device),
  library: `${file}, ggml ${call.version()} (${call.commit()})`,
});
for await (const line of createInterface({ input: process.stdin })) {
  /** @type {Request} */
  const request = JSON.parse(line);
  const known = REQUESTS.find((name) => name in request);
  if (known === undefined) throw new Error(`There is no request ${line}; there are ${REQUESTS}.`);
  if ("fill" in request) answer({ ms: fill(request.fill) });
  else answer("decode" in request ? decode(request.decode) : prefill(request.prefill));
}
call.freeContext(context);
call.freeModel(model);

/**
 * @param {unknown} value
 */
function answer(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/**
 * A model with its context.
 * @param {unknown[]} on the devices, or none for the processor
 * @param {number} layers how many of the layers are there; the head counts as one
 */
function open(on, layers) {
  const list = new BigUint64Array([...on.map((found) => koffi.address(found)), 0n, 0n]);
  const model = call.loadModel(setup.model, {
    ...defaults.model(),
    devices: list,
    n_gpu_layers: layers,
    split_mode: SPLIT_NONE,
    main_gpu: 0,
  });
  if (model === null) throw new Error(`llama.cpp does not load ${setup.model}.`);
  const context = call.createContext(model, {
    ...defaults.context(),
    n_ctx: setup.context,
    n_batch: Math.max(setup.batch, 512),
    n_threads: setup.threads,
    n_threads_batch: setup.threads,
    op_offload: on.length > 0,
    offload_kqv: on.length > 0,
  });
  if (context === null) throw new Error(`llama.cpp makes no context of ${setup.context} tokens.`);
  return { model, context };
}

/**
 * A pass of random tokens after those in the context, with the last one's logits read back.
 * @param {unknown} on a context
 * @param {number} count
 * @returns {number} milliseconds
 */
function pass(on, count) {
  for (let i = 0; i < count; i++) tokens[i] = Math.floor(Math.random() * vocab);
  const start = performance.now();
  const status = call.decode(on, {
    n_tokens: count,
    token: koffi.address(tokens),
    embd: null,
    pos: null,
    n_seq_id: null,
    seq_id: null,
    logits: null,
  });
  if (status !== 0) throw new Error(`llama.cpp's pass of ${count} tokens ended with ${status}.`);
  call.synchronize(on);
  return performance.now() - start;
}

/**
 * @param {number} to
 */
function fill(to) {
  const start = performance.now();
  if (!setup.fillOnProcessor) {
    cut(to);
    for (; length < to; length += Math.min(512, to - length)) pass(context, Math.min(512, to - length));
  } else if (to > 0) {
    const processor = open([], 0);
    for (let at = 0; at < to; at += 512) pass(processor.context, Math.min(512, to - at));
    const state = new Uint8Array(Number(call.stateSize(processor.context, 0)));
    const size = call.getState(processor.context, state, state.length, 0);
    call.freeContext(processor.context);
    call.freeModel(processor.model);
    cut(0);
    if (!(Number(call.setState(context, state, size, 0)) > 0)) {
      throw new Error(`llama.cpp does not take over a context of ${to} tokens from the processor.`);
    }
    length = to;
  } else cut(0);
  return performance.now() - start;
}

/**
 * @param {number} count
 * @returns milliseconds of each token, and whether the last one's logits are numbers
 */
function decode(count) {
  const ms = Array.from({ length: count }, () => pass(context, 1));
  const finite = logitsAreFinite();
  cut(length);
  return { ms, finite };
}

/**
 * @param {number} count
 * @returns milliseconds of the pass, and whether its logits are numbers
 */
function prefill(count) {
  if (length > 0) throw new Error(`The context has ${length} tokens; a prefill is timed in an empty one.`);
  const ms = pass(context, count);
  const finite = logitsAreFinite();
  cut(0);
  return { ms, finite };
}

function logitsAreFinite() {
  return koffi.decode(call.logits(context, -1), "float", vocab).every(Number.isFinite);
}

/**
 * Forgets what follows the first `to` tokens.
 * @param {number} to
 */
function cut(to) {
  if (!call.truncate(call.memory(context), 0, to, -1)) {
    throw new Error(`llama.cpp does not forget the tokens from ${to} on.`);
  }
  length = Math.min(length, to);
}

/**
 * A library of the folder by its name, whatever follows that: libllama.so, libllama.vulkan.v0.5.0.so.
 * @param {string} name
 */
function loadLibrary(name) {
  const pattern = new RegExp(`^lib${name}(\\.[^-]*)?\\.so$`);
  const file = readdirSync(setup.libraries).find((found) => pattern.test(found));
  if (file === undefined) throw new Error(`${setup.libraries} has no lib${name}.so.`);
  return { file, library: koffi.load(join(setup.libraries, file), { global: true }) };
}

/** llama_model_params, llama_context_params and llama_batch in llama.h of the release that package.json pins. */
function structs() {
  const modelParams = koffi.struct("llama_model_params", {
    devices: "void *",
    tensor_buft_overrides: "void *",
    n_gpu_layers: "int32_t",
    split_mode: "int32_t",
    load_mode: "int32_t",
    lazy_mode: "int32_t",
    main_gpu: "int32_t",
    tensor_split: "void *",
    progress_callback: "void *",
    progress_callback_user_data: "void *",
    kv_overrides: "void *",
    vocab_only: "bool",
    check_tensors: "bool",
    use_extra_bufts: "bool",
    no_host: "bool",
    no_alloc: "bool",
    load_mtp: "bool",
  });
  const counts = ["n_ctx", "n_batch", "n_ubatch", "n_seq_max", "n_rs_seq", "n_outputs_max"];
  const contextParams = koffi.struct("llama_context_params", {
    ...fields("uint32_t", [...counts, "n_outputs_max_per_seq"]),
    ...fields("int32_t", ["n_threads", "n_threads_batch"]),
    ...fields("int32_t", ["ctx_type", "rope_scaling_type", "pooling_type", "attention_type"]),
    flash_attn_type: "int32_t",
    ...fields("float", ["rope_freq_base", "rope_freq_scale", "yarn_ext_factor", "yarn_attn_factor"]),
    ...fields("float", ["yarn_beta_fast", "yarn_beta_slow"]),
    yarn_orig_ctx: "uint32_t",
    defrag_thold: "float",
    ...fields("void *", ["cb_eval", "cb_eval_user_data"]),
    ...fields("int32_t", ["type_k", "type_v"]),
    ...fields("void *", ["abort_callback", "abort_callback_data"]),
    ...fields("bool", ["embeddings", "offload_kqv", "no_perf", "op_offload", "swa_full", "kv_unified"]),
    samplers: "void *",
    n_samplers: "size_t",
    ctx_other: "void *",
  });
  const batch = koffi.struct("llama_batch", {
    n_tokens: "int32_t",
    ...fields("void *", ["token", "embd", "pos", "n_seq_id", "seq_id", "logits"]),
  });
  return { modelParams, contextParams, batch };
}

/**
 * @param {string} type
 * @param {string[]} names
 */
function fields(type, names) {
  return Object.fromEntries(names.map((name) => [name, type]));
}
