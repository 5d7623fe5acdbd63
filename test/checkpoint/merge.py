"""Merges as Fengshenbang-LM's apply_delta.py does: merge.py BASE.bin DELTA.bin TARGET.bin"""
import sys

import torch

base, delta = (torch.load(path) for path in sys.argv[1:3])
base = {name: tensor.half() for name, tensor in base.items()}
merged = {name: tensor.half() for name, tensor in delta.items()}
for name, tensor in merged.items():
    if "embed_tokens" not in name and "lm_head.weight" not in name and "rotary_emb.inv_freq" not in name:
        tensor += base[name]
torch.save(merged, sys.argv[3])
