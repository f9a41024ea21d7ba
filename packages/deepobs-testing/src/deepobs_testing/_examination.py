"""Checking a target: the public functions, and the examination that they and pytest run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepobs import checks
from deepobs.plugins.catalog import import_target
from deepobs_testing._checks import checks_of
from deepobs_testing._execution import execute
from deepobs_testing._report import ConformanceError, Report
from deepobs_testing._targets import find_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from deepobs_testing._checks import Check
    from deepobs_testing._report import CheckResult
    from deepobs_testing._targets import Target

BATCH_SIZE = 4
CHECK_SECONDS = 600.0
SET_UP_SECONDS = 60.0

_SUBJECTS = {
    "test problem": "deepobs_testing._problem_subject:Subject",
    "data set": "deepobs_testing._dataset_subject:Subject",
    "optimizer": "deepobs_testing._optimizer_subject:Subject",
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "test problem": {
        "batch_size": BATCH_SIZE,
        "fake_data": None,
        "set_up_seconds": SET_UP_SECONDS,
    },
    "data set": {"batch_size": BATCH_SIZE, "fake_data": None},
    "optimizer": {"hyperparameters": {}},
}
"""The options of the subjects of each kind, with their defaults."""


class Examination:
    """Executes the checks of one target, which share the instances that they need.

    Args:
        target: What to check.
        options: Options of the functions below by name; those of other kinds of targets are
            ignored, and `None` stands for the default.

    Raises:
        ArgumentError: The batch size is too small.
    """

    def __init__(self, target: Target, options: Mapping[str, Any]) -> None:
        given = {name: value for name, value in options.items() if value is not None}
        if "batch_size" in given:
            checks.integer("batch_size", given["batch_size"], least=2)  # some checks halve a batch
        self._target = target
        self._options = {
            name: given.get(name, default) for name, default in _OPTIONS[target.kind].items()
        }
        # The limits of constructor and set_up come first: their messages name the slow one.
        least = 2 * given.get("set_up_seconds", 0.0)
        self._seconds = max(given.get("check_seconds", CHECK_SECONDS), least)
        self._subject: Any = None

    def result_of(self, check: Check) -> CheckResult:
        """Execute a check; the first one imports torch."""
        if self._subject is None:
            make = import_target(_SUBJECTS[self._target.kind], "The subject of checks")
            self._subject = make(self._target, **self._options)
        return execute(check, self._subject, self._seconds)


def check_testproblem(
    factory: str | Callable[..., Any],
    *,
    batch_size: int | None = None,
    fake_data: bool | float | None = None,
    set_up_seconds: float = SET_UP_SECONDS,
    check_seconds: float = CHECK_SECONDS,
    only: Iterable[str] | None = None,
    skip: Iterable[str] = (),
    raise_on_failure: bool = True,
) -> Report:
    """Check that a test problem behaves as its users expect.

    Args:
        factory: A registered name, or a callable with the arguments `(batch_size,
            weight_decay=None, device=None)`; or a function without arguments that builds a
            problem, whose constructor is then not checked.
        batch_size: Examples per batch, at least 2; by default 4, or that of the problem if a
            function without arguments builds it.
        fake_data: The size of synthetic data as a fraction of the real data, `False` for real data;
            `None` for synthetic data only where the real data are missing.
        set_up_seconds: Time limit of constructor and `set_up` each.
        check_seconds: Time limit of each check, at least twice `set_up_seconds`.
        only: Names of the checks to execute; `None` for all.
        skip: Names of checks to skip.
        raise_on_failure: Whether to raise if a check fails, instead of returning the report.

    Returns:
        The result of each check.

    Raises:
        ConformanceError: A check failed.
        UnknownNameError: There is no such test problem.
        ArgumentError: There is no such check, or the batch size is too small.
    """
    options = {
        "batch_size": batch_size,
        "fake_data": fake_data,
        "set_up_seconds": set_up_seconds,
        "check_seconds": check_seconds,
    }
    target = find_target("test problem", factory)
    return _report(target, options, only, skip, raise_on_failure=raise_on_failure)


def check_dataset(
    factory: str | Callable[..., Any],
    *,
    batch_size: int | None = None,
    fake_data: bool | float | None = None,
    check_seconds: float = CHECK_SECONDS,
    only: Iterable[str] | None = None,
    skip: Iterable[str] = (),
    raise_on_failure: bool = True,
) -> Report:
    """Check that a data set behaves as test problems expect.

    Args:
        factory: A registered name, or a callable with the arguments `(batch_size, *, device=None,
            validation_size=0, drop_remainder=True)`.
        batch_size: Examples per batch, at least 2; `None` for 4.
        fake_data: See `check_testproblem`, as for the following arguments, result and errors.
        check_seconds: Time limit of each check.
        only: Names of the checks to execute.
        skip: Names of checks to skip.
        raise_on_failure: Whether to raise if a check fails.
    """
    options = {"batch_size": batch_size, "fake_data": fake_data, "check_seconds": check_seconds}
    target = find_target("data set", factory)
    return _report(target, options, only, skip, raise_on_failure=raise_on_failure)


def check_optimizer(
    factory: str | Callable[..., Any],
    *,
    hyperparameters: dict[str, Any] | None = None,
    check_seconds: float = CHECK_SECONDS,
    only: Iterable[str] | None = None,
    skip: Iterable[str] = (),
    raise_on_failure: bool = True,
) -> Report:
    """Check that an optimizer works in the training loop of DeepOBS and in others.

    Args:
        factory: A registered name, or a class.
        hyperparameters: Arguments of its constructor by name, where it has no defaults.
        check_seconds: See `check_testproblem`, as for the following arguments, result and errors.
        only: Names of the checks to execute.
        skip: Names of checks to skip.
        raise_on_failure: Whether to raise if a check fails.
    """
    options = {"hyperparameters": hyperparameters, "check_seconds": check_seconds}
    target = find_target("optimizer", factory)
    return _report(target, options, only, skip, raise_on_failure=raise_on_failure)


def _report(
    target: Target,
    options: dict[str, Any],
    only: Iterable[str] | None,
    skip: Iterable[str],
    *,
    raise_on_failure: bool,
) -> Report:
    chosen = checks_of(target, only, skip)
    examination = Examination(target, options)
    report = Report(target.name, target.kind, tuple(map(examination.result_of, chosen)))
    if report.failures and raise_on_failure:
        raise ConformanceError(report)
    return report
