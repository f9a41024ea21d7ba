"""Fingerprints of the parts of a run besides its optimizer that no release vouches for."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from deepobs.errors import DeepOBSError
from deepobs.fingerprints import fingerprint, is_released
from deepobs.plugins import registry
from deepobs.plugins.catalog import import_target
from deepobs.plugins.installed import OUR_DISTRIBUTIONS, normalized
from deepobs.runs.optimizers import BASE, OPTIMIZER, constructor_of, find_optimizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deepobs.plugins import ProblemSpec
    from deepobs.records import LrScheduler
    from deepobs.runs.optimizers import Groups, OptimizerChoice

_OBSERVING = ("deepobs_run_started", "deepobs_epoch_ended", "deepobs_run_ended")


def own_code(
    testproblem: str,
    problem: ProblemSpec,
    optimizer: OptimizerChoice,
    hyperparameters: Mapping[str, Any],
    groups: Groups,
    scheduler: LrScheduler | None,
) -> dict[str, str]:
    """Fingerprint what a run executes besides its optimizer.

    Args:
        testproblem: Name of the problem.
        problem: Its description.
        optimizer: The optimizer.
        hyperparameters: Its hyperparameters, which may name an optimizer that it wraps.
        groups: Hyperparameters by parameter role, which may name other optimizers.
        scheduler: The learning-rate scheduler.

    Returns:
        The fingerprints by part of the run, without those of released code. What cannot be loaded
        has none: the run raises the reason.
    """
    known = registry()
    found: dict[str, str] = {}
    for part, offer in (
        ("problem", known.problems.find(testproblem)),
        ("dataset", known.datasets.find(problem.dataset)),
    ):
        # Ours are not loaded for this, which would import what planning does not need.
        if offer is not None and normalized(offer.distribution) not in OUR_DISTRIBUTIONS:
            with contextlib.suppress(DeepOBSError):
                found[part] = fingerprint(import_target(offer.spec.target, str(offer)))
    found["optimizers"] = fingerprint(*_further_optimizers(optimizer, hyperparameters, groups))
    if scheduler is not None:
        from deepobs.runs.schedules import scheduler_classes

        found["lr_scheduler"] = fingerprint(*scheduler_classes(scheduler))
    for hook in _OBSERVING:
        for implementation in getattr(known.manager.hook, hook).get_hookimpls():
            # A release of an observer does not change numbers; one under development may.
            if not is_released(implementation.function):
                found[implementation.plugin_name] = fingerprint(implementation.function)
    return {part: code for part, code in found.items() if code}


def _further_optimizers(
    optimizer: OptimizerChoice, hyperparameters: Mapping[str, Any], groups: Groups
) -> Iterator[type]:
    names = [values.get(OPTIMIZER) for values in groups.values()]
    wrapped, _ = constructor_of(optimizer.optimizer_class)
    names += [hyperparameters.get(argument) for argument in (wrapped, BASE) if argument]
    for name in names:
        if isinstance(name, str):
            yield find_optimizer(name).optimizer_class
