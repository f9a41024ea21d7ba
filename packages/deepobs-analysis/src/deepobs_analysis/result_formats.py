"""The content of one result file, whichever DeepOBS wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from pydantic_core import to_json

from deepobs.metrics import METRICS, series_name
from deepobs_analysis import json_values as values
from deepobs_analysis.json_values import NoResultError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deepobs_analysis.measures.arrays import Floats

Format: TypeAlias = Literal["1.1", "1.2", "own"]

CURVES = tuple(map(series_name, METRICS))
"""All that evaluations can measure, under the names of files."""

NEWEST_SCHEMA = 1
"""The newest layout of our own files that is understood."""

_REQUIRED = {
    "1.1": ("optimizer", "hyperparams"),
    "1.2": ("optimizer_name", "optimizer_hyperparams"),
    "own": ("optimizer_name", "optimizer_hyperparams", "status"),
}
_ALWAYS_REQUIRED = (
    *("testproblem", "batch_size", "num_epochs", "random_seed", "train_losses", "test_losses"),
)
_WITHOUT_INFLUENCE = {"train_log_interval", "print_train_iter", "tb_log", "tb_log_dir"}
_SCHEDULE_KEYS = ("lr_sched_epochs", "lr_sched_factors", "lr_scheduler")
_TODAY = {"GradientDescent": "SGD"}
# All others are shared by many runs of a study.
_OF_ONE_RUN = {
    *CURVES,
    *("minibatch_train_losses", "gradient_norms", "train_seconds", "eval_seconds", "iterates"),
    *("compile_seconds", "skipped_steps", "evaluated_at_steps", "resumed_at_steps"),
    *("hyperparams", "learning_rate", "optimizer_hyperparams", "random_seed", "run_id"),
    *("status", "diverged_at_epoch", "diverged_at_step", "steps", "gradient_evaluations"),
    *("command", "started_at", "compile_seconds", "skipped_steps", "packed"),
}
MOST_TEXTS = 10_000
"""Of how many texts what they say is remembered, at most."""
_descriptions: dict[bytes, Description] = {}


class Description(NamedTuple):
    """What many runs share; see `Results` for fields of the same name.

    Attributes:
        label: What an experiment calls the optimizer; empty where it has no name of its own.
        target: The optimizer's class as `package.module:Class`, empty if unknown.
        schedule_name: Name of its schedule, empty where the learning rate is constant.
        rest: All else that its numbers depend on but problem, optimizer, hyperparameters and seed,
            as the JSON text of a dictionary.
        defaults: The other arguments of the optimizer, as JSON.
        test_examples: How many examples evaluations of the test set use; `None` if unknown.
        hardware: Its hardware, as JSON.
        versions: Versions of its software, as JSON.
    """

    format: str
    problem: str
    optimizer: str
    label: str
    target: str
    schedule_name: str
    schedule: str
    rest: str
    defaults: str
    batch_size: int
    weight_decay: float
    steps_per_epoch: int | None
    test_examples: int | None
    device: str
    hardware: str
    versions: str


class Run(NamedTuple):
    """A run as its file describes it; see `Results` for fields of the same name.

    Attributes:
        description: What it shares with others.
        hyperparameters: Those that were given, and the learning rate, as the JSON text of a
            dictionary.
        run_id: Identity of the run in files of ours, else empty.
        curves: Those of `CURVES`, the seconds of training in each epoch, the iterates, one pair of
            numbers after the other, the epochs trained at each evaluation, and norms of gradients,
            each after the number of its step; `None` for what was not measured, and for evaluations
            after every epoch.
    """

    description: Description
    hyperparameters: str
    seed: int
    num_epochs: int
    has_diverged: bool
    diverged_at_epoch: int | None
    run_id: str
    steps: int | None
    gradient_evaluations: int | None
    command: str
    started_at: str
    curves: tuple[Floats | None, ...]


class _Divergence(NamedTuple):
    """Whether a run diverged, and in which epoch if that is known."""

    has_diverged: bool
    epoch: int | None


_NOT_DIVERGED = _Divergence(has_diverged=False, epoch=None)


def run_from(data: object) -> Run:
    """Understand the content of a result file.

    Args:
        data: What its JSON holds.

    Raises:
        NoResultError: It is not the result of a run, or of one on synthetic data.
    """
    if not isinstance(data, dict):
        raise NoResultError("it is not a result: it holds no dictionary")
    layout = _format_of(data)
    _check(data, layout)
    num_epochs = values.integer(data, "num_epochs")
    evaluated_at = _evaluated_at(data, num_epochs)
    count = num_epochs + 1 if evaluated_at is None else len(evaluated_at)
    measured = [_curve(data, name, count) for name in CURVES]
    divergence, curves = _settle(measured, _recorded_divergence(data, layout, measured))
    return Run(
        _description(data, layout),
        hyperparameters_text(data, layout),
        seed=values.integer(data, "random_seed"),
        num_epochs=num_epochs,
        has_diverged=divergence.has_diverged,
        diverged_at_epoch=divergence.epoch,
        run_id=values.text(data, "run_id", ""),
        steps=values.optional_integer(data, "steps"),
        gradient_evaluations=values.optional_integer(data, "gradient_evaluations"),
        command=values.text(data, "command", ""),
        started_at=values.text(data, "started_at", ""),
        curves=(
            *curves,
            # Runs that were trained together have no times of their own.
            None if data.get("packed") else values.numbers(data, "train_seconds"),
            values.points(data, "iterates"),
            evaluated_at,
            _gradient_norms(data),
        ),
    )


def hyperparameters_text(data: Mapping[str, Any], layout: Format) -> str:
    """The field of `Run`; see there."""
    return _text(_hyperparameters(data, layout))


def _description(data: Mapping[str, Any], layout: Format) -> Description:
    """What a run shares with others; of those that do, it is found out once."""
    shared = {name: value for name, value in data.items() if name not in _OF_ONE_RUN}
    try:
        text = to_json(shared)
    except ValueError:  # nested too deeply, which `check_plain` puts in words
        return _described(data, layout)
    known = _descriptions.get(text)
    if known is None:
        known = _described(shared, layout)
        if len(_descriptions) >= MOST_TEXTS:
            _descriptions.clear()
        _descriptions[text] = known
    return known


def _described(data: Mapping[str, Any], layout: Format) -> Description:
    batch_size = values.integer(data, "batch_size", least=1)
    params = _training_params(data, layout)
    schedule_name, schedule = _schedule(params)
    rest = {
        "format": layout,
        "batch_size": batch_size,
        **({} if _ends_by_steps(data, params) else {"num_epochs": data["num_epochs"]}),
        "weight_decay": data.get("weight_decay"),
        "schedule": schedule,
        **_further(data, layout, params),
    }
    rest["format"] = layout  # whatever a parameter of that name says
    has_defaults = bool(data.get("optimizer_defaults"))
    return Description(
        format=layout,
        problem=values.text(data, "testproblem"),
        optimizer=_optimizer(data, layout),
        label=values.text(data, "label", ""),
        target=_target(data),
        schedule_name=schedule_name,
        schedule=schedule,
        rest=_text(rest),
        defaults=_text(values.mapping(data, "optimizer_defaults") if has_defaults else {}),
        batch_size=batch_size,
        weight_decay=values.number(data, "weight_decay"),
        steps_per_epoch=values.optional_integer(data, "steps_per_epoch"),
        test_examples=_test_examples(data, batch_size),
        device=values.text(data, "device", ""),
        hardware=_text(values.mapping(data, "hardware")),
        versions=_text(values.mapping(data, "versions")),
    )


def _text(value: dict[str, Any]) -> str:
    return to_json(value).decode() if value else "{}"


def _format_of(data: Mapping[str, Any]) -> Format:
    # Our files hold all keys of 1.2 as well, so they are asked for first.
    if "schema_version" in data:
        return "own"
    if "optimizer_name" in data or "optimizer_hyperparams" in data:
        return "1.2"
    if "optimizer" in data or "hyperparams" in data or "testproblem" in data:
        return "1.1"
    raise NoResultError("it is not a result: it has none of the keys of one")


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


def _evaluated_at(data: Mapping[str, Any], num_epochs: int) -> Floats | None:
    """The epochs trained at each evaluation; `None` where that is after every epoch."""
    steps = values.numbers(data, "evaluated_at_steps")
    if steps is None:
        return None
    per_epoch = values.integer(data, "steps_per_epoch", least=1)
    at = steps / per_epoch
    if not len(at) or at[0] != 0 or not (np.diff(at) > 0).all() or at[-1] > num_epochs:
        raise NoResultError("evaluated_at_steps are not the steps of evaluations of this run")
    return at


def _gradient_norms(data: Mapping[str, Any]) -> Floats | None:
    """Norms of gradients, each after the number of steps before it."""
    norms = values.numbers(data, "gradient_norms")
    if norms is None:
        return None
    per_epoch = values.integer(data, "steps_per_epoch", least=1)
    params = values.mapping(data, "training_params")
    interval = values.integer(params, "train_log_interval", least=1)
    # Every epoch begins anew to count steps.
    in_epoch = np.arange(0.0, per_epoch, interval)
    epochs = np.arange(-(-len(norms) // len(in_epoch)))
    steps = (epochs[:, None] * per_epoch + in_epoch).ravel()[: len(norms)]
    return np.column_stack([steps, norms]).ravel()


def _curve(data: Mapping[str, Any], name: str, count: int) -> Floats | None:
    curve = values.numbers(data, name)
    if name not in _ALWAYS_REQUIRED and (curve is None or not len(curve)):
        return None
    curve = np.empty(0) if curve is None else curve
    if len(curve) != count:
        raise NoResultError(f"it is unfinished: {name} has {len(curve)} entries instead of {count}")
    return curve


def _recorded_divergence(
    data: Mapping[str, Any], layout: Format, curves: Sequence[Floats | None]
) -> _Divergence:
    """What the file itself says about divergence."""
    # 1.1 wrote losses as they were: that a run diverged shows in its curves.
    if layout == "1.1":
        return _NOT_DIVERGED
    if layout == "1.2":
        epoch = _filled_from(curves, values.numbers(data, "minibatch_train_losses"))
        return _Divergence(has_diverged=epoch is not None, epoch=epoch)
    status = values.text(data, "status")
    if status not in ("completed", "diverged"):
        raise NoResultError(f"status is neither completed nor diverged: {status!r}")
    epoch = values.optional_integer(data, "diverged_at_epoch")
    return _Divergence(has_diverged=status == "diverged", epoch=epoch)


def _settle(
    curves: Sequence[Floats | None], recorded: _Divergence
) -> tuple[_Divergence, list[Floats | None]]:
    """Decide whether a run diverged and when, and make its curves finite as DeepOBS 1.2 does.

    Curves are changed; one without a finite first value becomes `None`.
    """
    measured = np.array([curve for curve in curves if curve is not None])
    is_finite = np.isfinite(measured)
    if is_finite.all():
        return recorded if recorded.has_diverged else _NOT_DIVERGED, list(curves)
    epoch = int(np.flatnonzero(~is_finite.all(axis=0))[0])
    # With the value before training from here on, in every curve, a run that diverged is never
    # better than an untrained model: by its last finite value it could win.
    for curve in curves:
        if curve is not None:
            curve[epoch:] = curve[0]
    finite = [curve if curve is not None and np.isfinite(curve[0]) else None for curve in curves]
    if recorded.has_diverged:
        return recorded._replace(epoch=epoch if recorded.epoch is None else recorded.epoch), finite
    return _Divergence(has_diverged=True, epoch=epoch), finite


def _filled_from(curves: Sequence[Floats | None], minibatch_losses: Floats | None) -> int | None:
    """The epoch, from 1, from which on DeepOBS 1.2 filled the curves of a run, if it did.

    Its files do not say it, but such curves go back to their first values, all of them at once and
    to the last digit. That of a run whose loss never changed may have no other reason than a
    learning rate of 0, unless a loss of a minibatch was not finite.
    """
    measured = np.array([curve for curve in curves if curve is not None])
    differs = np.flatnonzero((measured != measured[:, :1]).any(axis=0))
    epoch = int(differs[-1]) + 1 if len(differs) else 1
    is_lost = minibatch_losses is not None and not np.isfinite(minibatch_losses).all()
    return epoch if (len(differs) or is_lost) and epoch < measured.shape[1] else None


def _optimizer(data: Mapping[str, Any], layout: Format) -> str:
    name = values.text(data, "optimizer" if layout == "1.1" else "optimizer_name")
    if layout == "own":
        return name
    # DeepOBS 1.1 and 1.2 wrote names of TensorFlow's classes, such as AdamOptimizer. Under the
    # current names, published and new runs are of the same optimizer.
    short = name.removesuffix("Optimizer") or name
    return _TODAY.get(short, short)


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
    params = {key: data.get(key) for key in _SCHEDULE_KEYS}
    values.check_plain("the schedule", params)
    return params


def _target(data: Mapping[str, Any]) -> str:
    """The class of the optimizer; without its module if that is code of one's own.

    Such a class is in `__main__` of a script, and in a module for a worker.
    """
    target = values.text(data, "optimizer_target", "")
    has_own_code = values.text(data, "optimizer_source", "")
    return target.rpartition(":")[2] if has_own_code else target


def _further(data: Mapping[str, Any], layout: Format, params: dict[str, Any]) -> dict[str, Any]:
    """What else a run's numbers depend on; the schedule is in the identity in words."""
    needs = data.get("optimizer_needs") or None
    values.check_plain("optimizer_needs", needs)
    own = {
        "needs": needs,
        "groups": values.mapping(data, "parameter_groups") or None,
        "class": _target(data) or None,
        "source": values.text(data, "optimizer_source", "") or None,
        "code": values.mapping(data, "code") or None,
        "full_evaluation": bool(data.get("full_evaluation")),
        "bare_losses": bool(data.get("bare_losses")),
        "dtype": values.text(data, "dtype", ""),
    }
    ignored = _WITHOUT_INFLUENCE.union(_SCHEDULE_KEYS)
    used = {name: value for name, value in params.items() if name not in ignored}
    if layout == "own":
        used |= own
    # What was not used is dropped: a file that does not mention it is of the same configuration.
    return {name: value for name, value in used.items() if value is not None}


def _test_examples(data: Mapping[str, Any], batch_size: int) -> int | None:
    sizes = values.mapping(values.mapping(data, "dataset"), "split_sizes")
    size = values.optional_integer(sizes, "test")
    if not size or data.get("full_evaluation"):
        return size or None
    return size - size % batch_size or None


def _ends_by_steps(data: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    """Whether a run ends after a number of steps: other epochs for batches of other sizes."""
    most = values.optional_integer(params, "max_steps")
    per_epoch = values.optional_integer(data, "steps_per_epoch")
    # Not by the steps that it took: one that diverged is compared with the seeds that did not.
    return bool(most and per_epoch and data["num_epochs"] * per_epoch >= most)


def _schedule(params: Mapping[str, Any]) -> tuple[str, str]:
    """Name of a learning-rate schedule, and all of it in words; both empty where it is constant."""
    scheduler = params.get("lr_scheduler")
    if isinstance(scheduler, dict) and isinstance(scheduler.get("name"), str):
        return _scheduler(scheduler)
    epochs, factors = params.get("lr_sched_epochs"), params.get("lr_sched_factors")
    if isinstance(epochs, list) and isinstance(factors, list) and epochs:
        changes = zip(epochs, factors, strict=False)
        words = ", ".join(f"lr * {_plain(f)} after epoch {_plain(e)}" for e, f in changes)
        return "step schedule", words
    return "", ""


def _scheduler(scheduler: Mapping[str, Any]) -> tuple[str, str]:
    name = scheduler["name"].rpartition(":")[2]
    every = " every step" if scheduler.get("every") == "step" else ""
    return name, f"{name}({_arguments(scheduler.get('arguments'))}){every}"


def _arguments(arguments: object) -> str:
    if not isinstance(arguments, dict):
        return ""
    return ", ".join(f"{name}={_plain(value)}" for name, value in sorted(arguments.items()))


def _plain(value: object) -> str:
    """A value of JSON as a person writes it; 0 and 0.0 are the same."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    if isinstance(value, dict):
        if isinstance(value.get("name"), str):
            return _scheduler(value)[1]
        return f"{{{_arguments(value)}}}"
    return str(value)
