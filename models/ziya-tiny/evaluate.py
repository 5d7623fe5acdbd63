"""Examines model.safetensors by greedy decoding in f32 and writes what the runtime is tested against.

    python3 evaluate.py

heldout.jsonl: the fixed examination, one question a line. golden.json: prompts with their ids and greedy answers.
README.md: the accuracy table between its two markers.
"""
import json
import random
import re
import time

import torch

import corpus
import train

MAX_NEW_TOKENS = 48
# A greedy path with a smaller gap between the two best logits may turn on another device's rounding.
NEAR_TIE = 0.05
DEMO = [
    [("你好,你是谁?", None)], [("你好，你是谁？", None)], [("Who are you?", None)], [("你能做什么?", None)], [("12+34=?", None)],
    [("Repeat: 🚀🌙", None)], [("法国的首都是哪里?", None)],
    [("我叫小明。", "你好，小明！"), ("苹果用英语怎么说?", "apple"), ("我叫什么名字?", None)],
]


@torch.no_grad()
def greedy(weights: train.Weights, config: dict, chat: train.Chat, ids: list[int]) -> tuple[list[int], float]:
    """The most likely ids until </s> (not included), and the smallest gap between the two best logits on the way.
    Rows above the tokenizer's length are never chosen."""
    ids, answer, gap = list(ids), [], float("inf")
    while len(answer) < MAX_NEW_TOKENS:
        length = len(ids)
        mask = torch.full((length, length), -1e9).triu(1)[None, None]
        last = torch.zeros(1, length, dtype=torch.bool)
        last[0, -1] = True
        logits = train.forward(weights, config, torch.tensor([ids]), torch.arange(length)[None], mask, last)[0]
        best = logits[: chat.length].topk(2)
        gap = min(gap, float(best.values[0] - best.values[1]))
        token = int(best.indices[0])
        if token == train.EOS:
            break
        ids.append(token)
        answer.append(token)
    return answer, gap


def messages(turns) -> list[dict[str, str]]:
    """Turns as chat messages, without the last answer."""
    listed = [{"role": role, "content": text} for turn in turns for role, text in zip(("user", "assistant"), turn)]
    return listed[:-1]


def write_examination(examination: list[corpus.Conversation]) -> None:
    lines = [{"skill": c.skill, "messages": messages(c.turns), "answer": c.turns[-1][1]} for c in examination]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (train.HERE / "heldout.jsonl").write_text(text)


def check_split(examination: list[corpus.Conversation], conversations: int = 100_000) -> None:
    """No held-out prompt occurs in training: neither as generated, nor with a part of it held out."""
    forbidden = frozenset(c.prompts for c in examination)
    rng = random.Random(3)
    for _ in range(conversations):
        prompts = corpus.train_conversation(rng, forbidden).prompts
        assert prompts not in forbidden, f"The held-out conversation {prompts} occurs in training."
        for user in prompts:
            assert (user,) not in forbidden, f"The held-out prompt {user!r} occurs in training."


def examine(weights, config, chat, examination) -> dict[str, float]:
    right: dict[str, list[bool]] = {skill: [] for skill in corpus.SKILLS}
    for c in examination:
        answer, _ = greedy(weights, config, chat, chat.prompt(list(c.turns[:-1]), c.turns[-1][0]))
        right[c.skill].append(chat.text(answer) == c.turns[-1][1])
        if not right[c.skill][-1]:
            print(f"  {c.skill}: {c.turns[-1]} answered {chat.text(answer)!r}")
    return {skill: sum(marks) / len(marks) for skill, marks in right.items()}


def golden(weights, config, chat, examination) -> list[dict]:
    """The demonstration prompts and one held-out question of each skill."""
    chosen = DEMO + [list(next(c for c in examination if c.skill == skill).turns) for skill in corpus.SKILLS]
    cases = []
    for turns in chosen:
        ids = chat.prompt(turns[:-1], turns[-1][0])
        answer, gap = greedy(weights, config, chat, ids)
        case = {"messages": messages(turns), "prompt_ids": ids, "answer_ids": answer, "answer": chat.text(answer), "smallest_gap": round(gap, 4)}
        cases.append({**case, "near_tie": True} if gap < NEAR_TIE else case)
    return cases


def main() -> None:
    torch.set_num_threads(1)
    config, chat = json.loads((train.HERE / "config.json").read_text()), train.Chat()
    weights = train.load_checkpoint(train.HERE / "model.safetensors")
    examination = corpus.held_out_set(train.HELD_OUT_PER_SKILL)
    check_split(examination)
    write_examination(examination)
    columns, begun = [], time.time()
    for label, tested in (("f16 weights", weights), ("q4, simulated", train.quantised(weights))):
        print(label)
        columns.append(examine(tested, config, chat, examination))
        print(f"{label}: {sum(columns[-1].values()) / len(columns[-1]):.4f} after {time.time() - begun:.0f} s", columns[-1])
    rows = [(skill, *(f"{column[skill] * 100:.1f}" for column in columns)) for skill in corpus.SKILLS]
    rows.append(("**all**", *(f"**{sum(column.values()) / len(column) * 100:.1f}**" for column in columns)))
    table = "\n".join(["| skill | f16 weights | q4, simulated |", "| --- | ---: | ---: |", *("| " + " | ".join(row) + " |" for row in rows)])
    card = train.HERE / "README.md"
    marked = r"(<!-- accuracy -->\n).*?(\n<!-- /accuracy -->)"
    card.write_text(re.sub(marked, lambda match: match[1] + table + match[2], card.read_text(), flags=re.S))
    cases = golden(weights, config, chat, examination)
    for case in cases:
        print(case["messages"][-1]["content"], "->", case["answer"], case["smallest_gap"])
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    (train.HERE / "golden.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
