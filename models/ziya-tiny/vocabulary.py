"""Makes ziya-tiny's tokenizer with Ziya's history: a LLaMA-like SentencePiece BPE model, then single Chinese characters
appended as NORMAL pieces, then <human> and <bot> as added tokens, then padding rows that exist only in the model."""
import json
import random
import re
import struct
import subprocess
import tempfile
from pathlib import Path

import sentencepiece

import corpus
import lexicon

BASE_PIECES = 1408  # 3 special, 256 bytes, characters and merges
BASE_HANZI = 300  # LLaMA's own pieces hold some 700 Chinese characters; the rest are appended
MIN_PADDING_ROWS = 6
ROW_MULTIPLE = 32


def training_text(conversations: int) -> list[str]:
    rng = random.Random(7)
    turns = [turn for _ in range(conversations) for turn in corpus.train_conversation(rng, frozenset()).turns]
    lines = [text for user, answer in turns for text in (":" + user, answer)]  # as the template encodes them
    # Indentation, so that runs of spaces become pieces as in LLaMA.
    return lines + [" " * width + word for width in (2, 4, 8) for word in corpus.WORDS_EN]


def hanzi_by_frequency(lines: list[str]) -> list[str]:
    counts: dict[str, int] = {}
    for character in re.findall(r"[\u4e00-\u9fff]", "".join(lines)):
        counts[character] = counts.get(character, 0) + 1
    return sorted(counts, key=lambda character: (-counts[character], character))


def train_base(lines: list[str], folder: Path) -> bytes:
    """LLaMA's settings. Chinese characters are kept apart by digits (which never merge), because LLaMA's vocabulary has
    hardly any Chinese merges, and beyond the BASE_HANZI most frequent ones they are left out."""
    base = set(hanzi_by_frequency(lines)[:BASE_HANZI])
    apart = [re.sub(r"[\u4e00-\u9fff]", lambda match: f"0{match[0]}0" if match[0] in base else "0", line) for line in lines]
    (folder / "text").write_text("\n".join(line for line in apart if not any(emoji in line for emoji in lexicon.EMOJI)))
    subprocess.run(
        ["spm_train", "--input=text", "--model_prefix=base", "--model_type=bpe",
         f"--vocab_size={BASE_PIECES}", "--character_coverage=1.0", "--byte_fallback=true", "--split_digits=true",
         "--normalization_rule_name=identity", "--remove_extra_whitespaces=false", "--add_dummy_prefix=true",
         "--allow_whitespace_only_pieces=true", "--num_threads=2", "--minloglevel=2"],
        check=True, cwd=folder,  # the model file records these names
    )
    return (folder / "base.model").read_bytes()


def appended(model: bytes, characters: list[str]) -> bytes:
    """Appends NORMAL pieces to a ModelProto. Protocol buffers may be extended by concatenation: field 1 is `pieces`,
    each with its `piece` (1) and `score` (2, float); a missing `type` means NORMAL."""
    for character in characters:
        piece = character.encode()
        message = b"\x0a" + bytes([len(piece)]) + piece + b"\x15" + struct.pack("<f", 0.0)
        model += b"\x0a" + bytes([len(message)]) + message
    return model


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def build(out: Path) -> None:
    """Writes tokenizer.model and every JSON file of the checkpoint."""
    lines = training_text(12_000)
    with tempfile.TemporaryDirectory() as folder:
        base = train_base(lines, Path(folder))
    known = sentencepiece.SentencePieceProcessor(model_proto=base)
    wanted = hanzi_by_frequency(lines) + corpus.HANZI
    missing = [c for c in dict.fromkeys(wanted) if known.piece_to_id(c) == known.unk_id()]
    (out / "tokenizer.model").write_bytes(appended(base, missing))
    pieces = known.get_piece_size() + len(missing)
    rows = -(-(pieces + 2 + MIN_PADDING_ROWS) // ROW_MULTIPLE) * ROW_MULTIPLE
    print(f"{known.get_piece_size()} base pieces + {len(missing)} characters + 2 added tokens; {rows} rows")

    special = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    write_json(out / "added_tokens.json", {"<bot>": pieces + 1, "<human>": pieces})
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    write_json(out / "special_tokens_map.json", {
        "additional_special_tokens": ["<human>", "<bot>"],
        **{name: {"content": content, **special} for name, content in names.items()},
    })
    write_json(out / "tokenizer_config.json", {
        "add_bos_token": True, "add_eos_token": False,
        "bos_token": {"__type": "AddedToken", "content": "<s>", **special},
        "clean_up_tokenization_spaces": False,
        "eos_token": {"__type": "AddedToken", "content": "</s>", **special},
        "model_max_length": 1000000000000000019884624838656, "pad_token": None, "sp_model_kwargs": {},
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": {"__type": "AddedToken", "content": "<unk>", **special},
    })
    write_json(out / "config.json", {
        "_name_or_path": "ziya-tiny", "architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2,
        "hidden_act": "silu", "hidden_size": 256, "initializer_range": 0.02, "intermediate_size": 704,
        "max_position_embeddings": 512, "model_type": "llama", "num_attention_heads": 4, "num_hidden_layers": 6,
        "pad_token_id": 0, "rms_norm_eps": 1e-06, "tie_word_embeddings": False, "torch_dtype": "float16",
        "transformers_version": "4.29.0.dev0", "use_cache": True, "vocab_size": rows,
    })
    # Ziya states its generation settings on its card; here they stand where a program finds them.
    write_json(out / "generation_config.json", {
        "_from_model_config": True, "bos_token_id": 1, "do_sample": True, "eos_token_id": 2, "max_new_tokens": 1024,
        "pad_token_id": 0, "repetition_penalty": 1.0, "temperature": 1.0, "top_p": 0.85,
        "transformers_version": "4.29.0.dev0",
    })


if __name__ == "__main__":
    build(Path(__file__).parent)
