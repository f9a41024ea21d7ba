"""Specifications of what plugins offer, in light data that costs nothing to list.

A specification names its implementation as an import string (`package.module:attribute`), so that
neither torch nor the plugin's own code is imported before somebody uses it.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeAlias

from deepobs.checks import LONGEST_NAME, is_number
from deepobs.errors import ArgumentError

NEEDS = {
    "plain": "step() after the gradients were computed, nothing else",
    "closure": "step(closure): evaluates the objective itself, any number of times",
    "gradients": "needs the gradients of the batch before step(closure), as SAM does",
    "create_graph": "gradients that can be differentiated again, for second-order methods",
    "loss": "step(loss): gets the objective, whose gradients were computed",
    "backward": "computes the gradients of the loss itself",
    "per_example_losses": "step(losses): gets a loss for each example, with its graph",
    "mode": "optimizer.train() for training and optimizer.eval() for evaluation",
    "model": "is built from the model in place of its parameters",
    "named_parameters": "is built from pairs of names and parameters",
    "context": "context:METHOD: forward and backward pass within optimizer.METHOD()",
    "hook": "hook:METHOD:STEPS: optimizer.METHOD() after every so many steps",
}
"""What an optimizer can need besides parameters and a call of step()."""

_NEED_WITH_METHOD = re.compile(r"context:[^\W\d]\w*|hook:[^\W\d]\w*:[1-9]\d*")


def is_need(word: object) -> bool:
    """Whether a word says what an optimizer needs: a key of `NEEDS`, or one with its method."""
    if not isinstance(word, str) or word in ("context", "hook"):
        return False
    return word in NEEDS or bool(_NEED_WITH_METHOD.fullmatch(word))


_COMMAND_NAME = re.compile(rf"[a-z][a-z0-9-]{{0,{LONGEST_NAME - 1}}}\Z")
# `<locals>` is part of the name of a class inside a function.
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.(<locals>|[^\W\d]\w*))*\Z")


OWN_DATASET = "its own"
"""In place of the name of a data set: the problem builds one that has no name for others."""


def is_target(text: str) -> bool:
    """Whether a text is an import string, `package.module:attribute`."""
    return bool(_TARGET.match(text))


_given: dict[str, type] = {}


def target_of(component: type) -> str:
    """The import string of a class, by which this process finds it wherever it is defined."""
    target = f"{component.__module__}:{component.__qualname__}"
    # A class inside a function is no attribute of its module.
    if "<locals>" in target:
        _given[target] = component
    return target


def given_class(target: str) -> type | None:
    """The class inside a function whose import string was asked for in this process."""
    return _given.get(target)


# What an attribute may hold, in words and as a function.
_Rule: TypeAlias = "tuple[str, Callable[[Any], object]]"

_POSITIVE: _Rule = (
    "an integer of 1 or more",
    lambda value: isinstance(value, int) and is_number(value, 1),
)
_PERFORMANCE: _Rule = (
    "None or a finite number",
    lambda value: value is None or is_number(value),
)
_LINE: _Rule = (
    "a line of text",
    lambda value: isinstance(value, str) and len(value.splitlines()) <= 1,
)
_MAPPING: _Rule = ("a mapping", lambda value: isinstance(value, Mapping))

_RULES: dict[str, _Rule] = {
    "name": (
        f"a public Python identifier of at most {LONGEST_NAME} bytes, such as 'mnist_mlp'",
        lambda name: (
            isinstance(name, str)
            and name.isidentifier()
            and len(name.encode()) <= LONGEST_NAME
            and not name.startswith("_")
            and not keyword.iskeyword(name)
        ),
    ),
    "summary": _LINE,
    "target": (
        "an import string such as 'package.module:Class'",
        lambda value: isinstance(value, str) and is_target(value),
    ),
    "dataset": ("a name", lambda value: isinstance(value, str) and value),
    "batch_size": _POSITIVE,
    "epochs": (
        "an integer of 0 or more",
        lambda value: isinstance(value, int) and is_number(value, 0),
    ),
    "weight_decay": ("None or >= 0", lambda value: value is None or is_number(value, 0)),
    "metric": ("'accuracy' or 'loss'", lambda value: value in ("accuracy", "loss")),
    "tags": (
        "several strings",
        lambda tags: isinstance(tags, frozenset) and all(isinstance(tag, str) for tag in tags),
    ),
    "purpose": _LINE,
    "least_loss": _PERFORMANCE,
    "target_performance": _PERFORMANCE,
    "target_performance_same_order": _PERFORMANCE,
    "threads": (
        "None or an integer of 1 or more",
        lambda value: value is None or (isinstance(value, int) and is_number(value, 1)),
    ),
    "recommended_lr_scheduler": (
        "None or a mapping with a name, and perhaps arguments and every, such as "
        "{'name': 'cosine', 'arguments': {'warmup': 0.05}}",
        lambda value: (
            value is None
            or (
                isinstance(value, Mapping)
                and isinstance(value.get("name"), str)
                and value.keys() <= {"name", "arguments", "every"}
                and isinstance(value.get("arguments", {}), Mapping)
            )
        ),
    ),
    "options": _MAPPING,
    "train_size": _POSITIVE,
    "test_size": _POSITIVE,
    "defaults": _MAPPING,
    "needs": (
        f"None or some of {', '.join(NEEDS)}",
        lambda needs: needs is None or (isinstance(needs, tuple) and all(map(is_need, needs))),
    ),
    "problems": (
        "several strings, the names of one test problem or more",
        lambda names: (
            isinstance(names, tuple) and names and all(isinstance(name, str) for name in names)
        ),
    ),
}
# A plugin could change a list later.
_IMMUTABLE: dict[str, type] = {"tags": frozenset, "needs": tuple, "problems": tuple}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What every specification has.

    Attributes:
        name: The public name: a Python identifier that nothing else of the kind has.
        summary: One line for `deepobs list`.
        kind: What messages call what it describes.
    """

    kind: ClassVar[str]
    _rules: ClassVar[Mapping[str, _Rule]] = _RULES

    name: str
    summary: str

    def __post_init__(self) -> None:
        """Refuse values that could not be used later."""
        for each in fields(self):
            value, rule = getattr(self, each.name), self._rules.get(each.name)
            if each.name == "dataset" and isinstance(value, type):
                value = target_of(value)
                object.__setattr__(self, "dataset", value)
            if value == "" == each.default:  # what the class that has it as `spec` fills in
                continue
            make = _IMMUTABLE.get(each.name)
            # A string is an iterable of strings, too, but is a slip where several are meant.
            if make and isinstance(value, Iterable) and not isinstance(value, str):
                value = make(value)
                object.__setattr__(self, each.name, value)
            if rule and not rule[1](value):
                raise ArgumentError(
                    f"{type(self).__name__} {self.name!r} has {each.name} {value!r}. "
                    f"It must be {rule[0]}."
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec(Spec):
    """A specification of something that is imported when it is used.

    Attributes:
        target: Where the implementation is, as `package.module:attribute`.
    """

    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemSpec(TargetSpec):
    """A test problem: a data set, a model and a loss.

    As the attribute `spec` of a class it needs no name, target and summary, which are those of the
    class. Descriptions that plugins offer have them.

    Attributes:
        dataset: Name of the data set, `package.module:Class` or a class; "its own" if `set_up`
            builds one.
        batch_size: Default number of examples per step.
        epochs: Default number of passes over the training set.
        weight_decay: Default factor of the regularizer `0.5 * factor * ||w||^2`, `None` for none.
        recommended_lr_scheduler: The learning-rate schedule of runs that ask for "recommended", as
            `deepobs.runs.specify` takes it, such as `{"name": "cosine", "arguments": {"warmup":
            0.05}}`; `None` to recommend none.
        metric: What hyperparameter configurations are compared by.
        purpose: What results on it tell about an optimizer, in a sentence; empty for what the
            summary says.
        reference: Where the problem comes from.
        tags: Words to find it by.
        least_loss: The least value of the loss on the test set, where it is known.
        target_performance: Value of the metric on the test set that counts as solved, if one was
            published.
        target_performance_same_order: The same for runs in which every epoch repeats the order of
            the first, where that is another value; `None` for the same.
        threads: The most CPU threads of torch that speed up its runs, 1 for small models; `None`
            for all. Results depend on it in their last bits, so that it is not up to the command.
        independent_examples: Whether, in evaluation, the loss of an example depends on nothing but
            the example and the weights: no random numbers, no other examples of the batch. Several
            batches are then evaluated at once, if the results are the same to the bit.
        options: Further arguments that the target understands, such as the model to build.
    """

    kind = "test problem"

    name: str = ""
    target: str = ""
    summary: str = ""
    dataset: str | type = OWN_DATASET
    batch_size: int
    epochs: int
    weight_decay: float | None = None
    recommended_lr_scheduler: Mapping[str, object] | None = field(default=None, hash=False)
    metric: Literal["accuracy", "loss"] = "loss"
    purpose: str = ""
    reference: str = ""
    tags: frozenset[str] = frozenset()
    least_loss: float | None = None
    target_performance: float | None = None
    target_performance_same_order: float | None = None
    threads: int | None = None
    independent_examples: bool = False
    options: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec(TargetSpec):
    """A data set.

    As the attribute `spec` of a class it needs no name, target and summary, as in `ProblemSpec`.

    Attributes:
        train_size: Number of training examples.
        test_size: Number of test examples.
        example: What one example is, with shapes and ranges.
        reference: Where the data come from.
        embedded: Whether it comes with the package, so that nothing is ever downloaded.
    """

    kind = "data set"

    name: str = ""
    target: str = ""
    summary: str = ""
    train_size: int
    test_size: int
    example: str = ""
    reference: str = ""
    embedded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSpec(TargetSpec):
    """An optimizer under a short name.

    Attributes:
        defaults: Hyperparameters that differ from those of the class.
        needs: What it needs from the training loop, words of `NEEDS`; `None` to infer it.
        reference: Where the method comes from.
    """

    kind = "optimizer"

    defaults: Mapping[str, object] = field(default_factory=dict, hash=False)
    needs: tuple[str, ...] | None = None
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteSpec(Spec):
    """A named set of test problems.

    Attributes:
        problems: Names of its problems.
        needs_all: Whether all of them must be installed; else the suite consists of those that are.
        reference: Where this choice comes from.
    """

    kind = "suite"

    problems: tuple[str, ...]
    needs_all: bool = True
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSpec(TargetSpec):
    """A class that trains one optimizer on one problem."""

    kind = "runner"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSpec(TargetSpec):
    """A `concurrent.futures.Executor` that can execute a sweep."""

    kind = "executor"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotSpec(TargetSpec):
    """A function that draws results.

    Its target is called with a `deepobs_analysis.Results` and returns a
    `matplotlib.figure.Figure`: `plot(results, *, option=default, ...)`. All options are keywords
    with defaults, and `deepobs plot` passes on those that are given. One called `mode` is the rule
    by which an optimizer's configuration is chosen, as in `deepobs_analysis.select`.

    The function draws all results it is given: the caller filters problems and optimizers. It opens
    no window, leaves `matplotlib.rcParams` unchanged, and raises a `DeepOBSError` if it cannot draw
    anything.
    """

    kind = "plot"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerSpec(TargetSpec):
    """A program that tracks experiments, for `--track NAME` or `--track NAME=PLACE`.

    Its target is called with one argument, the place or `None`, before any run, and returns a
    `deepobs.runs.RunObserver`, best a subclass of `deepobs.runs.trackers.Tracker`. It raises a
    `DeepOBSError` if its library is not installed, or if it cannot write there. It is pickled for
    workers, and copied for each run.
    """

    kind = "tracker"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec(TargetSpec):
    """A subcommand of `deepobs`, a `click.Command` that is imported when it is called.

    Attributes:
        name: What is typed: lower-case letters, digits and hyphens.
    """

    kind = "command"
    _rules: ClassVar[Mapping[str, _Rule]] = {
        **_RULES,
        "name": (
            f"of lower-case letters, digits and hyphens, at most {LONGEST_NAME}, such as 'analyze'",
            lambda name: isinstance(name, str) and _COMMAND_NAME.match(name),
        ),
    }
