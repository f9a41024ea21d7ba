#!/usr/bin/env bash
# Optimizers of dual averaging undo what is done to the weights between two steps, such as pruning.
#
# madgrad 1.3, dadaptation 3.2, parameterfree 0.0.1, torch 2.14.1, Python 3.11. They keep the initial
# weights and the sum of all gradients, and compute the weights from these in each step; what the
# weights are in between is overwritten, without an error or a warning. Of weights that were set to
# 0 after 50 steps, a single further step brings back
# - all: DAdaptAdaGrad and DAdaptSGD (at their default momentum=0),
# - most: COCOB and KT,
# - a tenth, and more in every step: MADGRAD and MirrorMADGRAD (momentum=0.9),
# - nothing: dadaptation's DAdaptAdam and DAdaptLion, which add to the weights as Adam does.
# The same happens to weights that are clamped, projected, averaged over processes or loaded from a
# checkpoint while the state of the optimizer is kept. A mask applied after each step hides it from
# evaluations, but not from the sums.
# A learning rate of 0 does not stop MADGRAD either: its weights still approach the averaged ones,
# by steps as large as before, so a group that is "frozen" by lr=0 moves.
#
# Expected by most: param.mul_(mask) under no_grad lasts until gradients move the weights again.
# Remedy: change the initial weights and sums in the state, too, or prune with forward hooks
# (torch.nn.utils.prune), which leave the weights themselves alone. Freeze by requires_grad=False.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.14.1 numpy==2.4.6 madgrad==1.3 dadaptation==3.2 \
    parameterfree==0.0.1
cat > pruned.py <<'PYTHON'
import warnings

import torch
from dadaptation import DAdaptAdaGrad, DAdaptAdam, DAdaptLion, DAdaptSGD
from madgrad import MADGRAD, MirrorMADGRAD
from parameterfree import COCOB, KT


def trained(kind, **hyperparameters):
    """Weights after 50 steps down noisy slopes, and their optimizer."""
    weights = torch.nn.Parameter(torch.linspace(1, 2, 6))
    optimizer = kind([weights], **hyperparameters)
    noise = torch.Generator().manual_seed(1)
    for _ in range(50):
        weights.grad = torch.randn(6, generator=noise).sign() + 0.3
        optimizer.step()
    return weights, optimizer


def undone(kind, **hyperparameters):
    """Which part of setting weights to 0 the next step undoes, compared with not doing it."""
    after = []
    for prunes in (False, True):
        weights, optimizer = trained(kind, **hyperparameters)
        before = weights.detach()[:3].clone()
        if prunes:
            with torch.no_grad():
                weights[:3] = 0
        weights.grad = torch.full((6,), 0.3)
        optimizer.step()
        after.append(weights.detach()[:3].clone())
    return 1 - ((after[0] - after[1]) / before).mean().item()


warnings.simplefilter("error")  # nothing is said
parts = {
    kind.__name__: undone(kind, **({"lr": 0.01} if "MADGRAD" in kind.__name__ else {}))
    for kind in (DAdaptAdaGrad, DAdaptSGD, COCOB, KT, MADGRAD, MirrorMADGRAD, DAdaptAdam, DAdaptLion)
}
for name, part in parts.items():
    print(f"{name}: the next step undoes {part:.1%}")

weights, optimizer = trained(MADGRAD, lr=0.01)
moved = []
for lr in (0.01, 0.0):
    optimizer.param_groups[0]["lr"] = lr
    before = weights.detach().clone()
    weights.grad = torch.full((6,), 0.3)
    optimizer.step()
    moved.append((weights.detach() - before).norm().item())
print(f"MADGRAD moves by {moved[0]:.4f} at lr=0.01, then by {moved[1]:.4f} at lr=0")
lasts = all(abs(parts[name]) < 1e-3 for name in ("DAdaptAdam", "DAdaptLion"))
all_of_it = all(parts[name] > 0.99 for name in ("DAdaptAdaGrad", "DAdaptSGD"))
most = all(parts[name] > 0.5 for name in ("COCOB", "KT"))
a_tenth = all(0.05 < parts[name] < 0.2 for name in ("MADGRAD", "MirrorMADGRAD"))
raise SystemExit(0 if lasts and all_of_it and most and a_tenth and moved[1] > 0.5 * moved[0] else 1)
PYTHON
environment/bin/python pruned.py
# Output seen:
# DAdaptAdaGrad: the next step undoes 100.0%
# DAdaptSGD: the next step undoes 100.0%
# COCOB: the next step undoes 96.9%
# KT: the next step undoes 70.3%
# MADGRAD: the next step undoes 10.0%
# MirrorMADGRAD: the next step undoes 10.0%
# DAdaptAdam: the next step undoes 0.0%
# DAdaptLion: the next step undoes 0.0%
# MADGRAD moves by 0.0407 at lr=0.01, then by 0.0366 at lr=0
