"""The test problem under examination, which its checks share and return to its start."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepobs import config, rng
from deepobs.plugins import registry
from deepobs.protocols import DataSet
from deepobs.run_specifications import RunSpecification
from deepobs.runs.assembly import PROBLEM_METHODS, unknown_options
from deepobs.runs.run_state import loader_state, set_loader_state
from deepobs_testing._dataset_subject import fraction_for, sized
from deepobs_testing._execution import Memo, TimeLimitReached, time_limit
from deepobs_testing._loaders import FEW_BATCHES, MOST_BATCHES, loaders_of, require_loaders
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

    from deepobs.protocols import Batch, TestProblem
    from deepobs_testing._targets import Target

# The weight decay of the problem of the other seed, large enough to see the regularizer.
WEIGHT_DECAY = 0.25

BATCHES = 3
"""Training batches that are compared, and steps of `trajectory`."""

LEARNING_RATE = 1e-4

_NO_VALIDATION_SIZE = "Its constructor does not take validation_size, which is optional"
_CPU = torch.device("cpu")


class Subject:
    """A test problem under examination.

    Attributes:
        spec: Its description, `None` if it has none.
        memo: Results that several checks share.
        set_up_took: Duration of the first `set_up` in seconds.
        refusal_of_weight_decay: Why the constructor refuses a weight decay; empty if it does not.
        numbers_after_set_up: The next numbers of the global RNGs after `set_up`, by seed.
        changed_settings: Settings of the process that the constructor or `set_up` changed.
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
        self.spec = target.spec
        self.batch_size = batch_size
        self.set_up_seconds = set_up_seconds
        self.set_up_took = 0.0
        self.refusal_of_weight_decay = ""
        self.numbers_after_set_up: dict[int, dict[str, float]] = {}
        self.changed_settings: set[str] = set()
        self.memo = Memo()
        self._settings_before: dict[str, Any] = {}
        self._fake_data = fake_data

    @property
    def factory(self) -> Any:
        """What to call."""
        return self.memo("its_target_can_be_imported", self.target.load)

    def build(self, *arguments: Any, seed: int = SEED, **further: Any) -> Any:
        """Build a problem from a seed, without setting it up.

        The arguments of its constructor are by default `(batch_size, None, "cpu")`. A function
        without arguments can be given none, which skips the check.
        """
        factory = self.factory
        if arguments or further:
            self.need_arguments()
        # After the import of the factory, which happens once and may draw numbers: two problems
        # from one seed would start apart.
        rng.seed(seed)
        self._settings_before = process_settings()
        with sized(self._fraction):
            if arguments or "batch_size" in further or self._takes_no_arguments:
                return factory(*arguments, **further)
            return factory(self.batch_size, None, "cpu", **further)

    def set_up(self, *arguments: Any, seed: int = SEED, **further: Any) -> TestProblem:
        """Build a problem from a seed and set it up; see `build`."""
        problem: TestProblem = self.build(*arguments, seed=seed, **further)
        with sized(self._fraction):
            problem.set_up()
        self.changed_settings |= set(changed_settings(self._settings_before))
        self.numbers_after_set_up[seed] = next_numbers()
        return problem

    def need_arguments(self) -> None:
        """Skip the check if a function without arguments builds the problem."""
        if self._takes_no_arguments:
            skip("It is built by a function that takes no arguments")

    @property
    def built(self) -> Any:
        """A problem that is not set up."""

        def build() -> Any:
            with self._in_time("The constructor"):
                return require_methods(self.build())

        return self.memo("it_can_be_built", build)

    @property
    def problem(self) -> TestProblem:
        """The shared problem, in the state in which the last check left it."""
        self.built  # noqa: B018 # skips the check if it cannot be built
        return self.memo("it_can_be_set_up", self._first_set_up)

    def at_start(self) -> TestProblem:
        """The shared problem in the state after `set_up`, that of the global RNGs included."""
        problem = self.problem
        # Loaders of other packages may keep a state that cannot be restored.
        if not self._is_repeatable:
            return self.set_up()
        self._start.restore(problem)
        return problem

    def again_at_start(self) -> TestProblem:
        """A second problem from the same seed, as `set_up` left it unless it was trained."""
        if not self._is_repeatable:
            return self.set_up()
        problem, start = self.memo(
            "the_same_seed_gives_the_same_weights_and_batches",
            # Not a _Start: its copies of the weights would double the memory of large networks.
            lambda: (again := self.set_up(), _PassStart(again)),
        )
        start.restore(problem)
        return problem

    def again_was_trained(self) -> None:
        """Set up the second problem again when it is needed."""
        self.memo.forget("the_same_seed_gives_the_same_weights_and_batches")

    @property
    def trajectory(self) -> list[float]:
        """The objective before each of a few training steps from the start."""
        return self.memo(
            "the_same_seed_gives_the_same_training", lambda: trajectory(self.at_start())
        )

    @property
    def other(self) -> TestProblem:
        """A problem from another seed, with a weight decay unless it refuses any."""

        def make() -> TestProblem:
            self.problem  # noqa: B018 # skips the check if it cannot be set up without one
            # Seed and weight decay at once, since large networks take long to set up.
            try:
                return self.set_up(self.batch_size, WEIGHT_DECAY, "cpu", seed=OTHER_SEED)
            except (ValueError, NotImplementedError, CheckSkippedError) as error:
                self.refusal_of_weight_decay = str(error).rstrip(".")
            return self.set_up(seed=OTHER_SEED)

        return self.memo("another_seed_gives_other_weights", make)

    def first_batch(self, problem: TestProblem) -> Batch:
        """The first batch of a new pass over fixed training examples."""
        return next(iter(problem.dataset.train_eval_loader))

    @property
    def most_batches(self) -> int:
        """How many batches of a pass to read: few if the data set is checked separately."""
        return MOST_BATCHES if self._dataset_class is None else FEW_BATCHES

    @property
    def data(self) -> DataSet:
        """The data set of the shared problem, at the start of a training pass."""
        return self.at_start().dataset

    @property
    def other_data(self) -> DataSet:
        """The data set of another seed."""
        return self.other.dataset

    def holding_out(self, size: int, seed: int = SEED) -> DataSet:
        """A data set without some examples, which are held out for validation."""
        if unknown_options(self.factory, ["validation_size"]):
            skip(_NO_VALIDATION_SIZE)
        try:
            problem = self.build(self.batch_size, None, "cpu", validation_size=size, seed=seed)
        except TypeError as error:  # **arguments that are passed on to a constructor without it
            if "validation_size" not in str(error):
                raise
            skip(_NO_VALIDATION_SIZE)
        with sized(self._fraction):
            if hasattr(problem, "build_dataset"):  # large models take long to build
                problem.dataset = problem.build_dataset()
            else:
                problem.set_up()
        data: DataSet = problem.dataset
        return data

    @property
    def _dataset_class(self) -> Any:
        """The class of the data set that the description names, `None` if it is unknown."""
        try:
            return registry().datasets.load(self.spec.dataset)
        except Exception:  # its_data_set_is_registered reports it
            return None

    @property
    def _takes_no_arguments(self) -> bool:
        factory = self.factory
        return inspect.isfunction(factory) and not inspect.signature(factory).parameters

    @property
    def _is_repeatable(self) -> bool:
        """Whether a training pass can be restarted, so that no new problem has to be set up."""

        def try_twice() -> bool:
            batches = []
            for _ in range(2):
                self._start.restore(self.problem)
                batches.append(next(iter(self.problem.dataset.train_loader)))
            return same_batches(*batches)

        check = "its_batches_are_tuples_of_tensors_on_the_device"
        return self.memo(check, try_twice, "repeatable")

    @property
    def _fraction(self) -> float | None:
        return self.memo(
            "its_data_set_is_registered",
            lambda: fraction_for(self._dataset_class, self._fake_data),
        )

    def _first_set_up(self) -> TestProblem:
        started = time.perf_counter()
        with self._in_time("set_up"):
            problem = require_parts(self.set_up())
        self.set_up_took = time.perf_counter() - started
        if self._takes_no_arguments:
            self.batch_size = problem.dataset.batch_size
        self._start = _Start(problem)
        return problem

    @contextlib.contextmanager
    def _in_time(self, what: str) -> Iterator[None]:
        try:
            with time_limit(self.set_up_seconds):
                yield
        except TimeLimitReached:
            raise CheckFailedError(
                f"{what} was interrupted after {self.set_up_seconds:g} s.",
                "Do slow work once and cache its result, or raise the limit (set_up_seconds).",
            ) from None


class _PassStart:
    """The start of a training pass: the states of the loaders and of the global RNGs."""

    def __init__(self, problem: TestProblem) -> None:
        loaders = loaders_of(problem.dataset)
        self._loaders = {name: loader_state(loader) for name, loader in loaders.items()}
        self._rng = rng.get_state(_CPU)

    def restore(self, problem: TestProblem) -> None:
        """Restore the state of the same problem."""
        for name, loader in loaders_of(problem.dataset).items():
            set_loader_state(loader, self._loaders[name])
        rng.set_state(self._rng, _CPU)


class _Start:
    """The state of a problem after `set_up`, as far as checks change it."""

    def __init__(self, problem: TestProblem) -> None:
        self._tensors = {name: t.detach().clone() for name, t in tensors_of(problem.model).items()}
        self._modes = {name: module.training for name, module in problem.model.named_modules()}
        self._pass = _PassStart(problem)

    def restore(self, problem: TestProblem) -> None:
        """Restore the state of the same problem."""
        for name, tensor in tensors_of(problem.model).items():
            start = self._tensors[name]
            # In place, since optimizers and tied weights refer to the tensors themselves. Only the
            # check of gradients changes the type, to float64.
            if tensor.dtype != start.dtype:
                tensor.data = tensor.data.to(start.dtype)
            tensor.data.copy_(start)
            tensor.grad = None
        for name, module in problem.model.named_modules():
            module.training = self._modes[name]
        self._pass.restore(problem)


def specified(subject: Subject) -> RunSpecification:
    """A run of the problem with plain SGD."""
    return RunSpecification(
        testproblem=subject.target.name,
        optimizer="SGD",
        optimizer_target="torch.optim:SGD",
        hyperparameters={"lr": LEARNING_RATE},
        batch_size=subject.batch_size,
        num_epochs=1,
        fake_data_fraction=config.get_fake_data_fraction(),
    )


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, those that are not saved included."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def same_batches(first: Batch, second: Batch) -> bool:
    """Whether two batches hold the same numbers."""
    return len(first) == len(second) and all(map(torch.equal, first, second))


def require_methods(problem: Any) -> Any:
    """Fail the check unless an object has the methods of a test problem; return it."""
    missing = [name for name in PROBLEM_METHODS if not callable(getattr(problem, name, None))]
    require(
        not missing,
        f"What the constructor returns, of type {type(problem).__name__}, lacks "
        f"{' and '.join(missing)}; a test problem has the methods {', '.join(PROBLEM_METHODS)}.",
        "Add them, or derive from deepobs.problems.Problem, which has them.",
    )
    return problem


def require_parts(problem: TestProblem) -> TestProblem:
    """Fail the check unless a problem after `set_up` has a model and a data set; return it."""
    model, data = getattr(problem, "model", None), getattr(problem, "dataset", None)
    require(
        isinstance(model, nn.Module),
        f"After set_up, model is {model!r:.100} instead of a torch.nn.Module.",
        "Assign the model to self.model in set_up.",
    )
    require(
        isinstance(data, DataSet),
        f"After set_up, dataset is {data!r:.100}, which lacks some of name, batch_size, "
        "train_loader, train_eval_loader, valid_loader and test_loader.",
        "Assign the data set to self.dataset in set_up; valid_loader may be None.",
    )
    require_loaders(problem.dataset)
    return problem


def trajectory(
    problem: TestProblem, steps: int = BATCHES, after_first: Callable[[], object] = lambda: None
) -> list[float]:
    """Take a few plain steps, as in a user's own loop, and return the objective before each."""
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=LEARNING_RATE)
    problem.model.train()
    losses: list[Tensor] = []
    for batch in itertools.islice(iter(problem.dataset.train_loader), steps):
        optimizer.zero_grad()
        loss, _ = problem.get_batch_loss_and_accuracy(batch, reduction="mean")
        objective = loss + problem.get_regularization_loss()
        objective.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(objective.detach())
        if len(losses) == 1:
            after_first()
    optimizer.zero_grad()
    return [float(loss) for loss in losses]
