#!/usr/bin/env bash
# Gradients of single examples by BackPACK and Opacus are wrong for convolutions that pad otherwise.
#
# backpack-for-pytorch 1.7.1, opacus 1.6.0, torch 2.14.1, Python 3.11, CPU. Both pad the inputs of
# a convolution again themselves, and always with `padding` zeros on each side. So for
# padding_mode="reflect", "replicate" and "circular" (both), and for padding="same" (BackPACK), they
# return gradients of another layer. Nothing is raised or warned of, and the shapes are right. The
# sum over the examples should be the gradient that the same backward pass leaves in `.grad`, and is
# not. Of BackPACK, moments and variances are made of them; of Opacus, the gradient
# that is clipped and trained with. Opacus with force_functorch=True, and so torch.func, are right.
#
# Expected by most: what is accepted without an error is computed.
# Remedy: padding by number, with zeros, or a layer such as nn.ReflectionPad2d before the convolution.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.14.1 numpy==2.4.6 backpack-for-pytorch==1.7.1 \
    opacus==1.6.0
cat > padded.py <<'PYTHON'
import warnings

import torch
from backpack import backpack, extend
from backpack.extensions import BatchGrad
from opacus import GradSampleModule
from torch import nn

warnings.filterwarnings("ignore", "Full backward hook")
images = torch.randn(4, 1, 6, 6, generator=torch.Generator().manual_seed(0))


def by_backpack(layer):
    model, loss = extend(nn.Sequential(layer, nn.Flatten())), extend(nn.MSELoss(reduction="sum"))
    outputs = model(images)
    with backpack(BatchGrad()):
        loss(outputs, torch.zeros_like(outputs)).backward()
    return layer.weight.grad_batch


def by_opacus(layer, **options):
    model = GradSampleModule(layer, loss_reduction="sum", **options)
    model(images).square().sum().backward()
    return layer.weight.grad_sample


def by_functorch(layer):
    return by_opacus(layer, force_functorch=True)


paddings = {
    "padding=1": {"padding": 1},
    'padding="same"': {"padding": "same"},
    'padding_mode="reflect"': {"padding": 1, "padding_mode": "reflect"},
    'padding_mode="replicate"': {"padding": 1, "padding_mode": "replicate"},
    'padding_mode="circular"': {"padding": 1, "padding_mode": "circular"},
}
wrong = set()
for method in (by_backpack, by_opacus, by_functorch):
    for name, padding in paddings.items():
        torch.manual_seed(0)
        layer = nn.Conv2d(1, 2, 3, **padding)
        total = method(layer).sum(0)
        error = ((total - layer.weight.grad).norm() / layer.weight.grad.norm()).item()
        if error > 1e-3:
            wrong.add((method.__name__, name))
        print(f"{method.__name__}, {name}: wrong by {error:.0%}")
modes = [name for name in paddings if "mode" in name]
expected = {("by_backpack", name) for name in (*modes, 'padding="same"')}
raise SystemExit(0 if wrong == expected | {("by_opacus", name) for name in modes} else 1)
PYTHON
environment/bin/python padded.py
# Output seen:
# by_backpack, padding=1: wrong by 0%
# by_backpack, padding="same": wrong by 144%
# by_backpack, padding_mode="reflect": wrong by 28%
# by_backpack, padding_mode="replicate": wrong by 31%
# by_backpack, padding_mode="circular": wrong by 26%
# by_opacus, padding=1: wrong by 0%
# by_opacus, padding="same": wrong by 0%
# by_opacus, padding_mode="reflect": wrong by 28%
# by_opacus, padding_mode="replicate": wrong by 31%
# by_opacus, padding_mode="circular": wrong by 26%
# by_functorch, padding=1: wrong by 0%
# by_functorch, padding="same": wrong by 0%
# by_functorch, padding_mode="reflect": wrong by 0%
# by_functorch, padding_mode="replicate": wrong by 0%
# by_functorch, padding_mode="circular": wrong by 0%
