"""Carrying out one run."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from deepobs import rng
from deepobs.errors import ArgumentError
from deepobs.plugins import registry
from deepobs.records import DataSetRecord, RunRecord
from deepobs.runs import environment, store
from deepobs.runs.checkpoints import Checkpoints
from deepobs.runs.course import begin
from deepobs.runs.observers import Observers, PluginObservers, RunObserver
from deepobs.runs.specification import reproduction_command

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from deepobs.records import RunSpecification
    from deepobs.runs.checkpoints import CheckpointPlan
    from deepobs.runs.course import Course


def run(
    specification: RunSpecification,
    *,
    optimizer_class: type[torch.optim.Optimizer] | None = None,
    output_dir: str | os.PathLike[str] | None = None,
    rerun: bool = False,
    observers: Sequence[RunObserver] = (),
    checkpoints: CheckpointPlan | None = None,
) -> RunRecord:
    """Train one optimizer on one test problem, and measure it before and after every epoch.

    The same specification gives the same metrics, to the bit on a CPU, whatever the process did
    before. So does a run that is interrupted and goes on from a checkpoint. Non-finite losses end
    the run early, which is recorded as diverged.

    Args:
        specification: The run, from `specify`.
        optimizer_class: The optimizer's class, where its import string does not lead to it.
        output_dir: Where to keep the result file; `None` for nowhere.
        rerun: Do it again even where its result is there.
        observers: Whom to tell what happens. Of a run that goes on from a checkpoint, they are told
            the epochs before it, too.
        checkpoints: When to keep what the run needs to go on after an interruption, and whether to
            go on; `None` for never. The file lies where the result will, and makes way for it.

    Returns:
        The record; that of the file, where the run was there already.

    Raises:
        OutputError: The result could not be written; noticed before training, where possible.
        DataError: The data are missing or broken.
        ArgumentError: A value does not fit the data set or the model.
    """
    directory = None if output_dir is None else Path(output_dir)
    if directory is not None:
        store.prepare(directory)
        found = None if rerun else store.find(directory, specification)
        if found is not None:
            return found[1]
    keeper = _keeper(checkpoints, directory, specification)
    observer = Observers([*observers, PluginObservers()])
    with environment.reproducible(specification), keeper or contextlib.nullcontext():
        record = carry_out(_begun(specification, optimizer_class, keeper), observer, keeper)
    if directory is not None:
        store.write(directory, specification, record)
    if keeper is not None:
        keeper.remove()
    return record


def _keeper(
    plan: CheckpointPlan | None, directory: Path | None, specification: RunSpecification
) -> Checkpoints | None:
    if plan is None:
        return None
    if directory is None:
        raise ArgumentError(
            "Checkpoints lie where the result will: give an output_dir, or do without checkpoints."
        )
    return Checkpoints(plan, directory, specification)


def _begun(
    specification: RunSpecification,
    optimizer_class: type[torch.optim.Optimizer] | None,
    keeper: Checkpoints | None,
) -> Course:
    """A run at its beginning, or where its checkpoint left off."""
    course = begin(specification, optimizer_class)
    state = None if keeper is None else keeper.load()
    if keeper is None or state is None:
        return course
    try:
        course.load_state_dict(state)
    except Exception as error:  # it was written by other code of problem or optimizer
        keeper.refuse(error)
        rng.seed(specification.random_seed)
        return begin(specification, optimizer_class)
    return course


def carry_out(course: Course, observer: RunObserver, keeper: Checkpoints | None) -> RunRecord:
    """Train and measure to the end of a run, in whatever environment there is.

    Args:
        course: The run, at its beginning or where a checkpoint left off.
        observer: Whom to tell what happens.
        keeper: Keeps checkpoints; `None` for none.
    """
    history, num_epochs = course.history, course.specification.num_epochs
    observer.run_started(course.specification, len(course.train_loader))
    for epoch, metrics in enumerate(history.evaluations):
        observer.epoch_ended(epoch, metrics)
    if not history.evaluations:
        observer.epoch_ended(0, course.evaluate())
    while history.epochs < num_epochs and not history.has_diverged:
        _carry_out_epoch(course, observer, keeper)
    if history.has_diverged:
        history.fill(num_epochs + 1)
    record = _record(course)
    observer.run_ended(record)
    return record


def _carry_out_epoch(course: Course, observer: RunObserver, keeper: Checkpoints | None) -> None:
    def report(steps: int, loss: float) -> None:
        if keeper is not None:
            keeper.after_steps(course)
        observer.steps_taken(steps, loss)

    course.train_epoch(report, is_resumable=keeper is not None)
    if course.history.has_diverged:
        return
    metrics = course.evaluate()
    if keeper is not None:
        keeper.after_epoch(course)
    observer.epoch_ended(course.history.epochs, metrics)


def _record(course: Course) -> RunRecord:
    specification, problem, trainer = course.specification, course.problem, course.trainer
    dataset = problem.dataset
    return RunRecord(
        run_id=specification.run_id,
        testproblem=specification.testproblem,
        optimizer_name=specification.optimizer,
        optimizer_target=specification.optimizer_target,
        optimizer_source=specification.optimizer_source,
        optimizer_hyperparams=specification.hyperparameters,
        optimizer_needs=specification.optimizer_needs,
        parameter_groups=specification.parameter_groups,
        batch_size=specification.batch_size,
        num_epochs=specification.num_epochs,
        random_seed=specification.random_seed,
        weight_decay=getattr(problem, "weight_decay", specification.weight_decay),
        training_params=_training_params(specification),
        steps=trainer.steps,
        gradient_evaluations=trainer.gradient_evaluations,
        fake_data=bool(getattr(dataset, "is_fake", False)),
        full_evaluation=specification.full_evaluation,
        bare_losses=specification.bare_losses,
        dataset=DataSetRecord(
            name=dataset.name,
            fingerprint=getattr(dataset, "fingerprint", None),
            split_sizes=getattr(dataset, "split_sizes", {}),
        ),
        dtype=specification.dtype,
        device=specification.device,
        hardware=environment.hardware(torch.device(specification.device)),
        versions=environment.versions(_distributions(specification, dataset.name)),
        command=reproduction_command(specification),
        started_at=course.started_at,
        resumed_at_steps=course.resumed_at_steps or None,
        **course.history.for_record(),
    )


def _distributions(specification: RunSpecification, dataset: str) -> set[str]:
    """The distributions that bring the problem, the data set and the optimizer."""
    offered = registry()
    problem = offered.problems.find(specification.testproblem)
    found = set() if problem is None else {problem.distribution}
    found |= {o.distribution for o in offered.datasets.offers() if o.spec.name == dataset}
    name = specification.optimizer
    return found | {o.distribution for o in offered.optimizers.offers() if o.spec.name == name}


def _training_params(specification: RunSpecification) -> dict[str, Any]:
    names = {
        "lr_sched_epochs",
        "lr_sched_factors",
        "lr_scheduler",
        "validation_size",
        "reshuffle",
        "train_log_interval",
    }
    return specification.model_dump(mode="json", include=names)
