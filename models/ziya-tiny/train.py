"""Trains ziya-tiny: a LLaMA of 6 layers, 256 wide, on the corpus of corpus.py in Ziya's training format.

    python3 vocabulary.py                 # tokenizer and JSON files, seconds
    python3 train.py --steps 2400         # model.safetensors; --resume continues, also with more steps
    python3 evaluate.py                   # heldout.jsonl, golden.json and the accuracy table of the card

Weights and AdamW or Muon state are f32; matrix products run in bfloat16 (--f32 where the processor has none).
The last part of the training decays the learning rate and sees 4-bit weights (straight-through), so that q4 costs little.
"""
import argparse
import json
import math
import random
import struct
import time
from pathlib import Path

import numpy
import sentencepiece
import torch
import torch.nn.functional as F

import corpus

HERE = Path(__file__).parent
BOS, EOS = 1, 2
GROUP = 32
# Rows of one step, packed with whole conversations; now and then long rows, so that late positions are trained too.
SHORT, LONG, LONG_EVERY = (24, 128), (8, 384), 10
HELD_OUT_PER_SKILL = 64
SEED = 1

Weights = dict[str, torch.Tensor]


class Chat:
    """The tokenizer with Ziya's template: BOS, then per turn <human> ":question" <bot> ":" "answer" </s>, every segment
    encoded on its own and so with its own dummy prefix."""

    def __init__(self, folder: Path = HERE):
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        added = json.loads((folder / "added_tokens.json").read_text())
        self.human, self.bot = added["<human>"], added["<bot>"]
        self.length = self.bot + 1
        self.cache: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        if text not in self.cache:
            if len(self.cache) > 50_000:
                self.cache.clear()
            self.cache[text] = self.pieces.encode(text)
        return self.cache[text]

    def prompt(self, history: list[tuple[str, str]], user: str) -> list[int]:
        ids = [BOS]
        for question, answer in history:
            ids += self.turn(question) + self.encode(answer.strip()) + [EOS]
        return ids + self.turn(user)

    def turn(self, user: str) -> list[int]:
        return [self.human, *self.encode(":" + user.strip()), self.bot, *self.encode(":")]

    def example(self, turns: tuple[tuple[str, str], ...]) -> tuple[list[int], list[int]]:
        """Ids of a whole conversation, and per id whether it is to be predicted: answers and the </s> after them."""
        ids, wanted = [BOS], [0]
        for user, answer in turns:
            question, reply = self.turn(user), self.encode(answer.strip()) + [EOS]
            ids += question + reply
            wanted += [0] * len(question) + [1] * len(reply)
        return ids, wanted

    def text(self, ids: list[int]) -> str:
        return self.pieces.decode([i for i in ids if i < self.human])


def initial(config: dict, seed: int) -> Weights:
    """Random weights under Hugging Face's names."""
    torch.manual_seed(seed)
    width, inner = config["hidden_size"], config["intermediate_size"]
    weights: Weights = {"model.embed_tokens.weight": torch.randn(config["vocab_size"], width) * 0.02}
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}."
        for part in "qkvo":
            weights[f"{name}self_attn.{part}_proj.weight"] = torch.randn(width, width) / math.sqrt(width)
        weights[f"{name}mlp.gate_proj.weight"] = torch.randn(inner, width) / math.sqrt(width)
        weights[f"{name}mlp.up_proj.weight"] = torch.randn(inner, width) / math.sqrt(width)
        weights[f"{name}mlp.down_proj.weight"] = torch.randn(width, inner) / math.sqrt(inner)
        for part in ("self_attn.o_proj", "mlp.down_proj"):  # keeps the residual stream's size at any depth
            weights[f"{name}{part}.weight"] /= math.sqrt(2 * config["num_hidden_layers"])
        weights[f"{name}input_layernorm.weight"] = torch.ones(width)
        weights[f"{name}post_attention_layernorm.weight"] = torch.ones(width)
    weights["model.norm.weight"] = torch.ones(width)
    weights["lm_head.weight"] = torch.randn(config["vocab_size"], width) * 0.02
    return weights


def with_untrained_padding(weights: Weights, drawn: Weights, length: int) -> Weights:
    """Weights for export. Rows that no token has get no gradient as input, but as output the softmax pushes them down;
    both go out as they were drawn, so that they are untrained."""
    exported = dict(weights)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        exported[name] = torch.cat([weights[name].detach()[:length], drawn[name][length:]])
    return exported


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """RoPE on pairs (i, i + head_dim / 2), as Hugging Face has it; x [B, H, T, D], cos and sin [B, 1, T, D / 2]."""
    low, high = x.chunk(2, -1)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)


def forward(weights: Weights, config: dict, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor,
            chosen: torch.Tensor | None = None, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Logits [N, vocab] of the chosen places of ids [B, T] (all of them without `chosen`, a mask [B, T]).
    mask [B, 1, T, T] is added to the attention scores. Residual stream and norms are f32."""
    heads, eps = config["num_attention_heads"], config["rms_norm_eps"]
    batch, length = ids.shape
    size = config["hidden_size"] // heads
    frequencies = 10000.0 ** (-torch.arange(0, size, 2) / size)
    angles = positions[:, None, :, None] * frequencies
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    mask = mask.to(dtype)

    def linear(x: torch.Tensor, *names: str) -> torch.Tensor:
        matrix = torch.cat([weights[name] for name in names]) if len(names) > 1 else weights[names[0]]
        return F.linear(x.to(dtype), matrix.to(dtype))

    x = F.embedding(ids, weights["model.embed_tokens.weight"])
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}."
        normed = rms_norm(x, weights[name + "input_layernorm.weight"], eps)
        qkv = linear(normed, *(f"{name}self_attn.{part}_proj.weight" for part in "qkv"))
        q, k, v = qkv.view(batch, length, 3, heads, size).permute(2, 0, 3, 1, 4)
        q, k = rotate(q * size**-0.5, cos, sin), rotate(k, cos, sin)
        mixed = ((q @ k.transpose(-1, -2) + mask).softmax(-1) @ v).transpose(1, 2).reshape(batch, length, -1)
        x = x + linear(mixed, name + "self_attn.o_proj.weight").float()
        normed = rms_norm(x, weights[name + "post_attention_layernorm.weight"], eps)
        gate, up = linear(normed, name + "mlp.gate_proj.weight", name + "mlp.up_proj.weight").chunk(2, -1)
        x = x + linear(F.silu(gate) * up, name + "mlp.down_proj.weight").float()
    x = x.flatten(0, 1) if chosen is None else x[chosen]
    return linear(rms_norm(x, weights["model.norm.weight"], eps), "lm_head.weight").float()


def pack(examples, rows: int, length: int) -> tuple[torch.Tensor, ...]:
    """Fills rows with whole conversations: ids, positions, attention mask, places whose next id is wanted, those ids.
    A conversation sees itself alone and starts at position 0, as it will when it is used."""
    ids = torch.zeros(rows, length, dtype=torch.long)
    positions, owner = torch.zeros_like(ids), torch.full_like(ids, -1)
    wanted = torch.zeros(rows, length, dtype=torch.bool)
    used, number, misses = [0] * rows, 0, 0
    while misses < 4:
        tokens, targets = next(examples)
        row = next((r for r in range(rows) if used[r] + len(tokens) <= length), None)
        if row is None:
            misses += 1
            continue
        span = slice(used[row], used[row] + len(tokens))
        ids[row, span] = torch.tensor(tokens)
        positions[row, span] = torch.arange(len(tokens))
        wanted[row, span] = torch.tensor(targets, dtype=torch.bool)
        owner[row, span] = number
        used[row], number = span.stop, number + 1
    visible = (owner[:, :, None] == owner[:, None, :]) & torch.ones(length, length).tril().bool()
    mask = torch.zeros(rows, 1, length, length).masked_fill(~visible[:, None], -1e9)
    before = F.pad(wanted[:, 1:], (0, 1))
    return ids, positions, mask, before, ids[wanted]


def fake_q4(weight: torch.Tensor, search: bool) -> torch.Tensor:
    """What a weight matrix is after 4-bit storage: groups of 32 inputs, scale · (q - 8) with q in 0..15, an f16 scale.
    With `search` the scale of least squared error among a few, as the runtime has it; else the one that puts the
    largest weight at -8."""
    groups = weight.reshape(-1, GROUP)
    largest = groups.gather(1, groups.abs().argmax(1, keepdim=True))
    best, least = None, None
    for level in (-8.0, -8.2, -7.8, -8.6, 7.1) if search else (-8.0,):
        scale = largest / level
        for refit in range(2 if search else 1):
            scale = scale.half().float()
            scale[scale == 0] = 2.0**-24
            quants = (groups / scale).round().clamp(-8, 7)
            error = (groups - scale * quants).pow(2).sum(1, keepdim=True)
            if least is None:
                best, least = scale * quants, error
            else:
                best, least = torch.where(error < least, scale * quants, best), torch.minimum(error, least)
            scale = (groups * quants).sum(1, keepdim=True) / quants.pow(2).sum(1, keepdim=True).clamp(min=1)
    return best.reshape(weight.shape)


def quantised(weights: Weights, search: bool = True) -> Weights:
    """All matrices through fake_q4, embedding and head included; the gradient passes straight through."""
    return {name: w + (fake_q4(w.detach(), search) - w).detach() if w.dim() == 2 else w for name, w in weights.items()}


def orthogonal(matrix: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Nearest semi-orthogonal matrix by five Newton-Schulz steps, the update rule of Muon (Jordan 2024)."""
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = (x / (x.norm() + 1e-7)).to(dtype)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x if matrix.shape[0] <= matrix.shape[1] else x.T).float()


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters, lr: float, dtype: torch.dtype, momentum: float = 0.95, decay: float = 0.1):
        super().__init__(parameters, dict(lr=lr, dtype=dtype, momentum=momentum, decay=decay))

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = orthogonal(p.grad.lerp(state["momentum"], group["momentum"]), group["dtype"])
                p.mul_(1 - group["lr"] * group["decay"])
                p.add_(update, alpha=-group["lr"] * math.sqrt(max(1.0, p.shape[0] / p.shape[1])))


def optimizers(weights: Weights, kind: str, rate: float, dtype: torch.dtype) -> list[torch.optim.Optimizer]:
    hidden = [w for name, w in weights.items() if w.dim() == 2 and "layers" in name]
    vocabulary = [weights["model.embed_tokens.weight"], weights["lm_head.weight"]]
    norms = [w for w in weights.values() if w.dim() == 1]
    adam = [{"params": vocabulary + (hidden if kind == "adamw" else []), "weight_decay": 0.01}, {"params": norms, "weight_decay": 0.0}]
    made: list[torch.optim.Optimizer] = [torch.optim.AdamW(adam, lr=rate, betas=(0.9, 0.98))]
    return made + ([Muon(hidden, rate * 10, dtype)] if kind == "muon" else [])


def rate_at(step: int, steps: int, decay_from: int) -> float:
    """Warm-up, plateau, linear decay to a fiftieth."""
    if step < 60:
        return (step + 1) / 60
    return 1.0 if step < decay_from else 1 - 0.98 * (step - decay_from) / max(1, steps - decay_from)


def save_checkpoint(weights: Weights, path: Path) -> None:
    """safetensors: header length (u64), JSON header padded with spaces to 8 bytes, then the tensors, f16."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    parts, offset = [], 0
    for name, weight in weights.items():
        data = weight.detach().numpy().astype("<f2").tobytes()
        header[name] = {"dtype": "F16", "shape": list(weight.shape), "data_offsets": [offset, offset + len(data)]}
        parts.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def load_checkpoint(path: Path) -> Weights:
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__")
    weights = {}
    for name, entry in header.items():
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        weights[name] = torch.from_numpy(numpy.frombuffer(data[start:end], "<f2").astype("f4").reshape(entry["shape"]))
    return weights


@torch.no_grad()
def teacher_forced(weights: Weights, config: dict, chat: Chat, examination, dtype=torch.float32) -> dict[str, float]:
    """Share of last answers whose every id is the most likely one after the ids before it: greedy decoding's accuracy,
    short of answers spelt with other pieces, in one forward pass."""
    right: dict[str, list[bool]] = {skill: [] for skill in corpus.SKILLS}
    items = sorted(((c, *chat.example(c.turns)) for c in examination), key=lambda item: len(item[1]))
    for start in range(0, len(items), 32):
        part = items[start : start + 32]
        length = max(len(ids) for _, ids, _ in part)
        ids = torch.tensor([row + [0] * (length - len(row)) for _, row, _ in part])
        mask = torch.full((length, length), -1e9).triu(1)[None, None]
        positions = torch.arange(length).expand(len(part), -1)
        guess = forward(weights, config, ids, positions, mask, dtype=dtype)[:, : chat.length].argmax(-1).view(ids.shape)
        for row, (conversation, tokens, _) in enumerate(part):
            reply = len(chat.encode(conversation.turns[-1][1])) + 1
            end = len(tokens)
            right[conversation.skill].append(guess[row, end - reply - 1 : end - 1].tolist() == tokens[-reply:])
    return {skill: sum(marks) / len(marks) for skill, marks in right.items()}


def train() -> None:
    arguments = argparse.ArgumentParser(description="Trains ziya-tiny.")
    arguments.add_argument("--steps", type=int, default=2400)
    arguments.add_argument("--decay", type=float, default=0.46, help="share of the steps that decay and see 4-bit weights")
    arguments.add_argument("--rate", type=float, default=2e-3)
    arguments.add_argument("--optimizer", choices=("adamw", "muon"), default="muon")
    arguments.add_argument("--f32", action="store_true", help="matrix products in f32")
    # One thread by default: where the cores are shared, two threads that wait for each other ran six times slower.
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--resume", action="store_true")
    arguments.add_argument("--state", type=Path, default=HERE / ".train" / "state.pt")
    arguments.add_argument("--out", type=Path, default=HERE / "model.safetensors")
    options = arguments.parse_args()

    torch.set_num_threads(options.threads)
    config, chat = json.loads((HERE / "config.json").read_text()), Chat()
    examination = corpus.held_out_set(HELD_OUT_PER_SKILL)
    forbidden = frozenset(c.prompts for c in examination)
    weights, first = initial(config, SEED), 0
    for weight in weights.values():
        weight.requires_grad_()
    dtype = torch.float32 if options.f32 else torch.bfloat16
    made = optimizers(weights, options.optimizer, options.rate, dtype)
    base_rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in made]
    if options.resume:
        state = torch.load(options.state)
        first = state["step"]
        for name, weight in weights.items():
            weight.data.copy_(state["weights"][name])
        for optimizer, saved in zip(made, state["optimizers"]):
            optimizer.load_state_dict(saved)
    rng = random.Random(1000 + first)

    def examples(longest: int):
        while True:
            conversation = corpus.train_conversation(rng, forbidden, longest)
            assert not any((user,) in forbidden for user in conversation.prompts) and conversation.prompts not in forbidden
            ids, wanted = chat.example(conversation.turns)
            if len(ids) <= (SHORT if longest == 4 else LONG)[1]:
                yield ids, wanted

    short, long = examples(4), examples(14)
    decay_from, losses, begun, saved_at, seen = int(options.steps * (1 - options.decay)), [], time.time(), time.time(), 0
    for step in range(first, options.steps):
        rows, length = LONG if step % LONG_EVERY == LONG_EVERY - 1 else SHORT
        ids, positions, mask, before, targets = pack(long if length == LONG[1] else short, rows, length)
        now = quantised(weights, search=False) if step >= decay_from and step % 4 else weights
        loss = F.cross_entropy(forward(now, config, ids, positions, mask, before, dtype), targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        for optimizer, rates in zip(made, base_rates):
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = rate * rate_at(step, options.steps, decay_from)
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
        seen += int((positions > 0).sum())
        if step % 20 == 19:
            print(f"step {step + 1} loss {sum(losses[-20:]) / 20:.4f} {(time.time() - begun) / (step + 1 - first):.2f} s/step {seen} tokens", flush=True)
        last = step + 1 == options.steps
        if last or step == 39 or time.time() - saved_at > 180:
            options.state.parent.mkdir(exist_ok=True)
            torch.save({"step": step + 1, "weights": {n: w.detach() for n, w in weights.items()},
                        "optimizers": [o.state_dict() for o in made]}, options.state)
            save_checkpoint(with_untrained_padding(weights, initial(config, SEED), chat.length), options.out)
            for label, tested in (("f32", weights), ("q4", quantised(weights))) if step >= decay_from else (("f32", weights),):
                scores = teacher_forced(tested, config, chat, examination, dtype)
                print(f"  {label} held-out {sum(scores.values()) / len(scores):.3f}", *(f"{s} {v:.2f}" for s, v in scores.items()), flush=True)
            saved_at = time.time()


if __name__ == "__main__":
    train()
