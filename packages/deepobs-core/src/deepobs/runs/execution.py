"""Executing one run: the loop over its epochs, and its result."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from deepobs import html_views, rng
from deepobs.errors import ArgumentError
from deepobs.metrics import series_name
from deepobs.plugins import registry
from deepobs.plugins.hookspecs import OBSERVER_HOOKS
from deepobs.records import DataSetRecord, RunRecord
from deepobs.run_specifications import EVERY_EPOCH, STEP_OPTIONS
from deepobs.runs import environment, store
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.interrupts import Interrupts, noticed_interrupts
from deepobs.runs.optimizers import defaults_of
from deepobs.runs.own_code import releases_of_run
from deepobs.runs.ranks import (
    Ranks,
    SameWeights,
    is_of_lost_process,
    lost_processes_reported,
    on_main,
    ranks_of,
)
from deepobs.runs.run_state import ResumptionError, RunState
from deepobs.runs.specification import reproduction_command
from deepobs.runs.untrained import copied_parameters, warn_of_untrained

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from deepobs.plugins.catalog import Offer
    from deepobs.run_specifications import RunSpecification
    from deepobs.runs.checkpoints import Checkpointer, CheckpointPlan
    from deepobs.runs.plugin_observers import PluginObservers


class RunObserver:
    """Receives the events of a run; override those of interest."""

    def run_started(
        self, specification: RunSpecification, steps_per_epoch: int, resumed_at: int
    ) -> None:
        """Everything was checked and set up; no step was taken yet.

        Args:
            specification: The run.
            steps_per_epoch: Steps of an epoch.
            resumed_at: Steps of the checkpoint from which the run continues; 0 where it begins.
                Its earlier epochs and evaluations are repeated to the observer, its steps are not.
        """

    def epoch_started(self, epoch: int, learning_rate: float | None) -> None:
        """An epoch of training begins.

        Args:
            epoch: Epochs trained so far.
            learning_rate: The learning rate of its first step; `None` where the optimizer has none.
        """

    def steps_taken(self, steps: int, metrics: Mapping[str, float]) -> None:
        """Steps were taken, 100 of them or those to the end of an epoch.

        Args:
            steps: Steps since the beginning of the run.
            metrics: `minibatch_train_loss`, the objective of the latest step, which may be infinite
                or NaN; `learning_rate`, that of the next step, if the optimizer has one; and
                `gradient_norm`, the latest that was recorded, if norms are.
        """

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """The model was evaluated, before the first epoch (0) or after an epoch.

        Where `evaluate_every` says so, only after some of them.

        Args:
            epoch: Epochs trained so far.
            metrics: `train_loss`, `test_loss` and the others that the problem has, by name.
        """

    def evaluated_within_epoch(self, steps: int, metrics: Mapping[str, float]) -> None:
        """The model was evaluated within an epoch, as `evaluate_every` says.

        Args:
            steps: Steps since the beginning of the run.
            metrics: Those of `epoch_ended`.
        """

    def run_ended(self, record: RunRecord) -> None:
        """The run completed or diverged."""

    def run_failed(self, error: BaseException) -> None:
        """The run was ended by an exception or an interruption, and has no result.

        Args:
            error: What ended it; it is raised again.
        """


@dataclass(frozen=True)
class RunResult:
    """The result of `run`.

    Attributes:
        record: The record of the run.
        path: Its result file; `None` where none was asked for.
        is_new: Whether the run was executed now; `False` where its result already existed.
    """

    record: RunRecord
    path: Path | None
    is_new: bool = True

    def _repr_html_(self) -> str:
        state = "executed now" if self.is_new else "already existed"
        file = html_views.facts("", {"Result": state, "File": self.path})
        return self.record._repr_html_() + file


def run(
    specification: RunSpecification,
    *,
    optimizer_class: type[torch.optim.Optimizer] | None = None,
    output_dir: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    observers: Sequence[RunObserver] = (),
    checkpoints: CheckpointPlan | None = None,
) -> RunResult:
    """Train one optimizer on one test problem, and evaluate it before and after every epoch.

    Or as often as `evaluate_every` of the specification says.

    The same specification gives the same metrics, to the bit on a CPU, whatever the process did
    before. So does a run that is interrupted and continues from a checkpoint. A loss that is not
    finite ends the run early, and it is recorded as diverged.

    Args:
        specification: The run, from `specify`.
        optimizer_class: The optimizer's class, where its import string does not lead to it.
        output_dir: The directory of results; `None` to write no file.
        overwrite: Execute the run even if its result exists. Both files are kept, and the latest
            one counts.
        observers: Receive the events of the run. When it continues from a checkpoint, they
            receive the earlier epochs, too.
        checkpoints: When to save the state of the run, and whether to continue from one; `None`
            for never. The file is beside the result, and removed once that is written.

    Raises:
        OutputError: The result cannot be written; noticed before training, where possible.
        DataError: The data are missing or broken.
        ArgumentError: A value does not fit the data set or the model.
    """
    directory = None if output_dir is None else Path(output_dir)
    ranks = ranks_of(specification)
    checkpointer = None
    if checkpoints is not None:
        checkpointer = _checkpointer(checkpoints, directory, specification, optimizer_class, ranks)
    with lost_processes_reported(ranks):
        if directory is not None:
            found = on_main(ranks, lambda: _existing(directory, specification, overwrite=overwrite))
            if found is not None:
                path, record = found
                return RunResult(record, path, is_new=False)
        told: list[Any] = with_plugins(observers) if ranks is None or ranks.is_main else []
        begin = functools.partial(_begin, specification, optimizer_class, ranks)
        with (
            environment.reproducible(specification),
            checkpointer or contextlib.nullcontext(),
            noticed_interrupts() as interrupts,
        ):
            record = _executed(begin, told, checkpointer, interrupts)
        written = None
        if directory is not None:
            text = record.to_json()
            written = on_main(ranks, lambda: store.write(directory, specification, text))
        if checkpointer is not None:
            checkpointer.remove()
        return RunResult(record, written)


def _executed(
    begin: functools.partial[RunState],
    observers: list[Any],
    checkpointer: Checkpointer | None,
    interrupts: Interrupts,
) -> RunRecord:
    """Train and evaluate from the beginning, or from where a checkpoint left off, to the end."""
    specification, optimizer_class, ranks = begin.args
    state = _begin_or_resume(begin, checkpointer)
    if ranks is not None:
        observers.append(SameWeights(state.problem.model, ranks))
    try:
        try:
            return execute(state, observers, checkpointer, interrupts)
        except ResumptionError as error:
            # What was restored does not work, which must not cost more than the interruption.
            if checkpointer is not None:
                checkpointer.reject(error)
            state = _begin_anew(begin)
            return execute(state, observers, checkpointer, interrupts)
    except BaseException as error:
        tell(observers, "run_failed", error)
        if not isinstance(error, Exception):
            raise
        from deepobs.runs.step_hints import add_hint

        add_hint(error, specification, state.optimizer, optimizer_class)
        raise


def with_plugins(observers: Sequence[RunObserver]) -> list[RunObserver | PluginObservers]:
    """Observers, and those of plugins."""
    told: list[RunObserver | PluginObservers] = [*observers]
    hooks = registry().manager.hook
    if any(getattr(hooks, name).get_hookimpls() for name in OBSERVER_HOOKS):
        from deepobs.runs.plugin_observers import PluginObservers

        told.append(PluginObservers())
    return told


def _existing(
    directory: Path, specification: RunSpecification, *, overwrite: bool
) -> tuple[Path, RunRecord] | None:
    """Look for the result of a run, in a directory into which one can be written."""
    store.prepare(directory)
    return None if overwrite else store.find(directory, specification)


def execute(
    state: RunState,
    observers: Sequence[RunObserver | PluginObservers] = (),
    checkpointer: Checkpointer | None = None,
    interrupts: Interrupts | None = None,
) -> RunRecord:
    """Train and evaluate to the end of a run.

    Args:
        state: The run, at its beginning or where a checkpoint left off.
        observers: Receive the events of the run.
        checkpointer: Writes checkpoints; `None` for none.
        interrupts: Those that came since the run began; `None` for none.
    """
    history, steps_per_epoch = state.history, len(state.problem.dataset.train_loader)
    num_epochs = state.specification.epochs_begun(steps_per_epoch)
    tell(observers, "run_started", state.specification, steps_per_epoch, state.trainer.steps)
    if history.evaluations:
        _repeat_events(observers, state, steps_per_epoch)
    else:
        tell(observers, "epoch_ended", 0, state.evaluate())
        if state.specification.step_options:
            from deepobs.runs.model_options import check_use

            check_use(state.problem, state.specification)
    interrupts = interrupts or Interrupts()
    initial = None if state.trainer.steps else copied_parameters(state.problem.model)
    while history.epochs < num_epochs and history.diverged_at_epoch is None:
        interrupts.raise_again()
        if state.training_pass is None:
            tell(observers, "epoch_started", history.epochs, state.start_epoch())
        for objective in state.train_epoch(is_resumable=checkpointer is not None):
            interrupts.raise_again()
            if checkpointer is not None:
                checkpointer.after_steps(state)
            # What observers do with the steps is no part of training, whose time is measured.
            if observers:
                with state.paused():
                    metrics = state.metrics_of_step(objective)
                    tell(observers, "steps_taken", state.trainer.steps, metrics)
        if history.diverged_at_epoch is None and state.training_pass is not None:
            # No checkpoint: an optimizer with modes holds other weights now than in training.
            tell(observers, "evaluated_within_epoch", state.trainer.steps, state.evaluate())
        elif history.diverged_at_epoch is None:
            if initial is not None:
                warn_of_untrained(state, initial)
                initial = None
            is_due = state.evaluation_interval is None or state.is_evaluation_due(num_epochs)
            metrics = state.evaluate() if is_due else state.skip_evaluation()
            # Before observers are called: one that ends the run then leaves a checkpoint behind.
            if checkpointer is not None:
                checkpointer.after_epoch(state)
            if is_due:
                tell(observers, "epoch_ended", history.epochs, metrics)
    record = record_of(state)
    tell(observers, "run_ended", record)
    return record


def _repeat_events(
    observers: Sequence[RunObserver | PluginObservers], state: RunState, steps_per_epoch: int
) -> None:
    """Tell observers of a run that is resumed what happened before."""
    history, num_steps = state.history, state.specification.steps_in_all(steps_per_epoch)
    begun = 0
    planned = state.specification.evaluation_steps(steps_per_epoch)
    for steps, metrics in zip(planned, history.evaluations, strict=False):
        for epoch, rate in enumerate(history.learning_rates[begun:], start=begun):
            if epoch * steps_per_epoch < steps:
                tell(observers, "epoch_started", epoch, rate)
                begun = epoch + 1
        if steps % steps_per_epoch and steps < num_steps:
            tell(observers, "evaluated_within_epoch", steps, dict(metrics))
        else:
            tell(observers, "epoch_ended", -(-steps // steps_per_epoch), dict(metrics))
    for epoch, rate in enumerate(history.learning_rates[begun:], start=begun):
        tell(observers, "epoch_started", epoch, rate)


def tell(observers: Sequence[RunObserver | PluginObservers], event: str, *arguments: Any) -> None:
    """Call a method of each observer that has it, without any effect on the numbers of the run."""
    if not observers:
        return
    # A run gives the same numbers whether it is observed or not.
    with rng.preserved():
        for observer in observers:
            method = getattr(observer, event, None)
            if method is not None:
                method(*arguments)


def _checkpointer(
    plan: CheckpointPlan,
    directory: Path | None,
    specification: RunSpecification,
    optimizer_class: type[torch.optim.Optimizer] | None,
    ranks: Ranks | None,
) -> Checkpointer:
    if directory is None:
        raise ArgumentError(
            "Checkpoints are written beside the result: give an output_dir, or no checkpoints."
        )
    from deepobs.runs.checkpoints import Checkpointer

    begin = functools.partial(_begin, specification, optimizer_class, None)
    return Checkpointer(plan, directory, specification, begin, ranks)


def _begin(
    specification: RunSpecification,
    optimizer_class: type[torch.optim.Optimizer] | None,
    ranks: Ranks | None,
) -> RunState:
    if ranks is None:
        problem = set_up_problem(specification)
    else:
        from deepobs.runs.shared_problem import set_up_shared_problem

        problem = set_up_shared_problem(specification, ranks)
    return RunState(
        specification, problem, build_optimizer(specification, problem, optimizer_class)
    )


def _begin_anew(begin: functools.partial[RunState]) -> RunState:
    rng.seed(begin.args[0].random_seed)  # initial weights have to be drawn again
    return begin()


def _begin_or_resume(
    begin: functools.partial[RunState], checkpointer: Checkpointer | None
) -> RunState:
    state = begin()
    saved = None if checkpointer is None else checkpointer.load()
    if checkpointer is None or saved is None:
        return state
    try:
        state.load_state_dict(saved)
    except Exception as error:  # it was written by other code of problem or optimizer
        if is_of_lost_process(error):
            raise
        checkpointer.reject(error)
        return _begin_anew(begin)  # a part of it may have been loaded
    return state


def record_of(state: RunState) -> RunRecord:
    """The record of a run that has ended."""
    specification, history, trainer = state.specification, state.history, state.trainer
    dataset, recalibration = state.problem.dataset, state.recalibration_batches
    steps_per_epoch = len(dataset.train_loader)
    num_epochs = specification.epochs_begun(steps_per_epoch)
    planned = None
    if specification.max_steps is not None or specification.evaluate_every != EVERY_EPOCH:
        planned = specification.evaluation_steps(steps_per_epoch)
    curves: dict[str, Any] = {}
    for metrics in history.evaluations:
        for name, value in metrics.items():
            curves.setdefault(series_name(name), []).append(value)
    if history.diverged_at_epoch is not None:
        # As the original does, so that a diverged run is never better than an untrained model.
        for values in curves.values():
            count = num_epochs + 1 if planned is None else len(planned)
            values += values[:1] * (count - len(values))
    curves["minibatch_train_losses"] = history.minibatch_train_losses
    curves["gradient_norms"] = history.gradient_norms or None
    return RunRecord(
        run_id=specification.run_id,
        status="completed" if history.diverged_at_epoch is None else "diverged",
        testproblem=specification.testproblem,
        optimizer_name=specification.optimizer,
        optimizer_target=specification.optimizer_target,
        label=specification.label,
        optimizer_source=specification.optimizer_source,
        code=specification.code,
        optimizer_hyperparams=specification.hyperparameters,
        optimizer_defaults={
            name: value
            for name, value in defaults_of(type(state.optimizer)).items()
            if name not in specification.hyperparameters
        },
        optimizer_needs=specification.optimizer_needs,
        parameter_groups=specification.parameter_groups,
        batch_size=specification.batch_size,
        num_epochs=num_epochs,
        random_seed=specification.random_seed,
        weight_decay=getattr(state.problem, "weight_decay", specification.weight_decay),
        training_params={
            **specification.model_dump(mode="json", include=_TRAINING_PARAMS),
            **specification.model_dump(mode="json", include=_LATER_PARAMS, exclude_defaults=True),
            # Not what the specification says: most models have nothing to recalibrate.
            **({"bn_recalibration": recalibration} if recalibration else {}),
        },
        **curves,
        evaluated_at_steps=planned,
        diverged_at_epoch=history.diverged_at_epoch,
        diverged_at_step=history.diverged_at_step,
        iterates=history.iterates or None,
        train_seconds=history.train_seconds,
        eval_seconds=history.eval_seconds,
        compile_seconds=history.compile_seconds or None,
        steps=trainer.steps,
        steps_per_epoch=steps_per_epoch,
        gradient_evaluations=trainer.gradient_evaluations,
        skipped_steps=trainer.skipped_steps,
        resumed_at_steps=state.resumed_at_steps or None,
        packed=state.packed,
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
        started_at=state.started_at,
    )


_TRAINING_PARAMS = {
    "lr_sched_epochs",
    "lr_sched_factors",
    "lr_scheduler",
    "validation_size",
    "reshuffle",
    "train_log_interval",
}


# Absent at their defaults, as in files of releases that did not have them.
_LATER_PARAMS = {"max_steps", "train_fraction", "evaluate_every", *STEP_OPTIONS}


def _distributions(specification: RunSpecification, dataset: str) -> dict[str, str]:
    """The versions of the distributions that bring the problem, the data set and other classes."""
    offered, name = registry(), specification.optimizer
    problem = offered.problems.find(specification.testproblem)
    offers: list[Offer[Any]] = [] if problem is None else [problem]
    offers += [offer for offer in offered.datasets.offers() if offer.spec.name == dataset]
    offers += [offer for offer in offered.optimizers.offers() if offer.spec.name == name]
    # Without a distribution: what was registered in this process.
    named = {offer.distribution: offer.version for offer in offers if offer.distribution}
    return {**releases_of_run(specification), **named}
