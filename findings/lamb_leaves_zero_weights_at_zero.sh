#!/usr/bin/env bash
# LAMB of pytorch-lamb and of bitsandbytes never trains what is initialized with zeros.
#
# pytorch-lamb 1.0.0, bitsandbytes 0.50.2, torch 2.14.1, Python 3.11, CPU. LAMB multiplies the step
# of a tensor by norm(weights) / norm(step). The norm of zeros is 0, so these two leave every tensor
# that starts as zeros exactly there: biases, the shifts of normalization layers, the second factor
# of LoRA, the last scales of residual blocks. Nothing is said, and the rest of the model trains.
# timm 1.0.31, torch-optimizer 0.3.0 and pytorch-optimizer 4.1.0 take a ratio of 1 there.
# pytorch-lamb also divides 0 by 0: a tensor whose first gradient is zero, such as an embedding or an
# expert that a batch did not use, is NaN after that step, at the default weight_decay=0.
#
# Expected by most: the layer-wise rate scales the step, and does not decide whether there is one.
# Remedy: LAMB of timm, torch-optimizer or pytorch-optimizer, or initialize with small numbers.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.14.1 numpy==2.4.6 pytorch-lamb==1.0.0 \
    bitsandbytes==0.50.2 torch-optimizer==0.3.0 pytorch-optimizer==4.1.0
cat > zeros.py <<'PYTHON'
import warnings

import bitsandbytes
import pytorch_lamb
import pytorch_optimizer
import torch
import torch_optimizer

warnings.simplefilter("ignore")  # of deprecated signatures of torch


def after(kind, weights, *, gradient):
    """The weights after 20 steps with the same gradient."""
    optimizer = kind([weights.requires_grad_()], lr=0.01)
    for _ in range(20):
        weights.grad = gradient.clone()
        optimizer.step()
    return weights.detach()


stuck, broken = {}, {}
for module in (pytorch_lamb, bitsandbytes.optim, torch_optimizer, pytorch_optimizer):
    name = "bitsandbytes" if module is bitsandbytes.optim else module.__name__
    kind = getattr(module, "Lamb", None) or module.LAMB
    zeros = after(kind, torch.zeros(5, 3), gradient=torch.ones(5, 3))
    unused = after(kind, torch.ones(5, 3), gradient=torch.zeros(5, 3))
    stuck[name] = not zeros.any()
    broken[name] = bool(unused.isnan().any())
    print(f"{name}: zeros after 20 steps: {zeros[0, 0]:.4f}, without gradient: {unused[0, 0]:.4f}")
is_as_seen = stuck == {
    "pytorch_lamb": True,
    "bitsandbytes": True,
    "torch_optimizer": False,
    "pytorch_optimizer": False,
} and broken == {**dict.fromkeys(stuck, False), "pytorch_lamb": True}
raise SystemExit(0 if is_as_seen else 1)
PYTHON
environment/bin/python zeros.py
# Output seen:
# pytorch_lamb: zeros after 20 steps: 0.0000, without gradient: nan
# bitsandbytes: zeros after 20 steps: 0.0000, without gradient: 1.0000
# torch_optimizer: zeros after 20 steps: -0.0382, without gradient: 1.0000
# pytorch_optimizer: zeros after 20 steps: -0.4509, without gradient: 1.0000
