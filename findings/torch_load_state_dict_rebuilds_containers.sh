#!/usr/bin/env bash
# torch's Optimizer.load_state_dict turns texts in the state of a parameter into the repr of a generator.
#
# torch 2.14.1, Python 3.11. load_state_dict rebuilds every iterable in the state of a parameter as
# type(value)(element for element in value), since it looks for tensors inside. That is right for
# lists, tuples and sets only, and nothing is said about the others:
# - a text becomes "<generator object Optimizer.load_state_dict.<locals>._cast...>",
# - a deque with maxlen=3 becomes one without a limit, so a window of losses grows from then on,
# - a defaultdict becomes a dict, whose missing keys are errors then.
# state_dict itself, torch.save and torch.load (weights_only=True for texts) keep them.
# kron-torch 0.3.3 keeps the equations of its einsums there: it trains, saves and loads, and the
# first step after it fails with "Subscripts can only contain one '->'", which is in "<locals>".
#
# Expected by most: what a state_dict contains is what load_state_dict puts back.
# Remedy: keep texts and windows in param_groups, which are copied as they are, or put them back
# from the state_dict after load_state_dict.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.14.1 numpy==2.4.6 kron-torch==0.3.3
cat > resumed.py <<'PYTHON'
import warnings
from collections import defaultdict, deque

import torch
from kron_torch import Kron


class Keeps(torch.optim.SGD):
    """Keeps things beside each parameter."""

    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            state = self.state[parameter]
            state.setdefault("equation", "ij,jk->ik")
            state.setdefault("losses", deque(maxlen=3)).append(1.5)
            state.setdefault("counts", defaultdict(int))["steps"] += 1
        return super().step(closure)


def new(kind):
    torch.manual_seed(0)
    return kind([torch.ones(3, 2, requires_grad=True)], lr=0.1)


def stepped(optimizer):
    optimizer.param_groups[0]["params"][0].grad = torch.ones(3, 2)
    optimizer.step()
    return optimizer


warnings.simplefilter("error")  # nothing is said
trained, resumed = stepped(new(Keeps)), new(Keeps)
resumed.load_state_dict(trained.state_dict())
before, after = (next(iter(each.state.values())) for each in (trained, resumed))
for key in ("equation", "losses", "counts"):
    print(f"{key}: {before[key]!r} -> {after[key]!r}")
changed = (
    after["equation"].startswith("<generator object"),
    after["losses"].maxlen is None,
    type(after["counts"]) is dict,
)

warnings.simplefilter("ignore")
kron, resumed = stepped(stepped(new(Kron))), new(Kron)
resumed.load_state_dict(kron.state_dict())
try:
    stepped(resumed)
    failed = False
except Exception as error:
    print(f"Kron after load_state_dict: {type(error).__name__}: {error}")
    failed = True
raise SystemExit(0 if all(changed) and failed else 1)
PYTHON
# Without torch.compile, which only takes time here.
TORCHDYNAMO_DISABLE=1 environment/bin/python resumed.py
# Output seen:
# equation: 'ij,jk->ik' -> '<generator object Optimizer.load_state_dict.<locals>._cast.<locals>.<genexpr> at 0x7f03cf904d00>'
# losses: deque([1.5], maxlen=3) -> deque([1.5])
# counts: defaultdict(<class 'int'>, {'steps': 1}) -> {'steps': 1}
# Kron after load_state_dict: ValueError: Subscripts can only contain one '->'.
