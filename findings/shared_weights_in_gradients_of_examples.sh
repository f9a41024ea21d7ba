#!/usr/bin/env bash
# Gradients of single examples of weights that serve twice hold one of the two parts.
#
# backpack-for-pytorch 1.7.1, opacus 1.6.0, torch 2.14.1, Python 3.11, CPU. An embedding that is the
# output layer, too, as in most language models. BackPACK computes the gradients of examples module
# by module, and the one that is visited last replaces what the other one had left: most of the
# gradient is missing, while `.grad` of the same backward pass is right. Opacus adds the parts of two
# modules, but where the output is F.linear(features, embedding.weight) it does not see the second
# use and clips and trains with a part of the gradient, as BackPACK does. Opacus says nothing; BackPACK
# warns of the network alone, as of every network of one's own class, also of those that it gets right.
#
# Expected by most: what is accepted is computed, and gradients of examples add up to the gradient.
# Remedy: compare their sum with `.grad` once; torch.func.vmap of torch.func.grad is right in both.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.14.1 numpy==2.4.6 backpack-for-pytorch==1.7.1 \
    opacus==1.6.0
cat > shared.py <<'PYTHON'
import warnings

import torch
import torch.nn.functional as F
from backpack import backpack, extend
from backpack.extensions import BatchGrad
from opacus import GradSampleModule
from torch import nn

warnings.filterwarnings("ignore", "Full backward hook")
warnings.filterwarnings("ignore", "Extension saving to grad_batch does not have an extension")


class OfModules(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.hidden = nn.Embedding(7, 5), nn.Linear(5, 5)
        self.head = nn.Linear(5, 7, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, words):
        return self.head(torch.tanh(self.hidden(self.embedding(words))))


class OfAFunction(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.hidden = nn.Embedding(7, 5), nn.Linear(5, 5)

    def forward(self, words):
        return F.linear(torch.tanh(self.hidden(self.embedding(words))), self.embedding.weight)


def by_backpack(model):
    extend(model)
    with backpack(BatchGrad()):
        loss(model).backward()
    return model.embedding.weight.grad_batch


def by_opacus(model):
    loss(GradSampleModule(model, loss_reduction="sum")).backward()
    return model.embedding.weight.grad_sample


def by_functorch(model):
    weights = dict(model.named_parameters())

    def loss_of(weights, word, target):
        logits = torch.func.functional_call(model, weights, (word[None],))
        return F.cross_entropy(logits, target[None], reduction="sum")

    found = torch.func.vmap(torch.func.grad(loss_of), (None, 0, 0))(weights, words, targets)
    loss(model).backward()
    return found["embedding.weight"]


generator = torch.Generator().manual_seed(0)
words, targets = torch.randint(7, (2, 16), generator=generator)


def loss(model):
    return F.cross_entropy(model(words), targets, reduction="sum")


wrong = set()
for method in (by_backpack, by_opacus, by_functorch):
    for network in (OfModules, OfAFunction):
        torch.manual_seed(0)
        model = network()
        total, gradient = method(model).sum(0), model.embedding.weight.grad
        error = ((total - gradient).norm() / gradient.norm()).item()
        if error > 1e-3:
            wrong.add((method.__name__, network.__name__))
        print(f"{method.__name__}, {network.__name__}: the sum differs from .grad by {error:.0%}")
expected = {("by_backpack", "OfModules"), ("by_backpack", "OfAFunction")}
assert wrong == expected | {("by_opacus", "OfAFunction")}, wrong
PYTHON
environment/bin/python shared.py
# Output seen:
# by_backpack, OfModules: the sum differs from .grad by 76%
# by_backpack, OfAFunction: the sum differs from .grad by 76%
# by_opacus, OfModules: the sum differs from .grad by 0%
# by_opacus, OfAFunction: the sum differs from .grad by 76%
# by_functorch, OfModules: the sum differs from .grad by 0%
# by_functorch, OfAFunction: the sum differs from .grad by 0%
