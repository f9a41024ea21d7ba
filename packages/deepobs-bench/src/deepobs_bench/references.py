"""Names in an experiment file that stand for something else in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs.errors import closest, sentences
from deepobs.plugins import registry
from deepobs_bench.mistakes import Mistake
from deepobs_bench.schema import CONSTANT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deepobs_bench.mistakes import Location
    from deepobs_bench.schema import Choices, Experiment


def problems_of(experiment: Experiment) -> list[str]:
    """The test problems by the shortest name of each, those of the suites last, none twice."""
    catalog = registry().problems
    suites = [registry().suites.spec(name).problems for name in experiment.suites]
    names = [*experiment.problems, *(name for suite in suites for name in suite)]
    return list(dict.fromkeys(catalog.usable_name(name) for name in names))


def mistaken_references(experiment: Experiment) -> Iterator[Mistake]:
    """Find names of problems, optimizers and schedules that the file itself does not have.

    Args:
        experiment: One whose values are as they should be, each for itself.
    """
    problems = problems_of(experiment)
    if not problems:
        yield Mistake(("problems",), "must name a test problem or more, here or in suites")
    if CONSTANT in experiment.schedules:
        message = "is the learning rate that stays as it is: give the schedule another name"
        yield Mistake(("schedules", CONSTANT), message)
    for label, optimizer in experiment.optimizers.items():
        yield from _mistaken_choices(("optimizers", label), optimizer, experiment)
    for name, override in experiment.overrides.items():
        place = ("overrides", name)
        yield from _unless_known(place, name, problems, "one of the problems of this file")
        for label, choices in override.optimizers.items():
            inner = (*place, "optimizers", label)
            yield from _unless_known(
                inner, label, experiment.optimizers, "one of the optimizers of this file"
            )
            yield from _mistaken_choices(inner, choices, experiment)


def _mistaken_choices(
    place: Location, choices: Choices, experiment: Experiment
) -> Iterator[Mistake]:
    for name in choices.grid.keys() & choices.hyperparameters.keys():
        yield Mistake((*place, "grid", name), "is in hyperparameters, too: give it in one of them")
    known = [CONSTANT, *experiment.schedules]
    if choices.schedules == ():
        message = f"must name a schedule or more, or be left out. Permitted: {', '.join(known)}."
        yield Mistake((*place, "schedules"), message)
    for index, name in enumerate(choices.schedules or ()):
        at = (*place, "schedules", index)
        yield from _unless_known(at, name, known, "a schedule of this file")


def _unless_known(place: Location, name: str, known: Iterable[str], what: str) -> Iterator[Mistake]:
    names = list(known)
    if name not in names:
        message = f"must be {what}, got {name!r}."
        yield Mistake(
            place, sentences(message, closest(name, names), f"Permitted: {', '.join(names)}.")
        )
