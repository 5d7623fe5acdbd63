"""Logits of the last position of a packed checkpoint (q4 or q8) by PyTorch in float64, a matrix in memory at a time.

Reads the packed shards itself, by the layout that src/quantize/format.ts describes, and shares nothing with the runtime:
what a 13B model on the GPU is held to. Needs PyTorch and NumPy (Debian: python3-torch, python3-numpy).
"""
import argparse
import json
import mmap
import os
import struct
from collections.abc import Mapping

import numpy as np
import torch

from reference import forward

GROUP = 32


class Packed(Mapping):
    """Tensors by name, unpacked to float64 when asked for."""

    def __init__(self, folder):
        with open(os.path.join(folder, "model.safetensors.index.json")) as file:
            shards = sorted(set(json.load(file)["weight_map"].values()))
        self.entries = {}
        for shard in shards:
            with open(os.path.join(folder, shard), "rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            (length,) = struct.unpack("<Q", data[:8])
            header = json.loads(data[8 : 8 + length])
            self.format = header.pop("__metadata__")["weights"]
            for name, info in header.items():
                begin, end = info["data_offsets"]
                self.entries[name] = (memoryview(data)[8 + length + begin : 8 + length + end], info)

    def __iter__(self):
        return (name for name in self.entries if not name.endswith(".scales"))

    def __len__(self):
        return sum(1 for _ in self)

    def __getitem__(self, name):
        data, info = self.entries[name]
        if name + ".scales" not in self.entries:
            values = np.frombuffer(data, {"F32": "<f4", "F16": "<f2"}[info["dtype"]]).astype(np.float64)
            return torch.from_numpy(values.reshape(info["shape"]))
        scales = np.frombuffer(self.entries[name + ".scales"][0], "<f2").astype(np.float64)
        levels = UNPACK[self.format](data).reshape(-1, GROUP)
        return torch.from_numpy((levels * scales[:, None]).reshape(info["shape"][0], -1))


def unpack_q4(data):
    """Each u32 has eight weights: byte b has weight b in its low nibble and weight 4 + b in its high one."""
    words = np.frombuffer(data, np.uint8).reshape(-1, 4)
    return np.concatenate((words & 15, words >> 4), axis=1).astype(np.float64) - 8


def unpack_q8(data):
    return np.frombuffer(data, np.int8).astype(np.float64)


UNPACK = {"q4": unpack_q4, "q8": unpack_q8}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="packed checkpoint folder")
    parser.add_argument("--tokens", required=True, help="ids with commas between")
    parser.add_argument("--out", required=True, help="raw little-endian float64 [T, vocab_size]")
    arguments = parser.parse_args()
    with open(os.path.join(arguments.model, "config.json")) as file:
        config = json.load(file)
    tokens = [int(token) for token in arguments.tokens.split(",")]
    with torch.no_grad():
        logits = forward(config, Packed(arguments.model), tokens, torch.float64)
    with open(arguments.out, "wb") as file:
        file.write(logits.contiguous().numpy().astype("<f8").tobytes())


if __name__ == "__main__":
    main()
