"""The functions that check a test problem, a data set or an optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepobs import checks
from deepobs.errors import ArgumentError, closest, sentences
from deepobs.plugins.catalog import import_target
from deepobs.testing.results import ConformanceError, Report
from deepobs.testing.tables import CHECKS
from deepobs.testing.things import thing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from deepobs.testing.results import CheckResult
    from deepobs.testing.tables import Check
    from deepobs.testing.things import Thing

CHECK_SECONDS = 300.0
"""How long a check may take, unless the caller says otherwise."""


def check_testproblem(
    factory: str | Callable[..., Any],
    *,
    batch_size: int | None = None,
    fake_data: bool | float | None = None,
    set_up_seconds: float = 60.0,
    only: Iterable[str] | None = None,
    leave_out: Iterable[str] = (),
    raise_on_failure: bool = True,
) -> Report:
    """Check that a test problem behaves as every user of it relies on.

    Args:
        factory: A registered name, or what is called as `(batch_size, weight_decay=None,
            device=None)`.
        batch_size: Examples a batch, 2 or more; 4 if left out.
        fake_data: The size of synthetic data as a fraction of the real, `False` for real data;
            `None` for synthetic data where the real ones are missing.
        set_up_seconds: How long `set_up` may take.
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
    settings = {"batch_size": batch_size, "fake_data": fake_data, "set_up_seconds": set_up_seconds}
    found = thing("test problem", factory)
    return _report(found, settings, only, leave_out, raise_on_failure=raise_on_failure)


def check_dataset(
    factory: str | Callable[..., Any],
    *,
    batch_size: int | None = None,
    fake_data: bool | float | None = None,
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
    settings = {"batch_size": batch_size, "fake_data": fake_data}
    found = thing("data set", factory)
    return _report(found, settings, only, leave_out, raise_on_failure=raise_on_failure)


def check_optimizer(
    factory: str | Callable[..., Any],
    *,
    hyperparameters: dict[str, Any] | None = None,
    only: Iterable[str] | None = None,
    leave_out: Iterable[str] = (),
    raise_on_failure: bool = True,
) -> Report:
    """Check that an optimizer works in every training loop, that of DeepOBS among them.

    Args:
        factory: A registered name, the name of a class of `torch.optim`, or a class.
        hyperparameters: Arguments of its constructor by name, where it has no defaults for them.
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
    settings = {"hyperparameters": hyperparameters}
    found = thing("optimizer", factory)
    return _report(found, settings, only, leave_out, raise_on_failure=raise_on_failure)


_SETTINGS = {
    "test problem": {"batch_size", "fake_data", "set_up_seconds"},
    "data set": {"batch_size", "fake_data"},
    "optimizer": {"hyperparameters"},
}


def settings_for(found: Thing, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some settings that the checks of a thing know.

    Args:
        found: What to check.
        settings: Arguments of the functions that check, by name.

    Raises:
        ArgumentError: The batch size is too small.
    """
    if settings.get("batch_size") is not None:
        checks.integer("batch_size", settings["batch_size"], least=2)  # a batch is divided
    return {name: settings[name] for name in settings if name in _SETTINGS[found.kind]}


def subject_of(found: Thing, **settings: Any) -> Any:
    """What the checks of a thing are given; torch is imported here.

    Args:
        found: What to check.
        settings: Those of `settings_for`.
    """
    module = {"test problem": "problems", "data set": "datasets", "optimizer": "optimizers"}
    target = f"deepobs.testing.{module[found.kind]}.subject:Subject"
    return import_target(target, "The subject")(found, **settings)


def names_for(found: Thing, names: Iterable[str]) -> list[str]:
    """Names of checks without those that only things of another kind have.

    Args:
        found: What to check.
        names: Names of checks of several kinds of things; unknown ones are kept, to be refused.
    """
    of_others = {check.name for kind in CHECKS if kind != found.kind for check in CHECKS[kind]}
    own = {check.name for check in CHECKS[found.kind]}
    return [name for name in names if name in own or name not in of_others]


def checks_of(
    found: Thing, only: Iterable[str] | None = None, leave_out: Iterable[str] = ()
) -> list[Check]:
    """The checks to make of a thing.

    Args:
        found: What to check.
        only: Names of the checks to make; `None` for all.
        leave_out: Names of checks not to make.

    Raises:
        ArgumentError: There is no such check.
    """
    known = [
        check
        for check in CHECKS[found.kind]
        if found.offer is not None or not check.is_of_the_description
    ]
    names = [check.name for check in CHECKS[found.kind]]
    for name in (*(only or ()), *leave_out):
        if name not in names:
            raise ArgumentError(
                sentences(
                    f"There is no check {name!r} of a {found.kind}.",
                    closest(name, names),
                    f"There are: {', '.join(names)}.",
                )
            )
    wanted = set(names if only is None else only) - set(leave_out)
    return [check for check in known if check.name in wanted]


def results_of(found: Thing, chosen: Iterable[Check], **settings: Any) -> Iterator[CheckResult]:
    """Make checks, one after the other.

    Args:
        found: What to check.
        chosen: The checks.
        settings: Those of `subject_of`.
    """
    from deepobs.testing.carrying_out import carry_out

    subject = None
    for check in chosen:
        subject = subject or subject_of(found, **settings)
        yield carry_out(check, subject, CHECK_SECONDS)


def _report(
    found: Thing,
    settings: dict[str, Any],
    only: Iterable[str] | None,
    leave_out: Iterable[str],
    *,
    raise_on_failure: bool,
) -> Report:
    only = None if only is None else tuple(only)
    chosen = checks_of(found, only, tuple(leave_out))
    results = results_of(found, chosen, **settings_for(found, settings))
    report = Report(found.name, found.kind, tuple(results))
    if report.failures and raise_on_failure:
        raise ConformanceError(report)
    return report
