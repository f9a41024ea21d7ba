"""What a test problem has to have, whatever it derives from."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepobs import rng
from deepobs.plugins import registry
from deepobs.protocols import DataSet
from deepobs.runs.lengths import loaders_of
from deepobs.runs.protocol_checks import METHODS
from deepobs.runs.run_state import loader_state, set_loader_state
from deepobs_testing._dataset_subject import fake_data_for, in_force
from deepobs_testing._execution import Memo, TimeLimitReached, time_limit
from deepobs_testing._loaders import require_loaders
from deepobs_testing._process import (
    OTHER_SEED,
    SEED,
    changed_settings,
    next_numbers,
    process_settings,
)
from deepobs_testing._report import CheckFailedError, CheckSkippedError, require, skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from deepobs.protocols import Batch, TestProblem
    from deepobs_testing._targets import Target


def require_methods(problem: Any) -> Any:
    """Let the check fail unless something has the methods of a test problem; return it."""
    missing = [name for name in METHODS if not callable(getattr(problem, name, None))]
    require(
        not missing,
        f"What the constructor returns, of type {type(problem).__name__}, lacks "
        f"{' and '.join(missing)}; a test problem has the methods {', '.join(METHODS)}.",
        "Add them, or derive from deepobs.problems.Problem, which has them.",
    )
    return problem


def require_parts(problem: TestProblem) -> TestProblem:
    """Let the check fail unless a problem that was set up has a model and a data set; return it."""
    model, data = getattr(problem, "model", None), getattr(problem, "dataset", None)
    require(
        isinstance(model, nn.Module),
        f"After set_up, model is {model!r:.100} instead of a torch.nn.Module.",
        "Let set_up assign the model to self.model.",
    )
    require(
        isinstance(data, DataSet),
        f"After set_up, dataset is {data!r:.100}, which lacks some of name, batch_size, "
        "train_loader, train_eval_loader, valid_loader and test_loader.",
        "Let set_up assign the data set to self.dataset; valid_loader may be None.",
    )
    require_loaders(problem.dataset)
    return problem


_CPU = torch.device("cpu")


class PassStart:
    """From where a training pass begins: the states of the loaders and of all generators.

    Args:
        problem: A problem that was just set up.
    """

    def __init__(self, problem: TestProblem) -> None:
        loaders = loaders_of(problem.dataset)
        self._loaders = {split: loader_state(loader) for split, loader in loaders.items()}
        self._random = rng.get_state(_CPU)

    def restore(self, problem: TestProblem) -> None:
        """Put them back.

        Args:
            problem: The same problem.
        """
        for split, loader in loaders_of(problem.dataset).items():
            set_loader_state(loader, self._loaders[split])
        rng.set_state(self._random, _CPU)


class Start:
    """Everything about a problem that checks change, as it was when it was set up.

    Args:
        problem: A problem that was just set up.
    """

    def __init__(self, problem: TestProblem) -> None:
        self._tensors = {name: t.detach().clone() for name, t in tensors_of(problem.model).items()}
        self._modes = {name: module.training for name, module in problem.model.named_modules()}
        self._pass = PassStart(problem)

    def restore(self, problem: TestProblem) -> None:
        """Put all of it back.

        Args:
            problem: The same problem.
        """
        for name, tensor in tensors_of(problem.model).items():
            start = self._tensors[name]
            if tensor.dtype != start.dtype:
                tensor.data = tensor.data.to(start.dtype)
            tensor.data.copy_(start)
            tensor.grad = None
        for name, module in problem.model.named_modules():
            module.training = self._modes[name]
        self._pass.restore(problem)


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, those that are not saved, too."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def same_batches(first: Batch, second: Batch) -> bool:
    """Whether two batches hold the same numbers."""
    return len(first) == len(second) and all(map(torch.equal, first, second))


BATCHES = 3
_LEARNING_RATE = 1e-4


def first_batches(problem: TestProblem) -> list[Batch]:
    """The first training batches of a new pass."""
    return list(itertools.islice(iter(problem.dataset.train_loader), BATCHES))


def trajectory(
    problem: TestProblem,
    steps: int = BATCHES,
    after_first: Callable[[], object] | None = None,
) -> list[float]:
    """The objective before each of a few steps.

    Args:
        problem: A problem that was just set up.
        steps: How many to take.
        after_first: What to do after the first step; `None` for nothing.
    """
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=_LEARNING_RATE)
    problem.model.train()
    losses: list[Tensor] = []
    for batch in itertools.islice(iter(problem.dataset.train_loader), steps):
        optimizer.zero_grad()
        loss, _ = problem.get_batch_loss_and_accuracy(batch, reduction="mean")
        objective = loss + problem.get_regularization_loss()
        objective.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(objective.detach())
        if after_first is not None and len(losses) == 1:
            after_first()
    optimizer.zero_grad()
    return [float(loss) for loss in losses]


WEIGHT_DECAY = 0.25
"""That of the problem for the other seed: large enough for its regulariser to be seen."""


class Subject:
    """A test problem under examination.

    Args:
        target: What to check.
        batch_size: Examples a batch.
        fake_data: Size of synthetic data; `None` for synthetic data where the real are missing.
        set_up_seconds: How long `set_up` may take.

    Attributes:
        name: What reports call it.
        spec: Its description, `None` where it has none.
        memo: Work that several checks share.
        set_up_took: How long the first `set_up` took, in seconds.
        refusal_of_weight_decay: Why the constructor refuses one, empty where it does not.
        numbers_after_set_up: What global generators give after a `set_up`, by its seed.
        changed_settings: Settings of the process that constructor or `set_up` changed.
    """

    def __init__(
        self,
        target: Target,
        *,
        batch_size: int,
        fake_data: bool | float | None,
        set_up_seconds: float,
    ) -> None:
        self.target = target
        self.name = target.name
        self.spec = target.spec
        self.batch_size = batch_size
        self.set_up_seconds = set_up_seconds
        self.set_up_took = 0.0
        self.refusal_of_weight_decay = ""
        self.numbers_after_set_up: dict[int, dict[str, float]] = {}
        self.changed_settings: set[str] = set()
        self._settings_before: dict[str, Any] = {}
        self.memo = Memo()
        self._chosen_fake_data = fake_data

    @property
    def factory(self) -> Any:
        """What to call."""
        return self.memo("its_target_can_be_imported", self.target.load)

    def build(self, *arguments: Any, seed: int = SEED, **further: Any) -> Any:
        """Build a problem from a seed, without setting it up.

        Args:
            arguments: Those of its constructor; `(batch_size, None, "cpu")` where none are given.
            seed: Seed of all generators.
            further: Further arguments, by name.

        Raises:
            CheckSkippedError: Arguments are given, but it is a function that takes none.
        """
        factory = self.factory
        if arguments or further:
            self.need_arguments()
        rng.seed(seed)
        self._settings_before = process_settings()
        with in_force(self._fake_data):
            if arguments or "batch_size" in further or self._takes_no_arguments:
                return factory(*arguments, **further)
            return factory(self.batch_size, None, "cpu", **further)

    def set_up(self, *arguments: Any, seed: int = SEED, **further: Any) -> TestProblem:
        """Build a problem from a seed and set it up; see `build`."""
        problem: TestProblem = self.build(*arguments, seed=seed, **further)
        with in_force(self._fake_data):
            problem.set_up()
        self.changed_settings |= set(changed_settings(self._settings_before))
        self.numbers_after_set_up[seed] = next_numbers()
        return problem

    def need_arguments(self) -> None:
        """Leave the rest of a check out if problems are built by a function without arguments."""
        if self._takes_no_arguments:
            skip("It is built by a function that takes no arguments")

    @property
    def built(self) -> Any:
        """A problem that was not set up."""

        def build() -> Any:
            with self._in_time("The constructor"):
                return require_methods(self.build())

        return self.memo("it_can_be_built", build)

    @property
    def problem(self) -> TestProblem:
        """The problem that all checks share, in whatever state the last one left it."""
        self.built  # noqa: B018 # what cannot be built need not be set up
        return self.memo("it_can_be_set_up", self._first_set_up)

    def at_start(self) -> TestProblem:
        """The shared problem with everything as `set_up` left it, the generators, too.

        Where its data cannot be put back, another one is set up.
        """
        problem = self.problem
        if not self._is_repeatable:
            return self.set_up()
        self._start.restore(problem)
        return problem

    def again_at_start(self) -> TestProblem:
        """Another problem from the same seed, as `set_up` left it until somebody trains it."""
        if not self._is_repeatable:
            return self.set_up()
        problem, start = self.memo(
            "the_same_seed_gives_the_same_weights_and_batches",
            lambda: (again := self.set_up(), PassStart(again)),
        )
        start.restore(problem)
        return problem

    def again_was_trained(self) -> None:
        """Let the other problem from the same seed be set up again when it is asked for."""
        self.memo.forget("the_same_seed_gives_the_same_weights_and_batches")

    @property
    def trajectory(self) -> list[float]:
        """The losses of a few steps from the start."""
        return self.memo(
            "the_same_seed_gives_the_same_training", lambda: trajectory(self.at_start())
        )

    @property
    def other(self) -> TestProblem:
        """The problem set up from another seed, with a weight decay unless it refuses any."""

        def make() -> TestProblem:
            self.problem  # noqa: B018 # what cannot be set up without one cannot be with one, too
            try:
                return self.set_up(self.batch_size, WEIGHT_DECAY, "cpu", seed=OTHER_SEED)
            # ArgumentError is a ValueError.
            except (ValueError, NotImplementedError, CheckSkippedError) as error:
                self.refusal_of_weight_decay = str(error).rstrip(".")
            return self.set_up(seed=OTHER_SEED)

        return self.memo("another_seed_gives_other_weights", make)

    def first_batch(self, problem: TestProblem) -> Batch:
        """The first batch of a new pass over fixed training examples."""
        return next(iter(problem.dataset.train_eval_loader))

    def dataset_holding_out(self, validation_size: int, seed: int) -> DataSet:
        """The data set of the problem, with some examples held out for validation."""
        problem = self.build(
            self.batch_size, None, "cpu", validation_size=validation_size, seed=seed
        )
        with in_force(self._fake_data):
            if hasattr(problem, "build_dataset"):  # which spares building the model
                problem.dataset = problem.build_dataset()
            else:
                problem.set_up()
        data: DataSet = problem.dataset
        return data

    @property
    def dataset_class(self) -> Any:
        """The class of the data set that the description names, `None` where that is not known."""
        name = getattr(self.spec, "dataset", None)
        if name is None:
            return None
        try:
            return registry().datasets.load(name)
        except Exception:  # a check of its own says so
            return None

    @property
    def _takes_no_arguments(self) -> bool:
        factory = self.factory
        return inspect.isfunction(factory) and not inspect.signature(factory).parameters

    @property
    def _is_repeatable(self) -> bool:
        """Whether a training pass can be begun again, so that nothing has to be set up anew."""

        def try_twice() -> bool:
            batches = []
            for _ in range(2):
                self._start.restore(self.problem)
                batches.append(next(iter(self.problem.dataset.train_loader)))
            return same_batches(*batches)

        check = "its_batches_are_tuples_of_tensors_on_the_device"
        return self.memo(check, try_twice, "repeatable")

    @property
    def _fake_data(self) -> float | None:
        return self.memo(
            "its_data_set_is_registered",
            lambda: fake_data_for(self.dataset_class, self._chosen_fake_data),
        )

    def _first_set_up(self) -> TestProblem:
        started = time.perf_counter()
        with self._in_time("set_up"):
            problem = require_parts(self.set_up())
        self.set_up_took = time.perf_counter() - started
        if self._takes_no_arguments:
            self.batch_size = problem.dataset.batch_size
        self._start = Start(problem)
        return problem

    @contextlib.contextmanager
    def _in_time(self, what: str) -> Iterator[None]:
        try:
            with time_limit(self.set_up_seconds):
                yield
        except TimeLimitReached:
            raise CheckFailedError(
                f"{what} was not done after {self.set_up_seconds:g} s and was interrupted.",
                "Do slow work once and keep its result, or allow more time (set_up_seconds).",
            ) from None
