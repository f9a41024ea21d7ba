"""The functions that check a test problem, a data set or an optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepobs_testing.examination import CHECK_SECONDS, SET_UP_SECONDS, Examination, checks_of
from deepobs_testing.results import ConformanceError, Report
from deepobs_testing.things import thing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from deepobs_testing.things import Thing


def check_testproblem(
    factory: str | Callable[..., Any],
    *,
    batch_size: int | None = None,
    fake_data: bool | float | None = None,
    set_up_seconds: float = SET_UP_SECONDS,
    check_seconds: float = CHECK_SECONDS,
    only: Iterable[str] | None = None,
    leave_out: Iterable[str] = (),
    raise_on_failure: bool = True,
) -> Report:
    """Check that a test problem behaves as every user of it relies on.

    Args:
        factory: A registered name, or what is called as `(batch_size, weight_decay=None,
            device=None)`; or a function without arguments that builds a problem, whose constructor
            is not checked then.
        batch_size: Examples a batch, 2 or more; 4 if left out, unless the function says how many.
        fake_data: The size of synthetic data as a fraction of the real, `False` for real data;
            `None` for synthetic data where the real ones are missing.
        set_up_seconds: How long `set_up` may take.
        check_seconds: How long each check may take.
        only: Names of the checks to make; `None` for all.
        leave_out: Names of checks not to make.
        raise_on_failure: Whether to raise where a check fails, instead of returning the report.

    Returns:
        What became of each check.

    Raises:
        ConformanceError: A check failed.
        UnknownNameError: There is no such test problem.
        ArgumentError: There is no such check, or the batch size is too small.
    """
    settings = {
        "batch_size": batch_size,
        "fake_data": fake_data,
        "set_up_seconds": set_up_seconds,
        "check_seconds": check_seconds,
    }
    found = thing("test problem", factory)
    return _report(found, settings, only, leave_out, raise_on_failure=raise_on_failure)


def check_dataset(
    factory: str | Callable[..., Any],
    *,
    batch_size: int | None = None,
    fake_data: bool | float | None = None,
    check_seconds: float = CHECK_SECONDS,
    only: Iterable[str] | None = None,
    leave_out: Iterable[str] = (),
    raise_on_failure: bool = True,
) -> Report:
    """Check that a data set behaves as test problems rely on.

    Args:
        factory: A registered name, or what is called as `(batch_size, *, device=None,
            validation_size=0, drop_remainder=True)`.
        batch_size: Examples a batch, 2 or more; 4 if left out.
        fake_data: As in `check_testproblem`.
        check_seconds: How long each check may take.
        only: Names of the checks to make; `None` for all.
        leave_out: Names of checks not to make.
        raise_on_failure: Whether to raise where a check fails, instead of returning the report.

    Returns:
        What became of each check.

    Raises:
        ConformanceError: A check failed.
        UnknownNameError: There is no such data set.
        ArgumentError: There is no such check, or the batch size is too small.
    """
    settings = {
        "batch_size": batch_size,
        "fake_data": fake_data,
        "check_seconds": check_seconds,
    }
    found = thing("data set", factory)
    return _report(found, settings, only, leave_out, raise_on_failure=raise_on_failure)


def check_optimizer(
    factory: str | Callable[..., Any],
    *,
    hyperparameters: dict[str, Any] | None = None,
    check_seconds: float = CHECK_SECONDS,
    only: Iterable[str] | None = None,
    leave_out: Iterable[str] = (),
    raise_on_failure: bool = True,
) -> Report:
    """Check that an optimizer works in every training loop, that of DeepOBS among them.

    Args:
        factory: A registered name, or a class.
        hyperparameters: Arguments of its constructor by name, where it has no defaults for them.
        check_seconds: How long each check may take.
        only: Names of the checks to make; `None` for all.
        leave_out: Names of checks not to make.
        raise_on_failure: Whether to raise where a check fails, instead of returning the report.

    Returns:
        What became of each check.

    Raises:
        ConformanceError: A check failed.
        UnknownNameError: There is no such optimizer.
        ArgumentError: There is no such check.
    """
    settings = {"hyperparameters": hyperparameters, "check_seconds": check_seconds}
    found = thing("optimizer", factory)
    return _report(found, settings, only, leave_out, raise_on_failure=raise_on_failure)


def _report(
    found: Thing,
    settings: dict[str, Any],
    only: Iterable[str] | None,
    leave_out: Iterable[str],
    *,
    raise_on_failure: bool,
) -> Report:
    chosen = checks_of(found, only, leave_out)
    examination = Examination(found, settings)
    report = Report(found.name, found.kind, tuple(map(examination.result_of, chosen)))
    if report.failures and raise_on_failure:
        raise ConformanceError(report)
    return report
