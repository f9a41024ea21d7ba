"""A data set under examination, built once for all checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepobs import rng
from deepobs.protocols import DataSet
from deepobs_testing import fake_data
from deepobs_testing.examination import BATCH_SIZE
from deepobs_testing.generators import SEED, next_numbers
from deepobs_testing.loaders import require_loaders
from deepobs_testing.memo import Memo
from deepobs_testing.verdicts import require

if TYPE_CHECKING:
    from deepobs_testing.things import Thing


class Subject:
    """A data set under examination.

    Args:
        thing: What to check.
        batch_size: Examples a batch.
        fake_data: Size of synthetic data; `None` for synthetic data where the real are missing.

    Attributes:
        name: What reports call it.
        spec: Its description, `None` where it has none.
        memo: Work that several checks share.
        numbers_after_building: The first random number that follows the constructor, by its seed.
    """

    def __init__(
        self,
        thing: Thing,
        *,
        batch_size: int | None = None,
        fake_data: bool | float | None = None,
    ) -> None:
        self.thing = thing
        self.name = thing.name
        self.spec = thing.spec
        self.batch_size = BATCH_SIZE if batch_size is None else batch_size
        self.numbers_after_building: dict[int, float] = {}
        self.memo = Memo()
        self._chosen_fake_data = fake_data

    @property
    def factory(self) -> Any:
        """What to call."""
        return self.memo("its_target_can_be_imported", self.thing.load)

    @property
    def fraction(self) -> float | None:
        """The size of synthetic data, `None` to leave the setting as it is."""
        return self.memo(
            "it_can_be_built",
            lambda: fake_data.fake_data_for(self.factory, self._chosen_fake_data),
            "fraction",
        )

    def build(self, batch_size: Any = None, *, seed: int = SEED, **further: Any) -> Any:
        """Build the data set from a seed, on the CPU unless another device is named.

        Args:
            batch_size: Examples a batch; `None` for as many as in all checks.
            seed: Seed of all generators.
            further: Further arguments, by name.
        """
        factory = self.factory
        size = self.batch_size if batch_size is None else batch_size
        rng.seed(seed)
        with fake_data.in_force(self.fraction):
            data = factory(size, **{"device": "cpu"} | further)
        self.numbers_after_building[seed] = next_numbers()["torch.rand"]
        return data

    @property
    def data(self) -> DataSet:
        """The data set that all checks share."""
        return self.memo("it_can_be_built", self._first)

    def _first(self) -> DataSet:
        data = self.build()
        require(
            isinstance(data, DataSet),
            f"What the constructor returns, of type {type(data).__name__}, lacks some of name, "
            "batch_size, train_loader, train_eval_loader, valid_loader and test_loader.",
            "Add them, or derive from deepobs.data.TensorDataSet, which has them.",
        )
        found: DataSet = data
        require_loaders(found)
        return found
