#!/usr/bin/env bash
# torch.optim.Muon of bfloat16 weights divides its momentum by its norm in every step.
#
# torch 2.14.1, Python 3.11. With nesterov=False, Muon orthogonalizes the momentum buffer itself: it
# takes `buffer.bfloat16()`, which is the buffer and no copy if it is bfloat16 already, and divides
# that in place by its norm. What the state keeps has the norm 1 after each step, whatever gradients
# are. Where they are large, a step follows the last gradient alone, and momentum=0.95 does next to
# nothing; where they are small, the buffer hardly takes notice of them. Trainings in float32 and with
# nesterov=True, the default, are not affected. Nothing is raised, and the loss goes down.
# Reported and mended upstream (pull request 194664) after this release.
#
# Expected by most: the type of the weights changes the rounding, not the method.
# Remedy: nesterov=True, or weights in float32 with autocast.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.14.1 numpy==2.4.6
cat > momentum.py <<'PYTHON'
import warnings

import torch

warnings.simplefilter("error")  # nothing is said


def trained(dtype, nesterov):
    """Weights, and the norm of the momentum, after 20 steps."""
    weights = torch.nn.Parameter(torch.zeros(8, 16, dtype=dtype))
    optimizer = torch.optim.Muon([weights], lr=0.01, nesterov=nesterov, weight_decay=0.0)
    noise = torch.Generator().manual_seed(1)
    for _ in range(20):
        weights.grad = (100 * torch.randn(8, 16, generator=noise)).to(dtype)
        optimizer.step()
    (state,) = optimizer.state.values()
    return weights.detach().float(), state["momentum_buffer"].float().norm().item()


differences, norms = {}, {}
for nesterov in (True, False):
    wide, wide_norm = trained(torch.float32, nesterov)
    narrow, norms[nesterov] = trained(torch.bfloat16, nesterov)
    differences[nesterov] = ((narrow - wide).norm() / wide.norm()).item()
    print(
        f"nesterov={nesterov}: norm of the momentum {wide_norm:.1f} in float32, "
        f"{norms[nesterov]:.1f} in bfloat16; weights differ by {differences[nesterov]:.1%}"
    )
is_as_seen = (
    differences[True] < 0.05 and differences[False] > 0.3 and abs(norms[False] - 1) < 0.02
)
raise SystemExit(0 if is_as_seen else 1)
PYTHON
environment/bin/python momentum.py
# Output seen:
# nesterov=True: norm of the momentum 178.1 in float32, 178.2 in bfloat16; weights differ by 0.9%
# nesterov=False: norm of the momentum 178.1 in float32, 1.0 in bfloat16; weights differ by 77.4%
