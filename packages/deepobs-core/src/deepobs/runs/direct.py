"""One run in one call, for notebooks and scripts: `deepobs.run`."""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError, closest, sentences
from deepobs.run_specifications import RunSpecification
from deepobs.runs import execution
from deepobs.runs.notebook_progress import is_notebook
from deepobs.runs.progress import live_progress
from deepobs.runs.specification import specify

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import torch

    from deepobs.runs.checkpoints import CheckpointPlan
    from deepobs.runs.execution import RunObserver, RunResult


def run(
    problem: str | RunSpecification,
    optimizer: str | type[torch.optim.Optimizer] | None = None,
    hyperparameters: Mapping[str, object] | None = None,
    *,
    output_dir: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    observers: Sequence[RunObserver] = (),
    checkpoints: CheckpointPlan | None = None,
    track: str | Sequence[str] = (),
    **options: Any,
) -> RunResult:
    """Train one optimizer on one test problem; `deepobs.runs.run` of `deepobs.specify`.

        deepobs.run("quadratic_deep", "SGD", {"lr": 0.01}, num_epochs=10, output_dir="results")

    A notebook shows the progress.

    Args:
        problem: Name of a test problem; or a specification, with none of the other arguments
            of `specify`.
        optimizer: Name of an optimizer, `package.module:Class` or a class.
        hyperparameters: Arguments of the optimizer by name.
        output_dir: The directory of results; `None` to write no file.
        overwrite: Execute the run even if its result exists.
        observers: Receive the events of the run.
        checkpoints: When to save the state of the run, and whether to continue from one.
        track: Trackers that log the run, such as "mlflow" or ["wandb", "tensorboard=logs"].
        **options: Further arguments of `specify`, such as `num_epochs` and `random_seed`.

    Raises:
        ArgumentError: A specification was given with arguments of `specify`, or an argument is
            unknown.
        DeepOBSError: As `specify` and `deepobs.runs.run` do.
    """
    specification = _specification(problem, optimizer, hyperparameters, options)
    bars: list[RunObserver] = []
    trackers: list[RunObserver] = []
    if track:
        from deepobs.runs.trackers import open_trackers

        trackers = open_trackers(track)
    with contextlib.ExitStack() as stack:
        if is_notebook():
            bars = stack.enter_context(live_progress())
        return execution.run(
            specification,
            optimizer_class=optimizer if isinstance(optimizer, type) else None,
            output_dir=output_dir,
            overwrite=overwrite,
            observers=[*observers, *trackers, *bars],
            checkpoints=checkpoints,
        )


def _specification(
    problem: str | RunSpecification,
    optimizer: str | type[torch.optim.Optimizer] | None,
    hyperparameters: Mapping[str, object] | None,
    options: Mapping[str, Any],
) -> RunSpecification:
    if isinstance(problem, RunSpecification):
        given = {"optimizer": optimizer, "hyperparameters": hyperparameters, **options}
        surplus = [name for name, value in given.items() if value is not None]
        if surplus:
            raise ArgumentError(
                f"A specification says all of a run; got {', '.join(surplus)} besides. Give them "
                "to deepobs.specify()."
            )
        return problem
    if optimizer is None:
        raise ArgumentError(
            'A run needs an optimizer: deepobs.run("quadratic_deep", "SGD", {"lr": 0.01}).'
        )
    known = list(inspect.signature(specify).parameters)
    for name, value in options.items():
        if name not in known:
            message = f"deepobs.run() has no argument {name!r}."
            hint = closest(name, known) or (
                f"Hyperparameters of the optimizer are a dictionary: {{{name!r}: {value!r}}}."
            )
            raise ArgumentError(sentences(message, hint))
    return specify(problem, optimizer, hyperparameters, **options)
