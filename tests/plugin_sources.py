"""Source code of plugins, for tests that install one, and of what needs none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Install = Callable[..., Path]
"""The fixture `install`: writes a distribution and answers with the directory it lies in."""

PREAMBLE = """
from deepobs.plugins import DatasetSpec, ProblemSpec, RunnerSpec, SuiteSpec, hookimpl

DEEPOBS_API_VERSION = 1

def problem(name, target="deepobs.problems.synthetic:QuadraticDeep"):
    return ProblemSpec(
        name=name, target=target, summary="Ours", dataset="quadratic", batch_size=8, epochs=1
    )
"""
"""What every plugin begins with, and a short way to describe a problem."""


def offering(*problems: str) -> str:
    """A valid plugin that offers test problems of these names."""
    listed = ", ".join(f"problem({name!r})" for name in problems)
    return f"{PREAMBLE}\n@hookimpl\ndef deepobs_problems():\n    return [{listed}]\n"


OWN_PROBLEM = '''\
"""A problem with a data set of its own, in one file."""

import torch
from torch import nn

from deepobs.data import EmbeddedDataSet, Splits
from deepobs.plugins import DatasetSpec, ProblemSpec
from deepobs.problems import Problem, reduced

SLOPE = 2.0


class Points(EmbeddedDataSet):
    """Pairs of numbers."""

    spec = DatasetSpec(train_size=40, test_size=20)
    train_eval_size = 20
    origin = "drawn"
    has_fake_twin = False

    @classmethod
    def load(cls, data_dir):
        def part(size):
            x = torch.linspace(0, 1, size)[:, None]
            return x, SLOPE * x[:, 0]

        return Splits(train=part(40), test=part(20))

    @classmethod
    def make_fake(cls, fraction):
        return cls.load(None)


class Line(Problem):
    """A line through points.

    Longer.
    """

    spec = ProblemSpec(batch_size=10, epochs=2, dataset=Points)

    def build_model(self):
        return nn.Linear(1, 1)

    def batch_losses(self, batch, reduction):
        x, y = batch
        return reduced((self.model(x)[:, 0] - y).square(), reduction), None
'''
"""A module with a test problem, `Line`, and a data set, `Points`, of one's own."""
