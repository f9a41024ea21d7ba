"""Every image problem trains and evaluates on synthetic data, within bounded memory."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from deepobs import config
from deepobs.plugins import registry
from deepobs_vision import plugin

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs.problems import Problem

    SetUp = Callable[..., Problem]

MOST_BYTES = 8 * 2**30
MANY_CLASSES = {"cifar100": 100, "imagenet": 1001}


def batch_size_for(name: str) -> int:
    return 2 if "vgg" in name or name.startswith("imagenet") else 16


@pytest.mark.parametrize("name", [spec.name for spec in plugin.deepobs_problems()])
def test_two_steps_and_an_evaluation(name: str, set_up: SetUp) -> None:
    config.set_num_workers(0)
    problem = set_up(name, batch_size=batch_size_for(name))
    spec = registry().problems.offer(name).spec
    assert problem.weight_decay == (spec.weight_decay or 0)
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=1e-4)
    before = [parameter.detach().sum() for parameter in problem.model.parameters()]

    for batch in itertools.islice(problem.dataset.train_loader, 2):
        optimizer.zero_grad()
        loss, _ = problem.get_batch_loss_and_accuracy(batch, "mean")
        (loss + problem.get_regularization_loss()).backward()
        optimizer.step()
        assert torch.isfinite(loss)

    after = [parameter.detach().sum() for parameter in problem.model.parameters()]
    assert any(not torch.equal(*pair) for pair in zip(before, after, strict=True))

    problem.model.eval()
    for loader in (problem.dataset.train_eval_loader, problem.dataset.test_loader):
        batch = next(iter(loader))
        with torch.no_grad():
            losses, accuracy = problem.get_batch_loss_and_accuracy(batch)
        assert losses.shape == (batch_size_for(name),)
        assert torch.isfinite(losses).all()
        assert (accuracy is None) == (spec.metric == "loss")
        images, labels, *_ = batch
        assert images.dtype == torch.float32
        assert labels.dtype == torch.int64
        assert 0 <= labels.min() <= labels.max() < MANY_CLASSES.get(spec.dataset, 10)
    assert peak_memory() < MOST_BYTES


def peak_memory() -> int:
    """Bytes that this process had in memory at most; 0 where that is not known."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
