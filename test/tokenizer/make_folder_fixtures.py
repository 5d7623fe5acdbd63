"""Makes test/fixtures/tokenizer/folders.json: random JSON files beside a tokenizer.model, and what the slow
LlamaTokenizer of transformers makes of random texts with them. Needs transformers 4.57.6 and sentencepiece:

    python3 test/tokenizer/make_folder_fixtures.py
"""

import json
import random
import shutil
import tempfile
from pathlib import Path

from transformers import LlamaTokenizer
from transformers.utils import logging

logging.set_verbosity_error()
FOLDER = Path(__file__).parent.parent / "fixtures" / "tokenizer"
SIZE = 600
CASES = 150
TEXTS = 6
rng = random.Random(20261125)
pick = rng.choice


def chance(share):
    return rng.random() < share


def token(content, special, strips=True):
    return {
        "content": content,
        "lstrip": strips and chance(0.3),
        "normalized": chance(0.5),
        "rstrip": strips and chance(0.3),
        "single_word": False,
        "special": special,
    }


def role(content, kind):
    """A role as files have it: the string, or an object, which tokenizer_config.json gives a type."""
    if chance(0.6):
        return content
    fields = token(content, True, strips=False)
    del fields["special"]
    return {**kind, **fields}


def folder_files():
    """Some of the four files that may stand beside tokenizer.model; they contradict each other now and then."""
    files, config = {}, {}
    plain = [text for text in ["ZZ", "ZZZ", "new", "the", "的"] if chance(0.4)]
    special = ["<|im_start|>", "<|im_end|>"]
    numbered = [text for text in plain if text not in ("the", "的")] + special
    ids = {text: SIZE + index for index, text in enumerate(numbered)}
    kind = pick(["decoder", "added_tokens", "json", "roles only"])
    names = {"bos_token": "<s>", "eos_token": pick(["</s>", "<|im_end|>"]), "unk_token": "<unk>"}
    if chance(0.3):
        names["pad_token"] = pick(["<pad>", "</s>", "<unk>"])
    for name, text in names.items():
        where = pick(["config", "map", "both"])
        if where != "map":
            config[name] = role(text, {"__type": "AddedToken"})
        if where != "config":
            files.setdefault("special_tokens_map.json", {})[name] = role(text, {})
    extra = {"additional_special_tokens": pick([special, special[:1], []])}
    (config if chance(0.5) else files.setdefault("special_tokens_map.json", {})).update(extra)
    known = {"<unk>": 0, "<s>": 1, "</s>": 2}
    if kind == "decoder":
        flags = {**known, **ids}
        config["added_tokens_decoder"] = {
            str(id): token(text, text in special or id < 3, strips=id > 2) for text, id in flags.items()
        }
    elif kind == "added_tokens":
        files["added_tokens.json"] = ids
    elif kind == "json":
        files["tokenizer.json"] = {
            "added_tokens": [
                {"id": id, **token(text, text in special or id < 3, strips=False)}
                for text, id in {**known, **ids}.items()
            ]
        }
    for key, values in {
        "add_bos_token": [True, False, None],
        "add_eos_token": [True, False, None],
        "legacy": [True, False, False, None],
        "add_prefix_space": [True, False],
        "clean_up_tokenization_spaces": [True, False],
        "spaces_between_special_tokens": [True, False],
        "model_max_length": [4, 10**30],
        "padding_side": ["left", "right"],
        "use_default_system_prompt": [True, False],
        "sp_model_kwargs": [{}],
        "tokenizer_class": ["LlamaTokenizer", "LlamaTokenizerFast"],
    }.items():
        if chance(0.4):
            config[key] = pick(values)
    files["tokenizer_config.json"] = config
    return files


PARTS = ["a", "the", "new", "ZZ", "Z", "的", "\n", " ", "  ", "\u2581", "\t", "中", "🦙", "1", "cat"]
SPECIALS = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<pad>"]


def random_text(special):
    parts = [pick(SPECIALS) if special and chance(0.3) else pick(PARTS) for _ in range(rng.randint(1, 9))]
    return "".join(parts)


def make_case():
    files = folder_files()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(FOLDER / "plain.model", Path(folder) / "tokenizer.model")
        for name, value in files.items():
            (Path(folder) / name).write_text(json.dumps(value))
        tokenizer = LlamaTokenizer.from_pretrained(folder)
    texts = []
    for index in range(TEXTS):
        special = index % 2 == 1
        text = random_text(special)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        whole = tokenizer(text)["input_ids"]
        texts.append([text, special, ids, whole])
    specials = sorted(set(tokenizer.all_special_tokens))
    return {"files": files, "eos": tokenizer.eos_token_id, "specials": specials, "texts": texts}


cases = [make_case() for _ in range(CASES)]
lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
(FOLDER / "folders.json").write_text(f"[\n{lines}\n]\n")
