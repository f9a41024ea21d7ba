#!/usr/bin/env bash
# Opacus fails in the backward pass of a layer normalization without bias, which its check accepts.
#
# opacus 1.6.0, torch 2.14.1, Python 3.11, CPU. nn.LayerNorm(n, bias=False), a part of torch since 2.1
# and usual in transformers of today, passes ModuleValidator.validate, is wrapped, and gives outputs.
# Its gradients of examples are computed for a bias that is None: "AttributeError: 'NoneType' object
# has no attribute 'requires_grad'", in backward. nn.Linear(bias=False), nn.RMSNorm and layer
# normalization with a bias work, and so does this one with force_functorch=True.
#
# Expected by most: what the validator accepts trains.
# Remedy: GradSampleModule(..., force_functorch=True), or grad_sample_mode="functorch" of make_private.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.14.1 numpy==2.4.6 opacus==1.6.0
cat > unbiased.py <<'PYTHON'
import warnings

import torch
from opacus import GradSampleModule
from opacus.validators import ModuleValidator
from torch import nn

warnings.filterwarnings("ignore", "Full backward hook")


def result(layer, **options):
    network = nn.Sequential(nn.Linear(3, 4), layer)
    assert ModuleValidator.validate(network) == []
    outputs = GradSampleModule(network, loss_reduction="sum", **options)(torch.randn(2, 3))
    try:
        outputs.square().sum().backward()
    except AttributeError as error:
        return f"AttributeError: {error}"
    for parameter in network.parameters():
        torch.testing.assert_close(parameter.grad_sample.sum(0), parameter.grad)
    return "right"


seen = {
    "Linear(bias=False)": result(nn.Linear(4, 4, bias=False)),
    "LayerNorm": result(nn.LayerNorm(4)),
    "RMSNorm": result(nn.RMSNorm(4)),
    "LayerNorm(bias=False)": result(nn.LayerNorm(4, bias=False)),
    "the same, functorch": result(nn.LayerNorm(4, bias=False), force_functorch=True),
}
for name, what in seen.items():
    print(f"{name}: {what}")
assert [name for name, what in seen.items() if what != "right"] == ["LayerNorm(bias=False)"]
PYTHON
environment/bin/python unbiased.py
# Output seen:
# Linear(bias=False): right
# LayerNorm: right
# RMSNorm: right
# LayerNorm(bias=False): AttributeError: 'NoneType' object has no attribute 'requires_grad'
# the same, functorch: right
