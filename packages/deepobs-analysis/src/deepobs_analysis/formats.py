"""One result file: what it says, whichever DeepOBS wrote it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from deepobs_analysis import values
from deepobs_analysis.divergence import Divergence, filled_from, settled
from deepobs_analysis.names import name_today
from deepobs_analysis.results import CURVES
from deepobs_analysis.run import Run
from deepobs_analysis.schedules import KEYS as SCHEDULE_KEYS
from deepobs_analysis.schedules import schedule_of
from deepobs_analysis.values import NoResultError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deepobs_analysis.values import Floats

Format: TypeAlias = Literal["1.1", "1.2", "own"]

NEWEST_SCHEMA = 1
"""The newest layout of our own files that is understood."""

_REQUIRED = {
    "1.1": ("optimizer", "hyperparams"),
    "1.2": ("optimizer_name", "optimizer_hyperparams"),
    "own": ("optimizer_name", "optimizer_hyperparams", "status"),
}
_ALWAYS_REQUIRED = (
    "testproblem",
    "batch_size",
    "num_epochs",
    "random_seed",
    "train_losses",
    "test_losses",
)
_WITHOUT_INFLUENCE = {"train_log_interval", "print_train_iter", "tb_log", "tb_log_dir"}


def run_from(data: object) -> Run:
    """Understand the content of a result file.

    Args:
        data: What its JSON holds.

    Raises:
        NoResultError: It is not the result of a run, or of one on synthetic data.
    """
    if not isinstance(data, dict):
        raise NoResultError("it is no result: it holds no dictionary")
    layout = _format_of(data)
    _check(data, layout)
    num_epochs = values.integer(data, "num_epochs")
    batch_size = values.integer(data, "batch_size", least=1)
    weight_decay = values.number(data, "weight_decay")
    curves = [_curve(data, name, num_epochs) for name in CURVES]
    divergence = settled(curves, _told(data, layout, curves))
    params = _training_params(data, layout)
    schedule = schedule_of(params)
    rest = {
        "format": layout,
        "batch_size": batch_size,
        "num_epochs": num_epochs,
        "weight_decay": data.get("weight_decay"),
        "schedule": schedule.words,
        **_further(data, layout, params),
    }
    identity = {"hyperparameters": _hyperparameters(data, layout), "rest": rest}
    return Run(
        format=layout,
        problem=values.text(data, "testproblem"),
        optimizer=_optimizer(data, layout),
        target=values.text(data, "optimizer_target", ""),
        schedule_name=schedule.name,
        schedule=schedule.words,
        identity=json.dumps(identity),
        seed=values.integer(data, "random_seed"),
        batch_size=batch_size,
        num_epochs=num_epochs,
        weight_decay=weight_decay,
        has_diverged=divergence.has_diverged,
        diverged_at_epoch=divergence.epoch,
        **_circumstances(data),
        curves=(*divergence.curves, values.numbers(data, "train_seconds")),
    )


def _circumstances(data: Mapping[str, Any]) -> dict[str, Any]:
    """What only files of ours know, and no number depends on."""
    return {
        "run_id": values.text(data, "run_id", ""),
        "steps": values.optional_integer(data, "steps"),
        "gradient_evaluations": values.optional_integer(data, "gradient_evaluations"),
        "device": values.text(data, "device", ""),
        "hardware": json.dumps(values.mapping(data, "hardware")),
        "versions": json.dumps(values.mapping(data, "versions")),
        "command": values.text(data, "command", ""),
        "started_at": values.text(data, "started_at", ""),
    }


def _format_of(data: Mapping[str, Any]) -> Format:
    if "schema_version" in data:
        return "own"
    if "optimizer_name" in data or "optimizer_hyperparams" in data:
        return "1.2"
    if "optimizer" in data or "hyperparams" in data or "testproblem" in data:
        return "1.1"
    raise NoResultError("it is no result: it has none of the keys of one")


def _check(data: Mapping[str, Any], layout: Format) -> None:
    """Refuse what need not be looked at further."""
    if layout == "own":
        version = values.integer(data, "schema_version")
        if version > NEWEST_SCHEMA:
            raise NoResultError(f"a newer DeepOBS wrote it (schema_version {version})")
        if data.get("fake_data"):
            raise NoResultError("it was run on synthetic data (fake_data)")
    missing = [key for key in (*_REQUIRED[layout], *_ALWAYS_REQUIRED) if key not in data]
    if missing:
        raise NoResultError(f"it lacks {', '.join(missing)}")


def _curve(data: Mapping[str, Any], name: str, num_epochs: int) -> Floats | None:
    curve = values.numbers(data, name)
    if name not in _ALWAYS_REQUIRED and (curve is None or not len(curve)):
        return None
    curve = np.empty(0) if curve is None else curve
    if len(curve) != num_epochs + 1:
        raise NoResultError(
            f"it is unfinished: {name} has {len(curve)} entries instead of {num_epochs + 1}"
        )
    return curve


def _told(
    data: Mapping[str, Any], layout: Format, curves: Sequence[Floats | None]
) -> Divergence | None:
    """What the file says itself of whether the run diverged; `None` where it says nothing."""
    if layout == "1.1":
        return None
    if layout == "1.2":
        epoch = filled_from(curves, values.numbers(data, "minibatch_train_losses"))
        return Divergence(has_diverged=epoch is not None, epoch=epoch)
    status = values.text(data, "status")
    if status not in ("completed", "diverged"):
        raise NoResultError(f"status is neither completed nor diverged: {status!r}")
    epoch = values.optional_integer(data, "diverged_at_epoch")
    return Divergence(has_diverged=status == "diverged", epoch=epoch)


def _optimizer(data: Mapping[str, Any], layout: Format) -> str:
    name = values.text(data, "optimizer" if layout == "1.1" else "optimizer_name")
    return name if layout == "own" else name_today(name)


def _hyperparameters(data: Mapping[str, Any], layout: Format) -> dict[str, Any]:
    if layout != "1.1":
        return _with_lr(values.mapping(data, "optimizer_hyperparams"))
    values.number(data, "learning_rate")
    rate = {} if data.get("learning_rate") is None else {"lr": data["learning_rate"]}
    return {**rate, **_with_lr(values.mapping(data, "hyperparams"))}


def _with_lr(hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """The learning rate is first, under torch's name."""
    names = {} if "lr" in hyperparameters else {"learning_rate": "lr"}
    named = {names.get(name, name): value for name, value in hyperparameters.items()}
    return {"lr": named.pop("lr"), **named} if "lr" in named else named


def _training_params(data: Mapping[str, Any], layout: Format) -> dict[str, Any]:
    if layout != "1.1":
        of_early_versions = values.mapping(data, "analyzable_training_params")
        return of_early_versions | values.mapping(data, "training_params")
    params = {key: data.get(key) for key in SCHEDULE_KEYS}
    values.check_plain("the schedule", params)
    return params


def _further(data: Mapping[str, Any], layout: Format, params: dict[str, Any]) -> dict[str, Any]:
    """What else a run's numbers depend on. What was not used is left out, as if it were not known.

    The schedule is there already, in words.
    """
    needs = data.get("optimizer_needs") or None
    values.check_plain("optimizer_needs", needs)
    own = {
        "needs": needs,
        "groups": values.mapping(data, "parameter_groups") or None,
        "class": values.text(data, "optimizer_target", "") or None,
        "source": values.text(data, "optimizer_source", "") or None,
        "full_evaluation": bool(data.get("full_evaluation")) or None,
        "bare_losses": bool(data.get("bare_losses")) or None,
        "dtype": values.text(data, "dtype", ""),
    }
    ignored = _WITHOUT_INFLUENCE.union(SCHEDULE_KEYS)
    used = {name: value for name, value in params.items() if name not in ignored}
    if layout == "own":
        used |= own
    return {name: value for name, value in used.items() if value is not None}
