"""What two optimizers on a problem differ in besides the optimizer: budget, fixed values, order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from deepobs_analysis.configurations import CLIPPING
from deepobs_analysis.reference_names import bare
from deepobs_analysis.run_protocols import PARTS, protocol_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from deepobs_analysis.selection import Selection

_LEARNING_RATE = "lr"
_ORDERS = {True: "new", False: "repeated"}
_SPLITS = {"train": "the training set", "valid": "validation data", "test": "the test set"}


class Difference(NamedTuple):
    """What differs, and the values of the first and the second one."""

    what: str
    first: str
    second: str


def in_words(difference: Difference) -> str:
    """What is different for a reference, the first one, and what it is for one's own runs."""
    return f"{difference.what} {difference.first} (yours: {difference.second})"


def budget_differences(first: Selection, second: Selection) -> list[Difference]:
    """The parts of the protocol in which two differ; see `run_protocols`."""
    ours, theirs = (each.rows.first("protocol") for each in (first, second))
    return list(_unequal(ours, theirs, [name for name in PARTS if name in ours and name in theirs]))


def differences(first: Selection, second: Selection) -> list[Difference]:
    """All in which two selections differ besides the optimizer and what was tuned."""
    measured = [each.rows.first("measurement") for each in (first, second)]
    ours, theirs = map(protocol_of, measured)
    return [
        *_unequal(ours, theirs, PARTS),
        *_of_words("clipping", *map(_clipping, measured)),
        *_of_hyperparameters(first, second),
        *_of_words("order of the data", _order(first), _order(second)),
        *_of_words("selection", _choice(first), _choice(second)),
    ]


def counterpart(selection: Selection, others: Iterable[Selection]) -> Selection | None:
    """The most alike of the same problem, if possible of the same optimizer or at least class."""
    found = [each for each in others if each.problem == selection.problem]
    named = [each for each in found if bare(each.optimizer) == bare(selection.optimizer)]
    alike = [each for each in found if _class(each) == _class(selection)]
    most_alike = named or alike or found
    return min(most_alike, key=lambda each: len(differences(selection, each)), default=None)


def _of_hyperparameters(first: Selection, second: Selection) -> Iterator[Difference]:
    # Those of other optimizers have the same names by chance; what an experiment calls an optimizer
    # makes it no other one. The learning rate always differs, and stands in the name of the
    # configuration.
    if _class(first) == _class(second):
        names = [name for name in first.fixed if name != _LEARNING_RATE]
        yield from _unequal(first.fixed, second.fixed, names)


def _unequal(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], names: Iterable[str]
) -> Iterator[Difference]:
    for name in names:
        # Old formats record less: a value that is not known does not differ.
        values: Sequence[Any] = [each.get(name) for each in (ours, theirs)]
        if None not in values and values[0] != values[1]:
            yield Difference(PARTS.get(name, name), *map(_value, values))


def _of_words(what: str, first: str, second: str) -> Iterator[Difference]:
    if first != second:
        yield Difference(what, first, second)


def _clipping(measurement: Mapping[str, Any]) -> str:
    found = [f"{name} = {measurement[name]:g}" for name in CLIPPING if name in measurement]
    return ", ".join(found) or "none"


def _order(selection: Selection) -> str:
    run = selection.runs.iloc[0]
    # In DeepOBS 1.1, every epoch repeated the order of the first.
    return _ORDERS[bool(run["measurement"].get("reshuffle", run["format"] != "1.1"))]


def _choice(selection: Selection) -> str:
    if selection.configurations == 1:
        return "none"
    return f"on {_SPLITS[selection.chosen_by.partition('_')[0]]}"


def _class(selection: Selection) -> str:
    return str(selection.rows.first("optimizer_name"))


def _value(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
