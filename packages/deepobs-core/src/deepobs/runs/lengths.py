"""How many batches the splits of a problem have at full size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs.plugins import registry
from deepobs.protocols import loaders_of

if TYPE_CHECKING:
    from deepobs.protocols import DataSet
    from deepobs.records import RunSpecification


def full_lengths(dataset: DataSet, specification: RunSpecification) -> dict[str, int]:
    """Batches of a pass over each split, as many as the real data have.

    Args:
        dataset: The data set of the run; synthetic ones may be a fraction of the real size.
        specification: The run.

    Returns:
        Numbers of batches by the name of the split.
    """
    lengths = {name: len(loader) for name, loader in loaders_of(dataset).items()}
    sizes: dict[str, int] = getattr(dataset, "split_sizes", {})
    # Data sets of others need not tell their sizes: what they yield is all there is to go by.
    if not getattr(dataset, "is_fake", False) or not lengths.keys() <= sizes.keys():
        return lengths
    full_sizes = _full_sizes(dataset, specification, sizes)
    return {
        name: _scaled(length, sizes[name], full_sizes[name], specification.batch_size)
        for name, length in lengths.items()
    }


def _full_sizes(
    dataset: DataSet, specification: RunSpecification, sizes: dict[str, int]
) -> dict[str, int]:
    """Examples of each split of the real data."""
    problem = registry().problems.spec(specification.testproblem)
    spec = registry().datasets.spec(problem.dataset)
    train = spec.train_size - specification.validation_size
    proportional = round(sizes["train_eval"] * train / sizes["train"])
    return {
        "train": train,
        "train_eval": min(getattr(dataset, "train_eval_size", proportional), train),
        "valid": specification.validation_size,
        "test": spec.test_size,
    }


def _scaled(length: int, size: int, full_size: int, batch_size: int) -> int:
    """Batches of a split that grows, with its last, smaller batch left out or not as before."""
    if size == full_size:
        return length
    if length == size // batch_size:
        return full_size // batch_size
    if length == -(-size // batch_size):
        return -(-full_size // batch_size)
    return round(length * full_size / size)  # an example is not what a batch counts
