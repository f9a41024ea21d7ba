"""What suggests the settings to try: a grid of ours, or a sampler of Optuna."""

from __future__ import annotations

import contextlib
import itertools
import math
import warnings
from typing import TYPE_CHECKING, Any, Protocol

from deepobs.errors import ArgumentError, MissingPackageError
from deepobs_bench.tuning.spaces import Range
from deepobs_bench.values import MOST_POINTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

    from deepobs_bench.tuning.spaces import Dimension

    Setting = dict[str, Any]
    """Values by the names of the space."""

_PACKAGES = {"random": ("optuna",), "tpe": ("optuna",), "gp": ("optuna", "scipy")}


class Search(Protocol):
    """Suggests settings, and learns how good they were."""

    def ask(self, count: int) -> list[Setting]:
        """Suggest settings, before the results of any of them are known."""
        ...

    def tell(self, scores: Sequence[float | None]) -> None:
        """Learn how good the settings were that were asked for last, in the same order.

        Args:
            scores: What is to be small; infinite for a run that diverged, `None` for a setting of
                which nothing is known because its runs failed.
        """
        ...


class GridSearch:
    """Suggests all combinations of values; the last hyperparameter changes fastest.

    Args:
        space: What is tried.

    Raises:
        ArgumentError: Nobody said how many points there are, or there are too many.
    """

    def __init__(self, space: Mapping[str, Dimension]) -> None:
        values = [dimension.grid() for dimension in space.values()]
        points = math.prod(map(len, values))
        if points > MOST_POINTS:
            raise ArgumentError(f"A grid must have at most {MOST_POINTS} points, got {points}.")
        self._settings = [
            dict(zip(space, chosen, strict=True)) for chosen in itertools.product(*values)
        ]
        self._asked = 0

    def __len__(self) -> int:
        return len(self._settings)

    def ask(self, count: int) -> list[Setting]:
        """The next combinations."""
        self._asked += count
        return self._settings[self._asked - count : self._asked]

    def tell(self, scores: Sequence[float | None]) -> None:
        """A grid is what it is."""


class OptunaSearch:
    """Suggests what a sampler of Optuna draws.

    Args:
        sampler: "random", "tpe" or "gp".
        space: What is tried.
        seed: Seed of the sampler: with the same results, it suggests the same again.

    Raises:
        MissingPackageError: Optuna, or what its sampler needs, is not installed.
    """

    def __init__(self, sampler: str, space: Mapping[str, Dimension], seed: int) -> None:
        require_packages(sampler)
        import optuna

        self._space = space
        self._distributions = {name: _distribution(one) for name, one in space.items()}
        with _quiet(optuna):
            self._study = optuna.create_study(sampler=_sampler(sampler, seed))
        self._pending: list[optuna.Trial] = []

    def ask(self, count: int) -> list[Setting]:
        """Suggest settings; the sampler knows those that it was told, and what it suggested."""
        import optuna

        with _quiet(optuna):
            self._pending = [self._study.ask(self._distributions) for _ in range(count)]
        return [
            {name: _value(self._space[name], drawn) for name, drawn in trial.params.items()}
            for trial in self._pending
        ]

    def tell(self, scores: Sequence[float | None]) -> None:
        """Tell the sampler, always in the order of its suggestions."""
        import optuna

        failed = optuna.trial.TrialState.FAIL
        with _quiet(optuna):
            for trial, score in zip(self._pending, scores, strict=True):
                self._study.tell(trial, score, state=failed if score is None else None)
        self._pending = []


def require_packages(sampler: str) -> None:
    """Make sure that what a sampler needs is installed.

    Args:
        sampler: "grid", "random", "tpe" or "gp".

    Raises:
        MissingPackageError: It is not.
    """
    for package in _PACKAGES.get(sampler, ()):
        try:
            __import__(package)
        except ImportError as error:
            raise MissingPackageError(
                f"The sampler {sampler!r} needs {package}, which cannot be imported ({error}). "
                "Install it with: pip install 'deepobs-bench[tune]'. The sampler 'grid' needs "
                "nothing."
            ) from error


def _sampler(name: str, seed: int) -> BaseSampler:
    from optuna import samplers

    if name == "tpe":
        return samplers.TPESampler(seed=seed)
    if name == "gp":
        return samplers.GPSampler(seed=seed)
    return samplers.RandomSampler(seed=seed)


def _distribution(dimension: Dimension) -> BaseDistribution:
    from optuna import distributions

    if not isinstance(dimension, Range):
        # By their positions, since Optuna takes no lists.
        return distributions.CategoricalDistribution(range(len(dimension.values)))
    if dimension.kind == "int":
        return distributions.IntDistribution(int(dimension.low), int(dimension.high))
    return distributions.FloatDistribution(
        dimension.low, dimension.high, log=dimension.is_logarithmic
    )


def _value(dimension: Dimension, drawn: Any) -> Any:
    return dimension.value_of(drawn) if isinstance(dimension, Range) else dimension.values[drawn]


@contextlib.contextmanager
def _quiet(optuna: ModuleType) -> Iterator[None]:
    """Keep Optuna from writing about every trial, and leave its settings as they were."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # only code of Optuna's runs here
            yield
    finally:
        optuna.logging.set_verbosity(before)
