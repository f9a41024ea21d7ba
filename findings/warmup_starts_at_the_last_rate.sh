#!/usr/bin/env bash
# Warm-up of pytorch-optimizer takes its first step with the final learning rate, not the initial one.
#
# pytorch-optimizer 4.1.0, torch 2.14.1, Python 3.11. LinearScheduler, CosineScheduler and
# PolyScheduler promise "init_lr: Learning rate at the first warmup step". Used as all schedulers of
# torch are, optimizer.step() and then scheduler.step(), the first step of the optimizer is taken
# with min_lr, where the decay will end, and the second with init_lr; after t_max steps, the rate is
# still far from min_lr. Where min_lr is large, the first step does what a warm-up is to prevent.
# PolyScheduler, with the same arguments and the default exponent, leaves max_lr=1 for 1.37, 1.66,
# 1.90, 2.11 and so on: steps after the warm-up are not divided by their number.
# All of them set one rate for all parameter groups, whatever rates the groups had.
#
# Expected by most: the first step is that of init_lr, no rate is above max_lr, and groups keep their
# ratios, as with schedulers of torch.
# Remedy: torch.optim.lr_scheduler, such as SequentialLR of LinearLR and CosineAnnealingLR.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.14.1 numpy==2.4.6 pytorch-optimizer==4.1.0
cat > warmed.py <<'PYTHON'
import warnings

import torch
from pytorch_optimizer import CosineScheduler, LinearScheduler, PolyScheduler

warnings.simplefilter("error")  # nothing is said


def rates(kind):
    """The learning rates of ten steps, of two groups."""
    head, body = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1))
    groups = [{"params": [body], "lr": 1.0}, {"params": [head], "lr": 0.01}]
    optimizer = torch.optim.SGD(groups)
    scheduler = kind(optimizer, t_max=10, max_lr=1.0, min_lr=0.1, init_lr=0.0, warmup_steps=3)
    used = []
    for _ in range(10):
        used.append([float(group["lr"]) for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return used


found = {kind.__name__: rates(kind) for kind in (LinearScheduler, CosineScheduler, PolyScheduler)}
for name, used in found.items():
    print(f"{name}:", *(f"{rate:.2f}" for rate, _ in used))
is_as_seen = (
    all(used[0][0] == 0.1 and used[1][0] == 0.0 for used in found.values())
    and found["LinearScheduler"][-1][0] > 0.1
    and max(rate for rate, _ in found["PolyScheduler"]) > 2
    and all(one == other for used in found.values() for one, other in used[1:])
)
raise SystemExit(0 if is_as_seen else 1)
PYTHON
# Without torch.compile, which only takes time here.
TORCHDYNAMO_DISABLE=1 environment/bin/python warmed.py
# Output seen:
# LinearScheduler: 0.10 0.00 0.33 0.67 1.00 0.87 0.74 0.61 0.49 0.36
# CosineScheduler: 0.10 0.00 0.33 0.67 1.00 0.96 0.83 0.65 0.45 0.27
# PolyScheduler: 0.10 0.00 0.33 0.67 1.00 1.00 1.37 1.66 1.90 2.11
