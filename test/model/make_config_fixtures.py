"""Makes test/fixtures/config/transformers.json: random config.json and generation_config.json, and what transformers
makes of them. Needs transformers 5.18.0, and no PyTorch:

    python3 test/model/make_config_fixtures.py
"""

import json
import random
import tempfile
from pathlib import Path

import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers import GenerationConfig, LlamaConfig

OUT = Path(__file__).parent.parent / "fixtures" / "config" / "transformers.json"
CASES = 160
pick = random.Random(8).choice
NAN = float("nan")
INFINITY = float("inf")

# Values for a key of config.json; the first ones are the usual ones and come up as often as all others together.
ROPE = [
    {},
    {"type": "linear", "factor": 2.0},
    {"rope_type": "linear", "factor": 4, "rope_theta": 500000.0},
    {"rope_type": "default", "rope_theta": 1000000},
    {"rope_type": "default", "type": "linear", "factor": 8},
    {"type": "default", "factor": 3.0},
    {"rope_type": "linear", "factor": 2, "partial_rotary_factor": 0.5},
    {"rope_type": "linear", "factor": 2, "partial_rotary_factor": 1.0},
    {"rope_type": "dynamic", "factor": 2.0},
    {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 1024},
    {"type": "linear"},
    "linear",
    [2.0],
]
CONFIG = {
    "hidden_size": [512, 1024],
    "num_attention_heads": [8, 16],
    "num_key_value_heads": [None, 2, 8],
    "head_dim": [None, 64, 128],
    "max_position_embeddings": [2048, 4096],
    "rms_norm_eps": [1e-6, 1e-5],
    "rope_theta": [10000.0, 20000, 1e6],
    "rope_scaling": [None, *ROPE],
    "rope_parameters": [None, *ROPE],
    "partial_rotary_factor": [1.0, 0.25],
    "tie_word_embeddings": [False, True],
    "hidden_act": ["silu", "swish", "gelu"],
    "attention_bias": [False, True],
    "mlp_bias": [False, True],
    "eos_token_id": [2, 7, [2, 7]],
    # What changes nothing.
    "pretraining_tp": [1, 2],
    "attention_dropout": [0.0, 0.1],
    "initializer_range": [0.02, 0.01],
    "layer_norm_eps": [1e-5, NAN],
    "rotary_pct": [1, NAN],
    "rotary_emb_base": [10000, INFINITY],
    "max_sequence_length": [2048, -INFINITY],
    "torch_dtype": ["float16", "bfloat16"],
    "use_cache": [True, False],
    "pad_token_id": [0, -1],
}
READ = ["num_key_value_heads", "head_dim", "max_position_embeddings", "rms_norm_eps", "tie_word_embeddings"]
KEPT = ["hidden_act", "attention_bias", "mlp_bias"]

GENERATION = {
    "do_sample": [True, False],
    "temperature": [1.0, 0.7],
    "top_k": [50, 0, 20],
    "top_p": [1.0, 0.9],
    "min_p": [None, 0.05],
    "repetition_penalty": [1.0, 1.1],
    "max_new_tokens": [None, 99],
    "max_length": [20, 4096],
    "eos_token_id": [2, [2, 7]],
    "stop_strings": [None, "###", ["a", "吗"]],
    "suppress_tokens": [None, [3, 5]],
    "bad_words_ids": [None, [[11]], [[2], [12]], [[4, 5]]],
    "num_beams": [1, 4],
    "typical_p": [1.0, 0.5],
    "no_repeat_ngram_size": [0, 3],
    "min_new_tokens": [None, 5],
    "forced_eos_token_id": [None, 2],
    "exponential_decay_length_penalty": [None, [5, 1.1]],
    "sequence_bias": [None, [[[3], 1.5]]],
    "top_h": [None, 0.4],
    # What changes nothing.
    "pad_token_id": [0, -1],
    "bos_token_id": [1, 5],
    "use_cache": [True, False],
    "length_penalty": [1.0, 2.0],
    "renormalize_logits": [None, True],
    "output_scores": [False, True],
    "transformers_version": ["4.29.0.dev0", "5.18.0"],
}


def draw(table, chance):
    return {key: values[0] if pick([0, 1]) else pick(values) for key, values in table.items() if pick(chance)}


def read(config):
    """The values that generate() begins with, of the keys that change an answer."""
    config.update(**config._get_default_generation_params(), defaults_only=True)
    keys = list(GENERATION)
    return {key: getattr(config, key) for key in keys[: keys.index("pad_token_id")]}


def case():
    rope = ["rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor"]
    config = {"model_type": "llama", "vocab_size": 600, "intermediate_size": 1376, "num_hidden_layers": 2}
    config |= {"hidden_size": 512, "num_attention_heads": 8}
    config |= draw({key: CONFIG[key] for key in CONFIG if key not in rope}, [0, 0, 0, 1])
    config |= draw({key: CONFIG[key] for key in rope}, [0, 1])
    generation = draw(GENERATION, [0, 0, 0, 1]) if pick([0, 1, 1, 1]) else None
    # As Python writes them, NaN and Infinity included.
    files = {"config": json.dumps(config), "generation": generation and json.dumps(generation, ensure_ascii=False)}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(files["config"])
        if files["generation"]:
            Path(folder, "generation_config.json").write_text(files["generation"])
        try:
            loaded = LlamaConfig.from_pretrained(folder)
            rope = {key: loaded.rope_parameters.get(key) for key in ["rope_theta", "rope_type", "factor"]}
            rope["partial_rotary_factor"] = loaded.rope_parameters.get("partial_rotary_factor", 1)
            model = {key: getattr(loaded, key) for key in READ + KEPT} | rope
            if generation is None:
                base = GenerationConfig.from_model_config(loaded)
            else:
                base = GenerationConfig.from_pretrained(folder)
            return files | {"model": model, "read": read(base)}
        except (AttributeError, KeyError, StrictDataclassError) as error:
            return files | {"model": None, "error": f"{type(error).__name__}: {error}"[:120].splitlines()[0]}


OUT.parent.mkdir(parents=True, exist_ok=True)
lines = ",\n".join(json.dumps(case(), ensure_ascii=False) for _ in range(CASES))
OUT.write_text(f'{{"transformers":"{transformers.__version__}","cases":[\n{lines}\n]}}\n')
