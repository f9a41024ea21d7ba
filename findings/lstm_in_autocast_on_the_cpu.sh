#!/usr/bin/env bash
# An LSTM runs in bfloat16 on any CPU, but not in torch.autocast to bfloat16 on one without AVX-512.
#
# torch 2.14.1, Python 3.11, a CPU of capability AVX2. nn.LSTM(8, 8).to(torch.bfloat16) evaluates
# inputs of bfloat16. The same layer in float32 within torch.autocast("cpu", torch.bfloat16) raises
#   RuntimeError: could not create a primitive descriptor for the LSTM forward propagation primitive.
# with gradients or without, in training and in evaluation, and so for float16. Layers such as
# nn.Linear, nn.Conv2d and attention work in both ways. For inputs in float32, nn.LSTM chooses
# oneDNN's kernel, which asks for a CPU with AVX-512 only after autocast has narrowed the inputs; for
# inputs in bfloat16, torch asks before. With torch.backends.mkldnn.flags(enabled=False), the layer
# stays in float32 within autocast.
#
# Expected by most: autocast works where the narrow type itself does, or leaves the layer in float32.
# Remedy: disable oneDNN around recurrent layers, or leave them out of autocast.
# On a CPU with AVX-512 there is nothing to see: the script says so, and exits with zero.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.14.1 numpy
cat > narrow.py <<'PYTHON'
import sys

import torch

if torch.ops.mkldnn._is_mkldnn_bf16_supported():
    print("this CPU has bfloat16 for oneDNN: nothing to see")
    sys.exit(0)
inputs, lstm = torch.randn(3, 2, 8), torch.nn.LSTM(8, 8)


def outcome(enabled=True):
    try:
        with torch.backends.mkldnn.flags(enabled=enabled), torch.autocast("cpu", torch.bfloat16):
            return str(lstm(inputs)[0].dtype)
    except RuntimeError as error:
        return str(error).partition(".")[0]


found = outcome()
without = outcome(enabled=False)
narrow = str(lstm.to(torch.bfloat16)(inputs.to(torch.bfloat16))[0].dtype)
print(f"autocast: {found}\nautocast without oneDNN: {without}\nall in bfloat16: {narrow}")
expected = "could not create a primitive descriptor for the LSTM forward propagation primitive"
sys.exit(found != expected or without.startswith("could not") or narrow != "torch.bfloat16")
PYTHON
environment/bin/python narrow.py
