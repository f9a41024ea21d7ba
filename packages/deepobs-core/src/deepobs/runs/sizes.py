"""Whether a batch fits a data set, decided from its description before any work starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs import checks
from deepobs.errors import DeepOBSError
from deepobs.plugins import registry

if TYPE_CHECKING:
    from deepobs.plugins import ProblemSpec


def check_sizes(problem: ProblemSpec, batch_size: int, validation_size: int) -> None:
    """Refuse a batch or a validation set that is larger than the data.

    Synthetic data are never more than the real ones: where they are fewer, and for data sets that
    are not made of `deepobs.data`, it turns out when the data are loaded.

    Args:
        problem: The test problem.
        batch_size: Examples a step.
        validation_size: Training examples to be held out.

    Raises:
        ArgumentError: It is.
    """
    from deepobs.data.base import BaseDataSet

    datasets = registry().datasets
    try:
        dataset_class = datasets.load(problem.dataset)
    except DeepOBSError:  # the run will say it, and what it was needed for
        return
    # Those of strangers may do with fewer examples than a batch has.
    if not (isinstance(dataset_class, type) and issubclass(dataset_class, BaseDataSet)):
        return
    spec = datasets.spec(problem.dataset)
    checks.integer("validation_size", validation_size, least=0, most=spec.train_size - 1)
    train = spec.train_size - validation_size
    sizes = {"train": train, "test": spec.test_size, "valid": validation_size}
    checks.check_batch_size(batch_size, sizes, spec.name)
