"""A data set under examination, built once for all checks."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from deepobs import config, rng
from deepobs.protocols import DataSet
from deepobs_testing._execution import Memo
from deepobs_testing._loaders import require_loaders
from deepobs_testing._process import SEED, next_numbers
from deepobs_testing._report import require

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from deepobs_testing._targets import Target


class Subject:
    """A data set under examination.

    Args:
        target: What to check.
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
        target: Target,
        *,
        batch_size: int,
        fake_data: bool | float | None,
    ) -> None:
        self.target = target
        self.name = target.name
        self.spec = target.spec
        self.batch_size = batch_size
        self.numbers_after_building: dict[int, float] = {}
        self.memo = Memo()
        self._chosen_fake_data = fake_data

    @property
    def factory(self) -> Any:
        """What to call."""
        return self.memo("its_target_can_be_imported", self.target.load)

    @property
    def fraction(self) -> float | None:
        """The size of synthetic data, `None` to leave the setting as it is."""
        return self.memo(
            "it_can_be_built",
            lambda: fake_data_for(self.factory, self._chosen_fake_data),
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
        with in_force(self.fraction):
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


FRACTION = 1e-4
"""The size of synthetic splits: ours make a few hundred examples in any case."""


def fake_data_for(dataset_class: Any, chosen: bool | float | None) -> float | None:
    """How large synthetic data have to be, `None` to leave the setting as it is.

    Args:
        dataset_class: The data set; `None` where it is not known.
        chosen: What the caller wants; `None` for synthetic data where the real are missing.
    """
    if chosen is not None:
        return float(chosen)
    if config.get_fake_data() or dataset_class is None:
        return None
    return FRACTION if _is_missing(dataset_class) else None


def in_force(fraction: float | None) -> AbstractContextManager[None]:
    """Let data sets be of this size for a while.

    Args:
        fraction: What `fake_data_for` answered.
    """
    return contextlib.nullcontext() if fraction is None else config.temporary(fake_data=fraction)


def _is_missing(dataset_class: Any) -> bool:
    try:
        return bool(dataset_class.status(config.get_data_dir()).state == "missing")
    except Exception:  # a stranger's class need not know how it is: a check says so
        return False
