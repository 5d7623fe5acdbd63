"""Logits of a LLaMA checkpoint in Hugging Face's layout by PyTorch: raw little-endian float64 [T, vocab_size].

Shares nothing with the runtime: it reads the files itself and follows Hugging Face's LlamaForCausalLM. Needs PyTorch only
(Debian: python3-torch).
"""
import argparse
import json
import math
import os
import struct

import torch

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def read_safetensors(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    header.pop("__metadata__", None)
    tensors = {}
    for name, info in header.items():
        begin, end = info["data_offsets"]
        dtype = DTYPES[info["dtype"]]
        flat = torch.frombuffer(data, dtype=torch.uint8)[begin:end].clone().view(dtype)
        tensors[name] = flat.reshape(info["shape"])
    return tensors


def read_weights(folder):
    single = os.path.join(folder, "model.safetensors")
    if os.path.exists(single):
        return read_safetensors(single)
    with open(single + ".index.json") as file:
        shards = sorted(set(json.load(file)["weight_map"].values()))
    return {name: tensor for shard in shards for name, tensor in read_safetensors(os.path.join(folder, shard)).items()}


def norm(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def rotate_half(x):
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


def forward(config, weights, tokens, dtype):
    """Logits [T, vocab_size] of `tokens` from an empty cache."""
    get = lambda name: weights[name + ".weight"].to(dtype)
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or heads
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    eps = config["rms_norm_eps"]
    count = len(tokens)

    scaling = config.get("rope_scaling") or {}
    positions = torch.arange(count, dtype=dtype) / scaling.get("factor", 1.0)
    inv_freq = config.get("rope_theta", 10000.0) ** (-torch.arange(0, head_dim, 2, dtype=dtype) / head_dim)
    angles = torch.outer(positions, inv_freq).repeat(1, 2)
    cos, sin = angles.cos(), angles.sin()
    mask = torch.full((count, count), -math.inf, dtype=dtype).triu(1)

    embed = get("model.embed_tokens")
    x = embed[torch.tensor(tokens)]
    for index in range(config["num_hidden_layers"]):
        layer = f"model.layers.{index}."
        h = norm(x, get(layer + "input_layernorm"), eps)
        split = lambda name, n: (h @ get(layer + "self_attn." + name).T).view(count, n, head_dim).transpose(0, 1)
        q, k, v = split("q_proj", heads), split("k_proj", kv_heads), split("v_proj", kv_heads)
        q, k = (t * cos + rotate_half(t) * sin for t in (q, k))
        k, v = (t.repeat_interleave(heads // kv_heads, dim=0) for t in (k, v))
        scores = q @ k.transpose(1, 2) / math.sqrt(head_dim) + mask
        attended = (scores.softmax(-1) @ v).transpose(0, 1).reshape(count, heads * head_dim)
        x = x + attended @ get(layer + "self_attn.o_proj").T
        h = norm(x, get(layer + "post_attention_layernorm"), eps)
        gate, up = (h @ get(layer + f"mlp.{name}_proj").T for name in ("gate", "up"))
        x = x + (torch.nn.functional.silu(gate) * up) @ get(layer + "mlp.down_proj").T
    head = embed if config.get("tie_word_embeddings") else get("lm_head")
    return norm(x, get("model.norm"), eps) @ head.T


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="checkpoint folder")
    parser.add_argument("--tokens", required=True, help="ids with commas between")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    with open(os.path.join(arguments.model, "config.json")) as file:
        config = json.load(file)
    tokens = [int(token) for token in arguments.tokens.split(",")]
    with torch.no_grad():
        logits = forward(config, read_weights(arguments.model), tokens, torch.float64)
    with open(arguments.out, "wb") as file:
        file.write(logits.contiguous().numpy().astype("<f8").tobytes())


if __name__ == "__main__":
    main()
