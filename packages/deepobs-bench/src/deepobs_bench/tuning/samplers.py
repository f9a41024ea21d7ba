"""Samplers: what suggests the configurations to try, a grid of our own or a sampler of Optuna."""

from __future__ import annotations

import contextlib
import itertools
import math
import warnings
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from deepobs.errors import ArgumentError, MissingPackageError
from deepobs_bench._validation import MAX_CONFIGURATIONS
from deepobs_bench.tuning.spaces import Range, num_points

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

    from deepobs_bench.tuning.spaces import Dimension

    Configuration = dict[str, Any]
    """Values by the names of the space."""

# Optuna itself imports SciPy when it fits the first Gaussian process: ten trials too late.
_MAX_REDRAWS = 20
_MAX_ENUMERATED = 10_000  # points
_LEAST_DIFFERENCE = 1e-3  # of the length of a range
_PACKAGES = {"random": ("optuna",), "tpe": ("optuna",), "gp": ("optuna", "scipy")}


class Search(Protocol):
    """Suggests configurations, and learns how good they were."""

    def ask(self, count: int) -> list[Configuration]:
        """Suggest configurations before the results of any of them are known."""
        ...

    def tell(self, scores: Sequence[float | None]) -> None:
        """Learn how good the last suggestions were, in the same order.

        Args:
            scores: Values to minimize: infinity for a trial that diverged, `None` for one of which
                nothing is known since its runs failed.
        """
        ...


class GridSearch:
    """Suggests all combinations of values; the last hyperparameter changes fastest."""

    def __init__(self, space: Mapping[str, Dimension]) -> None:
        values = [dimension.grid() for dimension in space.values()]
        points = math.prod(map(len, values))
        if points > MAX_CONFIGURATIONS:
            raise ArgumentError(
                f"A grid must have at most {MAX_CONFIGURATIONS} points, got {points}."
            )
        self._configurations = [
            dict(zip(space, chosen, strict=True)) for chosen in itertools.product(*values)
        ]
        self._asked = 0

    def __len__(self) -> int:
        return len(self._configurations)

    def ask(self, count: int) -> list[Configuration]:
        """The next combinations."""
        self._asked += count
        return self._configurations[self._asked - count : self._asked]

    def tell(self, scores: Sequence[float | None]) -> None:
        """A grid does not depend on results."""


class OptunaSearch:
    """Suggests what a sampler of Optuna draws, each configuration once; the same after the same.

    Args:
        sampler: "random", "tpe" or "gp".
        space: What is tried.
        seed: Seed of the sampler.
    """

    def __init__(self, sampler: str, space: Mapping[str, Dimension], seed: int) -> None:
        require_packages(sampler)
        import optuna

        self._space = space
        self._seen: set[str] = set()
        # Samplers that learn draw close points on purpose, and may draw one again and again.
        self._drawn: list[Mapping[str, Any]] | None = [] if sampler == "random" else None
        self._rng = np.random.default_rng(seed)
        self._distributions = {name: _distribution(one) for name, one in space.items()}
        # In memory: tuning again repeats the study from the result files of the runs.
        with _quiet(optuna):
            self._study = optuna.create_study(sampler=_sampler(sampler, seed))
        self._pending: list[optuna.Trial] = []

    def ask(self, count: int) -> list[Configuration]:
        """Suggest configurations; the sampler knows earlier results and pending suggestions."""
        import optuna

        with _quiet(optuna):
            self._pending = [self._new_trial() for _ in range(count)]
        return [self._configuration(trial) for trial in self._pending]

    def _new_trial(self) -> optuna.Trial:
        """Draw until the configuration is a new one; else take any that was not tried."""
        import optuna

        for _ in range(_MAX_REDRAWS):
            trial = self._study.ask(self._distributions)
            configuration = repr(self._configuration(trial))
            if configuration not in self._seen and not self._is_close_to_another(trial.params):
                break
            # Its result is known, or will be: to tell it again would count it twice.
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            # A sampler that learns can insist on one point, and a small space be nearly used up.
            if untried := self._untried():
                self._study.enqueue_trial(untried[int(self._rng.integers(len(untried)))])
            trial = self._study.ask(self._distributions)
            configuration = repr(self._configuration(trial))
        self._seen.add(configuration)
        if self._drawn is not None:
            self._drawn.append(trial.params)
        return trial

    def _is_close_to_another(self, drawn: Mapping[str, Any]) -> bool:
        """Whether a point differs from an earlier one by less than is worth a trial."""
        return any(
            all(_are_close(one, drawn[name], other[name]) for name, one in self._space.items())
            for other in self._drawn or ()
        )

    def _untried(self) -> list[Configuration]:
        """The points that were not tried, as Optuna has them; none of a space of many points."""
        points = num_points(self._space)
        if points is None or points > _MAX_ENUMERATED:
            return []
        axes = [
            range(int(one.low), int(one.high) + 1)
            if isinstance(one, Range)
            else range(len(one.values))
            for one in self._space.values()
        ]
        all_drawn = (dict(zip(self._space, at, strict=True)) for at in itertools.product(*axes))
        return [drawn for drawn in all_drawn if repr(self._values(drawn)) not in self._seen]

    def _configuration(self, trial: optuna.Trial) -> Configuration:
        return self._values(trial.params)

    def _values(self, drawn: Mapping[str, Any]) -> Configuration:
        return {name: _value(one, drawn[name]) for name, one in self._space.items()}

    def tell(self, scores: Sequence[float | None]) -> None:
        """Tell the sampler, always in the order of its suggestions."""
        import optuna

        # A failure says nothing about the values: the sampler must not learn from it.
        failed = optuna.trial.TrialState.FAIL
        with _quiet(optuna):
            for trial, score in zip(self._pending, scores, strict=True):
                self._study.tell(trial, score, state=failed if score is None else None)
        self._pending = []


def require_packages(sampler: str) -> None:
    """Check that the packages that a sampler needs can be imported."""
    for package in _PACKAGES.get(sampler, ()):
        try:
            __import__(package)
        except ImportError as error:
            raise MissingPackageError(
                f"The sampler {sampler!r} needs {package}, which cannot be imported ({error}). "
                "Install it with: pip install 'deepobs-bench[tune]'. The sampler 'grid' needs "
                "no further package."
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
        # By their positions, since Optuna takes no lists as values.
        return distributions.CategoricalDistribution(range(len(dimension.values)))
    if dimension.kind == "int":
        return distributions.IntDistribution(int(dimension.low), int(dimension.high))
    return distributions.FloatDistribution(
        dimension.low, dimension.high, log=dimension.is_logarithmic
    )


def _are_close(dimension: Dimension, drawn: Any, other: Any) -> bool:
    if not isinstance(dimension, Range) or dimension.kind == "int":
        return bool(drawn == other)
    difference = dimension.position(drawn) - dimension.position(other)
    return abs(difference) < _LEAST_DIFFERENCE


def _value(dimension: Dimension, drawn: Any) -> Any:
    return dimension.value_of(drawn) if isinstance(dimension, Range) else dimension.values[drawn]


@contextlib.contextmanager
def _quiet(optuna: ModuleType) -> Iterator[None]:
    """Silence Optuna, which logs every trial, and restore its settings afterwards."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # only code of Optuna runs here
            yield
    finally:
        optuna.logging.set_verbosity(before)
