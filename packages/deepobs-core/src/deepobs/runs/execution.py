"""Carrying out one run."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from deepobs.plugins import registry
from deepobs.runs import environment, store
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.evaluation import evaluate
from deepobs.runs.history import History
from deepobs.runs.observers import Observers, PluginObservers, RunObserver
from deepobs.runs.record import DataSetRecord, RunRecord
from deepobs.runs.schedules import build_schedule
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from deepobs.protocols import TestProblem
    from deepobs.runs.specification import RunSpecification


def run(
    specification: RunSpecification,
    *,
    optimizer_class: type[torch.optim.Optimizer] | None = None,
    output_dir: str | os.PathLike[str] | None = None,
    rerun: bool = False,
    observers: Sequence[RunObserver] = (),
) -> RunRecord:
    """Train one optimizer on one test problem, and measure it before and after every epoch.

    The same specification gives the same metrics, to the bit on a CPU, whatever the process did
    before. Non-finite losses end the run early, which is recorded as diverged.

    Args:
        specification: The run, from `specify`.
        optimizer_class: The optimizer's class, where its import string does not lead to it.
        output_dir: Where to keep the result file; `None` for nowhere.
        rerun: Do it again even where its result is there.
        observers: Whom to tell what happens.

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
    with environment.reproducible(specification):
        record = _carry_out(
            specification, optimizer_class, Observers([*observers, PluginObservers()])
        )
    if directory is not None:
        store.write(directory, specification, record)
    return record


def _carry_out(
    specification: RunSpecification,
    optimizer_class: type[torch.optim.Optimizer] | None,
    observer: RunObserver,
) -> RunRecord:
    started_at = datetime.now().astimezone().isoformat(timespec="seconds")
    problem = set_up_problem(specification)
    optimizer = build_optimizer(specification, problem, optimizer_class)
    schedule = build_schedule(specification, optimizer, len(problem.dataset.train_loader))
    trainer = Trainer(
        problem, optimizer, needs=specification.optimizer_needs, after_step=schedule.after_step
    )
    history = History(specification.train_log_interval)
    observer.run_started(specification, len(problem.dataset.train_loader))
    for epoch in range(specification.num_epochs + 1):
        if epoch > 0:
            schedule.start_epoch(epoch - 1)
            start = time.perf_counter()
            objectives = trainer.train_epoch(observer.steps_taken)
            history.add_training(objectives, seconds=time.perf_counter() - start)
        if not history.has_diverged:
            start = time.perf_counter()
            metrics = evaluate(problem, bare_losses=specification.bare_losses)
            history.add_evaluation(metrics, seconds=time.perf_counter() - start)
            observer.epoch_ended(epoch, metrics)
            if epoch > 0:
                schedule.epoch_ended(metrics)
        if history.has_diverged:
            history.fill(specification.num_epochs + 1)
            break
    record = _record(specification, problem, trainer, history, started_at)
    observer.run_ended(record)
    return record


def _record(
    specification: RunSpecification,
    problem: TestProblem,
    trainer: Trainer,
    history: History,
    started_at: str,
) -> RunRecord:
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
        command=specification.command,
        started_at=started_at,
        **history.for_record(),
    )


def _distributions(specification: RunSpecification, dataset: str) -> set[str]:
    """The distributions that bring the problem, the data set and the optimizer."""
    offered = registry()
    found = {offered.problems.offer(specification.testproblem).distribution}
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
