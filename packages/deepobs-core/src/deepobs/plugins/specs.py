"""What plugins offer, described in light data that costs nothing to list.

A specification names its implementation as an import string (`package.module:attribute`), so that
neither torch nor the plugin's own code is imported before somebody uses it.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from deepobs.checks import LONGEST_NAME
from deepobs.errors import SpecError

_COMMAND_NAME = re.compile(r"[a-z][a-z0-9-]*\Z")
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*\Z")

NEEDS = {
    "plain": "step() after the gradients were computed, and nothing else",
    "closure": "step(closure): evaluates the objective itself, as often as it likes",
    "gradients": "has the gradients of the batch computed before step(closure), as SAM does",
    "create_graph": "gradients that can be differentiated again, for second-order methods",
    "loss": "step(loss): is given the objective, whose gradients were computed",
    "backward": "computes the gradients of the loss that it is given itself",
    "per_example_losses": "step(losses): is given a loss for each example, with its graph",
    "mode": "optimizer.train() for training and optimizer.eval() for evaluation",
    "model": "is built from the model in place of its parameters",
}
"""What an optimizer can need besides parameters and a call of step()."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What every description has.

    Attributes:
        name: The public name: a Python identifier that nothing else of the kind has.
        summary: One line for `deepobs list`.
    """

    name: str
    summary: str
    _name_rule: ClassVar[str] = "a public Python identifier such as 'mnist_mlp'"

    def __post_init__(self) -> None:
        """Refuse a description that could not be used later."""
        if not isinstance(self.name, str) or not self._is_name(self.name):
            raise SpecError(
                f"{type(self).__name__} has name {self.name!r}. A name must be {self._name_rule}."
            )
        self._require(
            "name", len(self.name.encode()) <= LONGEST_NAME, f"of at most {LONGEST_NAME} bytes"
        )
        is_line = isinstance(self.summary, str) and len(self.summary.splitlines()) <= 1
        self._require("summary", is_line, "a line of text")

    @staticmethod
    def _is_name(name: str) -> bool:
        return name.isidentifier() and not name.startswith("_") and not keyword.iskeyword(name)

    def _require(self, attribute: str, fulfilled: bool, allowed: str) -> None:
        if not fulfilled:
            raise SpecError(
                f"{type(self).__name__} {self.name!r} has {attribute} "
                f"{getattr(self, attribute)!r}. It must be {allowed}."
            )

    def _words(self, attribute: str) -> tuple[str, ...]:
        """The strings of a collection; a bare string is a slip, no collection of letters."""
        value = getattr(self, attribute)
        is_collection = isinstance(value, Iterable) and not isinstance(value, str)
        words = tuple(value) if is_collection else (None,)
        self._require(attribute, all(isinstance(word, str) for word in words), "several strings")
        return words


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec(Spec):
    """A description of something that is imported when it is used.

    Attributes:
        target: Where the implementation is, as `package.module:attribute`.
    """

    target: str

    def __post_init__(self) -> None:
        """Refuse a target that no import statement could reach."""
        Spec.__post_init__(self)
        is_target = isinstance(self.target, str) and _TARGET.match(self.target) is not None
        self._require("target", is_target, "an import string such as 'package.module:Class'")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemSpec(TargetSpec):
    """A test problem: a data set, a model and a loss.

    Attributes:
        dataset: Name of the data set.
        batch_size: Default number of examples a step.
        epochs: Default number of passes over the training set.
        weight_decay: Default factor of the regulariser `0.5 * factor * ||w||^2`, `None` for none.
        metric: What settings are compared by.
        reference: Where the problem comes from.
        tags: Words to find it by.
        target_performance: Value of the metric on the test set that counts as solved, where
            one was published.
        options: Further arguments that the target understands, such as the model to build.
    """

    dataset: str
    batch_size: int
    epochs: int
    weight_decay: float | None = None
    metric: Literal["accuracy", "loss"] = "loss"
    reference: str = ""
    tags: frozenset[str] = frozenset()
    target_performance: float | None = None
    options: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse defaults that no run could use."""
        TargetSpec.__post_init__(self)
        self._require("dataset", isinstance(self.dataset, str) and bool(self.dataset), "a name")
        self._require("batch_size", _is_integer(self.batch_size, 1), "an integer of 1 or more")
        self._require("epochs", _is_integer(self.epochs, 0), "an integer of 0 or more")
        self._require("weight_decay", _is_none_or_number(self.weight_decay, 0), "None or >= 0")
        self._require("metric", self.metric in ("accuracy", "loss"), "'accuracy' or 'loss'")
        target = self.target_performance
        self._require("target_performance", _is_none_or_number(target), "None or a finite number")
        self._require("options", isinstance(self.options, Mapping), "a mapping")
        object.__setattr__(self, "tags", frozenset(self._words("tags")))


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec(TargetSpec):
    """A data set.

    Attributes:
        train_size: Number of training examples.
        test_size: Number of test examples.
        example: What one example is, with shapes and ranges.
        reference: Where the data come from.
        embedded: Whether it comes with the package, so that nothing is ever downloaded.
    """

    train_size: int
    test_size: int
    example: str = ""
    reference: str = ""
    embedded: bool = False

    def __post_init__(self) -> None:
        """Refuse empty splits."""
        TargetSpec.__post_init__(self)
        self._require("train_size", _is_integer(self.train_size, 1), "an integer of 1 or more")
        self._require("test_size", _is_integer(self.test_size, 1), "an integer of 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSpec(TargetSpec):
    """An optimizer under a short name.

    Attributes:
        defaults: Hyperparameters that differ from those of the class.
        needs: What it needs of the training loop, words of `NEEDS`; `None` to find out by trying.
        reference: Where the method comes from.
    """

    defaults: Mapping[str, object] = field(default_factory=dict, hash=False)
    needs: tuple[str, ...] | None = None
    reference: str = ""

    def __post_init__(self) -> None:
        """Refuse defaults that are no keyword arguments, and needs that nobody knows."""
        TargetSpec.__post_init__(self)
        self._require("defaults", isinstance(self.defaults, Mapping), "a mapping")
        if self.needs is not None:
            object.__setattr__(self, "needs", self._words("needs"))
            self._require("needs", NEEDS.keys() >= set(self.needs), f"some of {', '.join(NEEDS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteSpec(Spec):
    """A named set of test problems.

    Attributes:
        problems: Names of its problems.
        reference: Where this choice comes from.
    """

    problems: tuple[str, ...]
    reference: str = ""

    def __post_init__(self) -> None:
        """Refuse an empty suite."""
        Spec.__post_init__(self)
        object.__setattr__(self, "problems", self._words("problems"))
        self._require("problems", bool(self.problems), "the names of one test problem or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSpec(TargetSpec):
    """A class that trains one optimizer on one problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSpec(TargetSpec):
    """A `concurrent.futures.Executor` that can carry a sweep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotSpec(TargetSpec):
    """A function that draws results.

    Its target is called with a `deepobs_analysis.Results` and returns a
    `matplotlib.figure.Figure`: `plot(results, *, option=default, ...)`. All options are keywords
    with defaults, and `deepobs plot` passes on those that are given. One called `mode` is the rule
    by which the setting of an optimizer is chosen, as `deepobs_analysis.select` has it.

    The function draws all of the results that it is given: the caller leaves out problems and
    optimizers. It opens no window, leaves `matplotlib.rcParams` as they were, and raises a
    `DeepOBSError` where it cannot draw anything.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec(TargetSpec):
    """A sub-command of `deepobs`, a `click.Command` that is imported when it is called.

    Attributes:
        name: What is typed: lower-case letters, digits and hyphens.
    """

    _name_rule: ClassVar[str] = "of lower-case letters, digits and hyphens, such as 'analyze'"

    @staticmethod
    def _is_name(name: str) -> bool:
        return _COMMAND_NAME.match(name) is not None


def _is_integer(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_none_or_number(value: object, least: float = -math.inf) -> bool:
    if value is None:
        return True
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value >= least
