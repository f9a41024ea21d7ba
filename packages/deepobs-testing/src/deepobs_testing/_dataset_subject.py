"""The data set under examination, which its checks share."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from deepobs import config, rng
from deepobs.protocols import DataSet
from deepobs_testing._execution import Memo
from deepobs_testing._loaders import MOST_BATCHES, require_loaders
from deepobs_testing._process import OTHER_SEED, SEED, next_numbers
from deepobs_testing._report import require

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from deepobs_testing._targets import Target

# The size of synthetic splits; those of DeepOBS have a few hundred examples at least.
FRACTION = 1e-4


class Subject:
    """A data set under examination.

    Attributes:
        spec: Its description, `None` if it has none.
        memo: Results that several checks share.
        numbers_after_building: The next number of torch's RNG after the constructor, by seed.
    """

    most_batches = MOST_BATCHES

    def __init__(self, target: Target, *, batch_size: int, fake_data: bool | float | None) -> None:
        self.target = target
        self.spec = target.spec
        self.batch_size = batch_size
        self.numbers_after_building: dict[int, float] = {}
        self.memo = Memo()
        self._fake_data = fake_data

    @property
    def factory(self) -> Any:
        """What to call."""
        return self.memo("its_target_can_be_imported", self.target.load)

    @property
    def fraction(self) -> float | None:
        """The size of synthetic data, `None` to keep the configuration."""
        return self.memo(
            "it_can_be_built", lambda: fraction_for(self.factory, self._fake_data), "fraction"
        )

    def build(self, batch_size: Any = None, *, seed: int = SEED, **further: Any) -> Any:
        """Build the data set from a seed, on the CPU unless another device is given."""
        factory = self.factory
        size = self.batch_size if batch_size is None else batch_size
        rng.seed(seed)
        with sized(self.fraction):
            data = factory(size, **{"device": "cpu"} | further)
        self.numbers_after_building[seed] = next_numbers()["torch.rand"]
        return data

    @property
    def data(self) -> DataSet:
        """The shared data set."""
        return self.memo("it_can_be_built", self._build_shared)

    @property
    def other_data(self) -> DataSet:
        """The data set of another seed."""
        other: DataSet = self.build(seed=OTHER_SEED)
        return other

    def holding_out(self, size: int, seed: int = SEED) -> DataSet:
        """The data set without some examples, which are held out for validation."""
        divided: DataSet = self.build(validation_size=size, seed=seed)
        return divided

    def _build_shared(self) -> DataSet:
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


def fraction_for(dataset_class: Any, fake_data: bool | float | None) -> float | None:
    """The size of synthetic data as a fraction of the real data, `None` to keep the configuration.

    Args:
        dataset_class: The class of the data set; `None` if it is unknown.
        fake_data: The requested size; `None` for synthetic data only if the real are missing.
    """
    if fake_data is not None:
        return float(fake_data)
    if config.get_fake_data() or dataset_class is None:
        return None
    try:
        is_missing = dataset_class.status(config.get_data_dir()).state == "missing"
    except Exception:  # status is optional, and has a check of its own
        return None
    return FRACTION if is_missing else None


def sized(fraction: float | None) -> AbstractContextManager[None]:
    """A context in which data sets have the size that `fraction_for` returned."""
    return contextlib.nullcontext() if fraction is None else config.temporary(fake_data=fraction)
