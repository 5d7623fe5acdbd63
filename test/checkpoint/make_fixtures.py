"""Makes test/fixtures/torch/: state dicts as torch.save writes them, and what they hold as float32.

Run with Debian's PyTorch 1.13: /usr/bin/python3 test/checkpoint/make_fixtures.py [FOLDER]
"""
import json
import pathlib
import sys
from collections import OrderedDict

import torch

folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "fixtures/torch"
folder.mkdir(exist_ok=True)
torch.manual_seed(13)


def state_dict():
    shared = torch.randn(40)
    state = OrderedDict()
    state["half"] = torch.randn(5, 3).half()
    state["bfloat"] = torch.randn(4, 2).bfloat16()
    state["single"] = torch.randn(7)
    state["scalar"] = torch.tensor(2.5)
    state["empty"] = torch.empty(0, 3)
    state["transposed"] = torch.randn(3, 5).half().t()
    state["slice"] = shared[4:16].reshape(3, 4)
    state["every_other"] = shared[20:40:2]
    state["columns"] = shared.reshape(5, 8)[:, 2:5]
    state["tied"] = state["half"]
    state["cube"] = torch.randn(2, 3, 4).permute(2, 0, 1)
    state["parameter"] = torch.nn.Parameter(torch.randn(2, 2))
    state._metadata = OrderedDict([("", {"version": 1})])
    return state


state = state_dict()
torch.save(state, folder / "zip.bin")
torch.save(state, folder / "legacy.bin", _use_new_zipfile_serialization=False)
expected = {
    name: {"dtype": str(t.dtype), "shape": list(t.shape), "values": t.detach().float().contiguous().flatten().tolist()}
    for name, t in state.items()
}
(folder / "zip.json").write_text(json.dumps(expected))

torch.save(torch.nn.Linear(2, 2), folder / "module.bin")
torch.save({"state_dict": dict(state), "epoch": 3}, folder / "training.bin")
torch.save({"ids": torch.arange(3)}, folder / "long.bin")
torch.save([torch.zeros(1)], folder / "list.bin")
torch.save({"a": torch.zeros(2)}, folder / "protocol4.bin", pickle_protocol=4)
torch.save({"a": torch.zeros(1).expand(4)}, folder / "expanded.bin")
