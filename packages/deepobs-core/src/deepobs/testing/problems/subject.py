"""A test problem under examination, set up once for all checks."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from deepobs.plugins import registry
from deepobs.runs.environment import seed_all
from deepobs.testing import fake_data
from deepobs.testing.memo import Memo
from deepobs.testing.problems.start import Start, same_batches

if TYPE_CHECKING:
    from deepobs.protocols import Batch, TestProblem
    from deepobs.testing.things import Thing

SEED = 1
OTHER_SEED = 2
WEIGHT_DECAY = 0.25
"""That of the problem for the other seed: large enough for its regulariser to be seen."""

DEFAULT_BATCH_SIZE = 4


class Subject:
    """A test problem under examination.

    Args:
        thing: What to check.
        batch_size: Examples a batch.
        fake_data: Size of synthetic data; `None` for synthetic data where the real are missing.
        set_up_seconds: How long `set_up` may take.

    Attributes:
        name: What reports call it.
        spec: Its description, `None` where it has none.
        memo: Work that several checks share.
        set_up_took: How long the first `set_up` took, in seconds.
    """

    def __init__(
        self,
        thing: Thing,
        *,
        batch_size: int | None = None,
        fake_data: bool | float | None = None,
        set_up_seconds: float = 60.0,
    ) -> None:
        self.thing = thing
        self.name = thing.name
        self.spec = thing.spec
        self.batch_size = DEFAULT_BATCH_SIZE if batch_size is None else batch_size
        self.set_up_seconds = set_up_seconds
        self.set_up_took = 0.0
        self.memo = Memo()
        self._chosen_fake_data = fake_data

    @property
    def factory(self) -> Any:
        """What to call."""
        return self.memo("its_target_can_be_imported", self.thing.load)

    def build(self, *arguments: Any, seed: int = SEED, **further: Any) -> Any:
        """Build a problem from a seed, without setting it up.

        Args:
            arguments: Those of its constructor; `(batch_size, None, "cpu")` where none are given.
            seed: Seed of all generators.
            further: Further arguments, by name.
        """
        factory = self.factory
        seed_all(seed)
        return factory(*(arguments or (self.batch_size, None, "cpu")), **further)

    def set_up(self, *arguments: Any, seed: int = SEED, **further: Any) -> TestProblem:
        """Build a problem from a seed and set it up; see `build`."""
        with fake_data.in_force(self._fake_data):
            problem: TestProblem = self.build(*arguments, seed=seed, **further)
            problem.set_up()
        return problem

    @property
    def problem(self) -> TestProblem:
        """The problem that all checks share, in whatever state the last one left it."""
        self.memo("it_can_be_built", self.build)
        return self.memo("it_can_be_set_up", self._first_set_up)

    def at_start(self) -> TestProblem:
        """The shared problem with everything as `set_up` left it, the generators, too.

        Where its data cannot be put back, another one is set up.
        """
        problem = self.problem
        if not self.is_repeatable:
            return self.set_up()
        self._start.restore(problem)
        return problem

    @property
    def is_repeatable(self) -> bool:
        """Whether a training pass can be begun again, so that nothing has to be set up anew."""

        def try_twice() -> bool:
            batches = []
            for _ in range(2):
                self._start.restore(self.problem)
                batches.append(next(iter(self.problem.dataset.train_loader)))
            return same_batches(*batches)

        return self.memo("its_loaders_are_sized_and_can_be_read_again", try_twice)

    @property
    def other(self) -> TestProblem:
        """The problem set up from another seed, with a weight decay unless it refuses any."""

        def make() -> TestProblem:
            with contextlib.suppress(Exception):
                return self.set_up(self.batch_size, WEIGHT_DECAY, "cpu", seed=OTHER_SEED)
            return self.set_up(seed=OTHER_SEED)

        return self.memo("it_can_be_set_up_from_another_seed", make)

    def first_batch(self, problem: TestProblem) -> Batch:
        """The first batch of a new pass over fixed training examples."""
        return next(iter(problem.dataset.train_eval_loader))

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
    def _fake_data(self) -> float | None:
        return self.memo(
            "its_data_set_is_registered",
            lambda: fake_data.fake_data_for(self.dataset_class, self._chosen_fake_data),
        )

    def _first_set_up(self) -> TestProblem:
        started = time.perf_counter()
        problem = self.set_up()
        self.set_up_took = time.perf_counter() - started
        self._start = Start(problem)
        return problem
