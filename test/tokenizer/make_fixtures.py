"""Trains the toy models of test/fixtures/tokenizer with Google's sentencepiece and records what it makes of strings.

    python3 test/tokenizer/make_fixtures.py        (Debian: python3-sentencepiece; 0.1.97 made the committed files)

Four models of a made-up Chinese and English corpus, all BPE with identity normalisation:

    plain    byte fallback, spaces kept: what LLaMA and Ziya have
    symbols  the same with user-defined symbols, some of which overlap each other and ordinary words
    unused   plain, with a third of the merged pieces marked unused, so that SentencePiece takes merges apart again
    spaces   no byte fallback, extra spaces removed: unknown characters become the unknown id

<model>.jsonl holds one line per string: [text, ids] where the ids decode to the text, [text, ids, decoding] where not;
and one per random run of ids: [null, ids, decoding].
"""

import io
import json
import os
import random
import sys

import sentencepiece

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "tokenizer")
STRINGS = 1000
ID_RUNS = 300

SUBJECTS = ["我", "你", "他们", "老师", "小猫", "the cat", "a teacher", "my friend", "somebody", "the old man"]
VERBS = ["喜欢", "看见了", "正在学习", "忘记了", "likes", "is looking at", "remembers", "wrote about", "will never forget"]
OBJECTS = ["苹果", "北京的秋天", "一本新书", "电影", "人工智能", "apples", "the river", "three hundred books", "an old song"]
ENDS = ["。", "！", "？", ".", "!", "?", "，因为今天是星期天。", " because it is Sunday.", "\tand that is all", " -- 12345"]
CODE = ["def f(x):\n    return x + 1", "if (a == b) { c[0] = 42; }", "    indented    by    four", "https://example.org/a?b=c"]
SYMBOLS = ["<sep>", "<sep>>", "ing", "电影", "\u2581the", "ab", "bc", "🦙", "\n\n"]
ALPHABET = (
    "abcdefghij kl mn etaoin THE 0123456789 .,:;!?-_()[]{}<>|/\\'\"\n\t\r\x00\x01\x7f"
    "我你他们的是了在学习北京秋天电影人工智能龘㐀鿿，。！？　"
    "éüßñçøЖяאب한국ไทย\u00a0\u200b\u200d\ufeff\ufffd\u2581\u0301\U0001f999\U0001f468\u200d\U0001f469\u200d\U0001f467\U00020000\U0010ffff"
)


def sentence(rng):
    parts = [rng.choice(SUBJECTS), rng.choice(VERBS), rng.choice(OBJECTS)]
    return rng.choice(["", " "]).join(parts) + rng.choice(ENDS)


def text(rng):
    kind = rng.randrange(6)
    if kind == 0:
        return "".join(rng.choice(ALPHABET) for _ in range(rng.randrange(40)))
    if kind == 1:
        return rng.choice(ALPHABET) * rng.randrange(1, 60)
    if kind == 2:
        return rng.choice(CODE) + " " * rng.randrange(20) + sentence(rng)
    if kind == 3:
        return "".join(rng.choice(SYMBOLS + ["a", "b", " ", "sep", ">"]) for _ in range(rng.randrange(12)))
    if kind == 4:
        return chr(rng.choice([rng.randrange(0xD800), rng.randrange(0xE000, 0x110000)])) + sentence(rng)
    return sentence(rng)


def train(corpus, vocab_size, **options):
    model = io.BytesIO()
    settings = dict(
        sentence_iterator=iter(corpus),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocab_size,
        normalization_rule_name="identity",
        character_coverage=0.995,
        num_threads=1,
        minloglevel=2,
        split_digits=True,
        byte_fallback=True,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
    )
    settings.update(options)
    sentencepiece.SentencePieceTrainer.train(**settings)
    return model.getvalue()


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def mark_unused(model, rng):
    """Gives a third of the merged pieces the type UNUSED (5): field 3 of the messages in field 1."""
    out = bytearray()
    at = 0
    while at < len(model):
        start = at
        tag, at = varint(model, at)
        assert tag & 7 == 2, "a SentencePiece model has only messages at its top"
        size, at = varint(model, at)
        body = model[at : at + size]
        at += size
        # A piece is 0A <length> <text> 15 <four bytes of score>, and 18 <type> where that is not NORMAL.
        if tag == 0x0A and size == body[1] + 7 and len(body[2:-5].decode()) > 1 and rng.random() < 1 / 3:
            body += b"\x18\x05"
            assert len(body) < 128
            out += bytes([tag, len(body)]) + body
        else:
            out += model[start:at]
    return bytes(out)


def record(name, model, seed):
    rng = random.Random(seed)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    lines = []
    for string in ["", " ", "  ", "\u2581", " \u2581 ", "<s>", "</s>", "<unk>", "<0x0A>"] + [text(rng) for _ in range(STRINGS)]:
        ids = processor.encode(string)
        decoding = processor.decode(ids)
        lines.append([string, ids] if decoding == string else [string, ids, decoding])
    for _ in range(ID_RUNS):
        low = rng.choice([0, 0, 3])
        high = rng.choice([259, 259, 300, processor.get_piece_size()])
        ids = [rng.randrange(low, high) for _ in range(rng.randrange(1, 20))]
        lines.append([None, ids, processor.decode(ids)])
    with open(os.path.join(FOLDER, name + ".model"), "wb") as file:
        file.write(model)
    with open(os.path.join(FOLDER, name + ".jsonl"), "w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
    print(name, len(model), "bytes,", len(lines), "lines")


def main():
    os.makedirs(FOLDER, exist_ok=True)
    rng = random.Random(1)
    corpus = [sentence(rng) for _ in range(4000)] + CODE * 50
    plain = train(corpus, 600)
    record("plain", plain, 2)
    record("symbols", train(corpus, 640, user_defined_symbols=SYMBOLS), 3)
    record("unused", mark_unused(plain, random.Random(4)), 5)
    spaces = dict(byte_fallback=False, remove_extra_whitespaces=True, allow_whitespace_only_pieces=False)
    record("spaces", train(corpus, 400, **spaces), 6)


if __name__ == "__main__":
    sys.exit(main())
