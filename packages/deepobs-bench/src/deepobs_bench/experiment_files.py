"""Reading experiment files: all mistakes of a file are found in one round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from deepobs.errors import DeepOBSError, closest, joined, sentences
from deepobs.plugins import registry
from deepobs.runs.constructors import constructor_of, is_required
from deepobs.runs.optimizers import find_optimizer
from deepobs_bench import _toml_yaml
from deepobs_bench import _validation as values
from deepobs_bench._choices import follows_a_metric, wrong_choices
from deepobs_bench._drafts import Draft
from deepobs_bench._validation import Mistake, refusal, written
from deepobs_bench.experiment import CONSTANT, Experiment, row_name
from deepobs_bench.plan import expand
from deepobs_bench.tuning.presets import preset
from deepobs_bench.tuning.searched_names import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from deepobs_bench._validation import Location
    from deepobs_bench.experiment import Choices

# What is there for the checks of the rest where everything of its kind is a mistake.
_SOME_OPTIMIZER = {"class": "torch.optim:SGD"}
_SOME_PROBLEM = "quadratic_deep"
_SOME_TUNING = {"budget": "one-shot"}

_PROBLEMS: tuple[Location, ...] = (("problems",), ("suites",))


def load(path: Path) -> Experiment:
    """Read an experiment, and check all that can be checked without planning its runs.

    Args:
        path: A TOML or YAML file.

    Raises:
        ArgumentError: The file has mistakes; the message lists all of them, those included that
            planning finds in what is left.
    """
    draft = _Draft(_toml_yaml.read(path))
    experiment = draft.experiment()
    if experiment is not None:
        # After the values: a wrong name would be reported again wherever it is referred to.
        draft.note(_wrong_references(experiment, draft))
        draft.note(wrong_choices(experiment, draft.unknown_classes, draft.partial_schedules))
    if experiment is not None and not draft.mistakes:
        return experiment
    in_plan = [mistake for rest in draft.rests() for mistake in expand(rest)[1]]
    raise refusal(str(path), [*draft.mistakes, *in_plan])


class _Draft(Draft):
    """An experiment file.

    Attributes:
        unknown_classes: Names of optimizers whose class is none.
        partial_schedules: Names of schedules whose arguments are not all known.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__(data)
        self.unknown_classes: set[str] = set()
        self.partial_schedules: set[str] = set()
        self._written = data
        optimizers = self.data.get("optimizers")
        if isinstance(optimizers, list) and all(isinstance(name, str) for name in optimizers):
            self.data["optimizers"] = {name: {} for name in optimizers}

    def experiment(self) -> Experiment | None:
        """What is right of the file; `None` if nothing is."""
        return self.validated(Experiment, self._in_words)

    def note(self, mistakes: Iterable[Mistake]) -> None:
        """Note mistakes in what is right by itself, and take them out."""
        found = list(mistakes)
        self.mistakes += found
        self.take_out(each.place for each in found)

    def names_in(self, table: str) -> list[str]:
        """All names that the file gives to optimizers or schedules, with mistakes or without."""
        named = self._written.get(table)
        return list(map(str, named)) if isinstance(named, (dict, list)) else []

    def hides(self, table: str) -> bool:
        """Whether what the file says in a table is unknown, because of a mistake."""
        has_unknown_key = any(len(place) == 1 for place in self.unknown_keys)
        return (table,) in self.broken or (has_unknown_key and table not in self._written)

    def has_mistakes_in(self, *places: Location) -> bool:
        """Whether there are some at places, or within them."""
        return any(each[: len(place)] == place for place in places for each in self.broken)

    def remove(self, place: Location) -> None:
        """Remove what is at a place, or put in its place what lets the rest be checked."""
        match place:
            case ("optimizers",):
                self.data["optimizers"] = {"SGD": dict(_SOME_OPTIMIZER)}
            case ("optimizers", str(label)) | ("optimizers", str(label), "class"):
                table = self.data["optimizers"].get(label)
                self.data["optimizers"][label] = (
                    table | _SOME_OPTIMIZER if isinstance(table, dict) else dict(_SOME_OPTIMIZER)
                )
                self.unknown_classes.add(label)
            case ("optimizers", str(label), "problems", *_):
                self.data["optimizers"][label]["problems"] = []  # on others it may not be possible
            case ("optimizers", str(label), "tune"):
                table = self._at(*place)
                tune = dict(table) if isinstance(table, dict) else {}
                for key in ("budget", "trials"):  # which exclude each other
                    tune.pop(key, None)
                if not (tune.get("space") or tune.get("preset")):
                    tune |= _SOME_TUNING
                self.data["optimizers"][label]["tune"] = tune
            case ("schedules", str(name), "every"):
                super().remove(place)
            case ("schedules", str(name), str(key), *_) if key != "scheduler":
                self.partial_schedules.add(name)
                super().remove(("schedules", name, key))
            case ("schedules", str(name), *_):
                self.data["schedules"].pop(name, None)
            case (*outer, "schedules", int(index)):
                self._at(*outer, "schedules")[index] = CONSTANT
            case (*outer, int(_)) if outer[0] not in ("problems", "suites"):
                # Other lists are one value, and the rest of it would be another one.
                self.remove(tuple(outer))
            case _:
                super().remove(place)

    def rests(self) -> Iterator[Experiment]:
        """What can be planned although there are mistakes in the file."""
        self.data["seeds"] = 42
        for name in self.partial_schedules:
            self.remove(("schedules", name))
        # Whether they fit depends on what is held out and on when runs are evaluated.
        if self.has_mistakes_in(("defaults",), ("overrides",)):
            self._drop_followers()
        if (experiment := self.experiment()) is None:
            return
        for label in experiment.optimizers:
            if not self._completes(label, experiment):
                del self.data["optimizers"][label]
        self._drop_schedules()
        experiment = self.experiment()
        if experiment is not None and experiment.all_problems():
            yield experiment
        # All that is said of optimizers in general may be replaced on the other problems.
        of_optimizers = [("optimizers", label, "problems") for label in self.data["optimizers"]]
        is_partial = self.has_mistakes_in(*_PROBLEMS, *of_optimizers)
        if not experiment or not experiment.all_problems() or is_partial:
            yield from self._on_another_problem()

    def _on_another_problem(self) -> Iterator[Experiment]:
        self.data |= {"problems": [_SOME_PROBLEM], "suites": [], "defaults": {}, "overrides": {}}
        tables = self.data["optimizers"]
        # How they can be tuned depends on the problem.
        self.data["optimizers"] = {k: v for k, v in tables.items() if not v or not v.get("tune")}
        for table in filter(None, self.data["optimizers"].values()):
            table.pop("problems", None)
        self._drop_followers()
        self._drop_schedules()
        if (experiment := self.experiment()) is not None:
            yield experiment

    def _drop_followers(self) -> None:
        experiment = self.experiment()
        for name, schedule in (experiment.schedules if experiment else {}).items():
            if follows_a_metric(schedule):
                self.remove(("schedules", name))

    def _completes(self, label: str, experiment: Experiment) -> bool:
        """Whether an optimizer can be planned, with a learning rate if it lost that."""
        places: list[Location] = [("optimizers", label)]
        places += [("overrides", name, "optimizers", label) for name in experiment.overrides]
        if label in self.unknown_classes:
            return False
        optimizer = experiment.optimizers[label]
        if (tune := optimizer.tune) is not None:
            is_scoped = any(name_of(one).scope for one in tune.space or ())
            used = optimizer.schedules or self.names_in("schedules")
            lacks_schedule = not {*used} <= {CONSTANT, *experiment.schedules}
            # Of the points of a grid, as many as trials have to be left.
            is_grid = (tune.sampler or preset(tune.preset, "").sampler) == "grid"
            tunings = [(*place, "tune") for place in places]
            return not (is_scoped and lacks_schedule) and not (
                is_grid and self.has_mistakes_in(*tunings)
            )
        if not self.has_mistakes_in(*places):
            return True
        choice = find_optimizer(optimizer.class_)
        given = {*optimizer.hyperparameters, *optimizer.grid, *choice.defaults}
        _, arguments = constructor_of(choice.optimizer_class)
        lacking = {
            name
            for name, one in arguments.items()
            if is_required(one)
            and name not in given
            and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        }
        if lacking == {"lr"}:
            table = self.data["optimizers"][label]
            table["hyperparameters"] = {**(table.get("hyperparameters") or {}), "lr": 0.1}
        return lacking <= {"lr"}

    def _drop_schedules(self) -> None:
        """Name the constant learning rate where schedules were dropped, or some optimizer."""
        if not self.data["optimizers"]:
            self.remove(("optimizers",))
        known = {CONSTANT, *(self.data.get("schedules") or {})}
        tables = [self.data["optimizers"]]
        tables += [one.get("optimizers") for one in (self.data.get("overrides") or {}).values()]
        for choices in (one for table in tables if table for one in table.values() if one):
            if choices.get("schedules"):
                named = [name for name in choices["schedules"] if name in known]
                choices["schedules"] = named or [CONSTANT]

    def _in_words(self, error: ErrorDetails) -> Mistake:
        """Say in our words what pydantic found."""
        location, kind = error["loc"], error["type"]
        if kind == "missing":
            return Mistake(location, "is missing: add it to the file")
        existing = self._existing(location)
        if kind == "extra_forbidden":
            keys = _keys_of(_table_at(location[:-1]))
            return Mistake(existing, values.unknown_key(str(location[-1]), keys))
        if kind in _KINDS:
            return Mistake(existing, f"must be {_KINDS[kind]}, got {written(error['input'])}")
        return Mistake(existing, error["msg"])

    def _existing(self, location: Location) -> Location:
        """The part of a location that the user wrote: the class of an optimizer is filled in."""
        data: Any = self._written
        for depth, part in enumerate(location):
            try:
                data = data[part]
            except (KeyError, IndexError, TypeError):
                return location[:depth]
        return location


_KINDS = {"model_type": "a table", "dict_type": "a table", "tuple_type": "a list"}


def _table_at(location: Location) -> type[BaseModel]:
    table: type[BaseModel] = Experiment
    for part in location:
        fields = _keys_of(table)
        if part in fields:  # else a name of the user's own, or a position
            table = _table_in(fields[str(part)]) or table
    return table


def _keys_of(table: type[BaseModel]) -> dict[str, Any]:
    """The types of the values of a table, by the key as it is written."""
    return {field.alias or name: field.annotation for name, field in table.model_fields.items()}


def _table_in(annotation: Any) -> type[BaseModel] | None:
    """The table in a type such as `dict[str, Optimizer]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_table_in, get_args(annotation))), None)


def _wrong_references(experiment: Experiment, draft: _Draft) -> Iterator[Mistake]:
    """Find names of problems, optimizers and schedules that the file does not define."""
    problems = experiment.all_problems()
    has_wrong_problems = draft.has_mistakes_in(*_PROBLEMS) or (
        draft.hides("problems") and draft.hides("suites")
    )
    if not problems and not has_wrong_problems:
        yield Mistake(("problems",), "must name one test problem or more, here or in suites")
    schedules = None if draft.hides("schedules") else draft.names_in("schedules")
    if CONSTANT in experiment.schedules:
        message = "is the name of the unchanged learning rate: give the schedule another name"
        yield Mistake(("schedules", CONSTANT), message)
    for label, optimizer in experiment.optimizers.items():
        yield from _wrong_in_choices(("optimizers", label), optimizer, schedules)
        of_optimizer = ("optimizers", label, "problems")
        if optimizer.problems == () and not draft.has_mistakes_in(of_optimizer):
            yield Mistake(of_optimizer, "must name one test problem or more, or be absent")
        for index, name in enumerate(optimizer.problems or ()):
            at = (*of_optimizer, index)
            yield from _unless_problem(at, name, problems, are_all=not has_wrong_problems)
        for schedule in schedules or ():
            row = row_name(label, schedule)
            if row in experiment.optimizers:
                other = f"is what results call the optimizer {label!r} with the schedule"
                yield Mistake(("optimizers", row), f"{other} {schedule!r}: rename it")
    for name, override in experiment.overrides.items():
        place = ("overrides", name)
        yield from _unless_problem(place, name, problems, are_all=not has_wrong_problems)
        for label, choices in override.optimizers.items():
            inner = (*place, "optimizers", label)
            general = experiment.optimizers.get(label)
            if general is not None and general.problems and name not in general.problems:
                message = f"is not tried there: add {name} to optimizers.{label}.problems"
                yield Mistake(inner, message)
            if not draft.hides("optimizers"):
                what = "one of the optimizers of this file"
                yield from _unless_known(inner, label, draft.names_in("optimizers"), what)
            yield from _wrong_in_choices(inner, choices, schedules)


def _wrong_in_choices(
    place: Location, choices: Choices, schedules: Iterable[str] | None
) -> Iterator[Mistake]:
    for name in choices.grid.keys() & choices.hyperparameters.keys():
        message = "is in hyperparameters, too: give it in one of them"
        yield Mistake((*place, "grid", name), message)
    if schedules is None:
        return
    known = [CONSTANT, *schedules]
    # Not the same as absent, which stands for all schedules.
    if choices.schedules == ():
        message = f"must name one schedule or more, or be absent. Allowed: {joined(known)}."
        yield Mistake((*place, "schedules"), message)
    for index, name in enumerate(choices.schedules or ()):
        at = (*place, "schedules", index)
        yield from _unless_known(at, name, known, "a schedule of this file")


def _unless_problem(
    place: Location, name: str, problems: Iterable[str], *, are_all: bool
) -> Iterator[Mistake]:
    if are_all:
        yield from _unless_known(place, name, problems, "one of the problems of this file")
        return
    # One that exists may be the one whose name is misspelled among the problems of the file.
    try:
        registry().problems.offer(name)
    except DeepOBSError as error:
        yield Mistake(place, str(error))


def _unless_known(place: Location, name: str, known: Iterable[str], what: str) -> Iterator[Mistake]:
    names = list(known)
    if name not in names:
        message = f"must be {what}, got {name!r}."
        allowed = f"Allowed: {joined(names)}."
        yield Mistake(place, sentences(message, closest(name, names), allowed))
