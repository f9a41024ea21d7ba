#!/usr/bin/env bash
# torch.nn.utils.vector_to_parameters does not copy: training then changes the vector, too.
#
# torch 2.14.1, Python 3.11. "Copy slices of a vector into an iterable of parameters" says its
# documentation, but each parameter becomes a view of the vector. A starting point that is put back
# and trained from moves along with the weights: the distance from it is exactly 0 at any time, and
# a second training does not begin where the first one did. What is done to the vector later, such as
# `vector += direction` in a scan of the loss, changes the model in turn. Parameters also take the
# type of the vector: one of float64, as SciPy returns it, turns a float32 model into a float64 one.
# Nothing is said of any of it. parameters_to_vector, its inverse, does copy.
#
# Expected by most: the model has the values of the vector, in memory and a type of its own.
# Remedy: pass `vector.clone()`, or copy slices with `parameter.copy_` under no_grad.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.14.1 numpy==2.4.6
cat > shared.py <<'PYTHON'
import warnings

import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

warnings.simplefilter("error")  # nothing is said
torch.manual_seed(0)
model = torch.nn.Linear(3, 2)
start = torch.ones(8)
vector_to_parameters(start, model.parameters())
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model(torch.ones(1, 3)).sum().backward()
optimizer.step()
weights = parameters_to_vector(model.parameters()).detach()
distance = (weights - start).norm().item()
print(f"distance from the starting point: {distance}, from ones: {(weights - 1).norm():.4f}")

start += 1
moved = (parameters_to_vector(model.parameters()) - weights).abs().max().item()
print(f"the weights change by {moved:.1f} when the vector does")

vector_to_parameters(torch.ones(8, dtype=torch.float64), model.parameters())
print("type of the weights:", model.weight.dtype)
is_as_seen = distance == 0 and abs(moved - 1) < 1e-6 and model.weight.dtype == torch.float64
raise SystemExit(0 if is_as_seen else 1)
PYTHON
environment/bin/python shared.py
# Output seen:
# distance from the starting point: 0.0, from ones: 0.2828
# the weights change by 1.0 when the vector does
# type of the weights: torch.float64
