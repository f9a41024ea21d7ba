"""Passes over the data: their beginning, and evaluations in between."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch

from deepobs.runs.evaluation import evaluating
from deepobs_testing.numbers import close, listed, same_numbers
from deepobs_testing.problems.losses import evaluated, losses_of, need_losses
from deepobs_testing.problems.training import trajectory
from deepobs_testing.verdicts import require, skip

if TYPE_CHECKING:
    from deepobs_testing.problems.subject import Subject


def evaluation_does_not_depend_on_the_batch_split(subject: Subject) -> None:
    """In evaluation mode, the losses of a batch are those of its halves."""
    whole = evaluated(subject)["none"].losses
    problem = subject.at_start()
    problem.model.eval()
    if not torch.equal(whole, losses_of(problem, subject.first_batch(problem), seed=1)):
        skip("Its evaluation draws random numbers, which differ from split to split")
    middle = len(whole) // 2
    halves = []
    for part in (slice(None, middle), slice(middle, None)):
        batch = subject.first_batch(problem)  # a new pass: what it remembers starts afresh
        halves.append(losses_of(problem, tuple(tensor[part] for tensor in batch)))
    joined = torch.cat(halves)
    require(
        close(joined, whole),
        f"In evaluation mode, a batch has the losses {listed(whole)}, but its halves, evaluated "
        f"alone, have {listed(joined)}.",
        "The loss of an example must not depend on the others of its batch: use running "
        "statistics in evaluation mode, and average within each example only.",
    )


def evaluating_within_an_epoch_disturbs_nothing(subject: Subject) -> None:
    """Training goes on after an evaluation as if there had been none."""
    need_losses(subject)
    undisturbed = subject.trajectory
    problem = subject.at_start()

    def evaluate() -> None:
        with evaluating(problem):
            for loader in (problem.dataset.train_eval_loader, problem.dataset.test_loader):
                for batch in itertools.islice(iter(loader), 1):
                    problem.get_batch_loss_and_accuracy(batch, reduction="mean")

    disturbed = trajectory(problem, steps=2, after_first=evaluate)
    undisturbed = undisturbed[: len(disturbed)]
    require(
        same_numbers(disturbed, undisturbed),
        f"Steps of SGD have the losses {undisturbed}, but {disturbed} where an evaluation comes "
        "after the first.",
        "Keep what is carried from batch to batch for training and evaluation apart, and let "
        "loaders draw only from a generator of their own.",
    )


def a_new_pass_starts_afresh(subject: Subject) -> None:
    """With the same weights, the first batch of a pass has the same losses whatever was before."""
    need_losses(subject)
    problem = subject.at_start()
    problem.model.eval()
    first = None
    for batch in itertools.islice(iter(problem.dataset.train_eval_loader), 2):
        losses = losses_of(problem, batch)
        first = losses if first is None else first
    again = losses_of(problem, subject.first_batch(problem))
    require(
        first is not None and torch.equal(first, again),
        f"The first batch of a pass has the losses {listed(first if first is not None else again)}"
        f", but {listed(again)} in a second pass with the same weights.",
        "Reset what is carried from batch to batch when a new pass over a loader begins.",
    )
