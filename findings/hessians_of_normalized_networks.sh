#!/usr/bin/env bash
# torch.func.hessian, and with it curvlinops, is wrong for layer normalization with weights.
#
# torch 2.14.1, curvlinops-for-pytorch 3.0.1, Python 3.11, CPU, float64. torch.func.hessian is
# jacfwd(jacrev(f)). Of a network with nn.LayerNorm, as it is by default, the result differs from
# differences of gradients by some ten percent, of the weights of the layer by more; nothing is raised
# or warned of. jacrev(jacrev(f)) is wrong as well, while jacfwd(grad(f)) and
# torch.autograd.functional.hessian are right: it is jacrev, which maps over the rows of the
# Jacobian, that loses a part of the second derivative. Batch normalization in training mode has the
# same fault. Without weights (elementwise_affine=False), and with RMSNorm, all are right.
# HessianLinearOperator of curvlinops consists of jvp(jacrev(f)), so that its products are wrong for
# every transformer with such layers.
#
# Expected by most: two compositions of the same derivatives agree.
# Remedy: jacfwd(grad(f)), or products by two backward passes, as PyHessian computes them.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.14.1 numpy==2.4.6 curvlinops-for-pytorch==3.0.1
cat > hessians.py <<'PYTHON'
import warnings

import torch

warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated")
from curvlinops import HessianLinearOperator
from torch import nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev

torch.set_default_dtype(torch.float64)
generator = torch.Generator().manual_seed(0)
inputs = torch.randn(16, 3, generator=generator)
targets = torch.randint(3, (16,), generator=generator)
loss = nn.CrossEntropyLoss()


def errors(norm):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), norm, nn.Linear(4, 3))
    names = [name for name, _ in network.named_parameters()]
    sizes = [each.numel() for each in network.parameters()]
    shapes = [each.shape for each in network.parameters()]

    def value(numbers):
        parts = zip(numbers.split(sizes), shapes, strict=True)
        state = dict(zip(names, (part.view(shape) for part, shape in parts), strict=True))
        return loss(functional_call(network, state, (inputs,)), targets)

    at = nn.utils.parameters_to_vector(network.parameters()).detach()
    steps = 1e-5 * torch.eye(len(at))
    expected = torch.stack([grad(value)(at + step) - grad(value)(at - step) for step in steps]) / 2e-5
    operator = HessianLinearOperator(network, loss, list(network.parameters()), [(inputs, targets)])
    found = {
        "torch.func.hessian": hessian(value)(at),
        "jacrev(jacrev)": jacrev(jacrev(value))(at),
        "curvlinops": (operator @ torch.eye(len(at))).detach(),
        "jacfwd(grad)": jacfwd(grad(value))(at),
        "autograd.functional.hessian": torch.autograd.functional.hessian(value, at),
    }
    return {name: ((each - expected).norm() / expected.norm()).item() for name, each in found.items()}


norms = {
    "LayerNorm": nn.LayerNorm(4),
    "BatchNorm1d": nn.BatchNorm1d(4, track_running_stats=False),
    "LayerNorm without weights": nn.LayerNorm(4, elementwise_affine=False),
    "RMSNorm": nn.RMSNorm(4),
}
wrong = set()
for name, norm in norms.items():
    seen = errors(norm)
    print(f"{name}: " + ", ".join(f"{method} {error:.0%}" for method, error in seen.items()))
    wrong |= {(name, method) for method, error in seen.items() if error > 1e-3}
methods = ("torch.func.hessian", "jacrev(jacrev)", "curvlinops")
expected = {(name, method) for name in ("LayerNorm", "BatchNorm1d") for method in methods}
assert wrong == expected, wrong ^ expected
PYTHON
environment/bin/python hessians.py
# Output seen (in one line each):
# LayerNorm: torch.func.hessian 8%, jacrev(jacrev) 8%, curvlinops 8%, jacfwd(grad) 0%,
#     autograd.functional.hessian 0%
# BatchNorm1d: torch.func.hessian 13%, jacrev(jacrev) 13%, curvlinops 13%, jacfwd(grad) 0%,
#     autograd.functional.hessian 0%
# LayerNorm without weights: 0% each
# RMSNorm: 0% each
