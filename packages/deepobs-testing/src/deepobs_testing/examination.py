"""Which checks to make of a thing, and making them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepobs import checks
from deepobs.errors import ArgumentError, closest, sentences
from deepobs.plugins.catalog import import_target
from deepobs_testing.carrying_out import carry_out
from deepobs_testing.tables import CHECKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deepobs_testing.results import CheckResult
    from deepobs_testing.tables import Check
    from deepobs_testing.things import Thing

CHECK_SECONDS = 600.0
"""How long a check may take, unless the caller says otherwise."""

SET_UP_SECONDS = 60.0
"""How long `set_up` of a problem may take, unless the caller says otherwise."""

BATCH_SIZE = 4
"""Examples a batch, unless the caller says otherwise."""

SETTINGS = {
    "test problem": {"batch_size", "fake_data", "set_up_seconds"},
    "data set": {"batch_size", "fake_data"},
    "optimizer": {"hyperparameters"},
}
"""What the subjects of each kind can be told."""

_PACKAGES = {"test problem": "problems", "data set": "datasets", "optimizer": "optimizers"}


class Examination:
    """Makes the checks of one thing, which share what it takes to make them.

    Args:
        thing: What to check.
        settings: Arguments of the functions that check, by name; those of other kinds of things
            are left out.

    Raises:
        ArgumentError: The batch size is too small.
    """

    def __init__(self, thing: Thing, settings: Mapping[str, Any]) -> None:
        if settings.get("batch_size") is not None:
            checks.integer("batch_size", settings["batch_size"], least=2)  # a batch is divided
        self._thing = thing
        self._settings = {name: settings[name] for name in SETTINGS[thing.kind] & settings.keys()}
        least = 2 * settings.get("set_up_seconds", 0.0)
        self._seconds = max(settings.get("check_seconds", CHECK_SECONDS), least)
        self._subject: Any = None

    def result_of(self, check: Check) -> CheckResult:
        """Make a check; torch is imported by the first one."""
        if self._subject is None:
            target = f"deepobs_testing.{_PACKAGES[self._thing.kind]}.subject:Subject"
            make = import_target(target, "The subject of checks")
            self._subject = make(self._thing, **self._settings)
        return carry_out(check, self._subject, self._seconds)


def names_for(thing: Thing, names: Iterable[str]) -> list[str]:
    """Names of checks without those that only things of another kind have.

    Args:
        thing: What to check.
        names: Names of checks of several kinds of things; unknown ones are kept, to be refused.
    """
    of_others = {check.name for kind in CHECKS if kind != thing.kind for check in CHECKS[kind]}
    own = {check.name for check in CHECKS[thing.kind]}
    return [name for name in _several(names) if name in own or name not in of_others]


def checks_of(
    thing: Thing, only: Iterable[str] | None = None, leave_out: Iterable[str] = ()
) -> list[Check]:
    """The checks to make of a thing.

    Args:
        thing: What to check.
        only: Names of the checks to make; `None` for all.
        leave_out: Names of checks not to make.

    Raises:
        ArgumentError: There is no such check.
    """
    names = [check.name for check in CHECKS[thing.kind]]
    wanted = set(names) if only is None else _several(only)
    unwanted = _several(leave_out)
    for name in sorted((wanted | unwanted) - set(names)):
        raise ArgumentError(
            sentences(
                f"There is no check {name!r} of a {thing.kind}.",
                closest(name, names),
                f"There are: {', '.join(names)}.",
            )
        )
    return [
        check
        for check in CHECKS[thing.kind]
        if check.name in wanted - unwanted
        and (thing.offer is not None or not check.is_of_the_description)
    ]


def _several(names: Iterable[str]) -> set[str]:
    """Names, of which one may have been given without a list around it."""
    return {names} if isinstance(names, str) else set(names)
