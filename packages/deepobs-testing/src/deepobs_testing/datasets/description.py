"""What a plugin says of its data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs_testing.descriptions import require_callable, require_summary
from deepobs_testing.verdicts import require, skip

if TYPE_CHECKING:
    from deepobs_testing.datasets.subject import Subject


def its_summary_says_what_it_is(subject: Subject) -> None:
    """`deepobs list` has something to show."""
    require_summary(subject.spec, "Write a line that says what the examples are.")


def its_target_can_be_imported(subject: Subject) -> None:
    """The import string of the description leads to something that can be called."""
    require_callable(subject.spec, subject.factory)


def its_name_is_that_of_its_description(subject: Subject) -> None:
    """Result files name the data set as its description does."""
    require(
        subject.data.name == subject.spec.name,
        f"Its attribute name is {subject.data.name!r}, but the description calls it "
        f"{subject.spec.name!r}.",
        "Let name return the name of the description.",
    )


def its_sizes_are_those_of_its_description(subject: Subject) -> None:
    """The real data have as many training and test examples as the description says."""
    spec, data = subject.spec, subject.data
    if getattr(data, "is_fake", subject.fraction is not None):
        skip("The real data are not here: synthetic ones may have other sizes")
    sizes = getattr(data, "split_sizes", None)
    expected = {"train": spec.train_size, "test": spec.test_size}
    if sizes is None:
        found = {"train": len(data.train_loader), "test": len(data.test_loader)}
        expected = {name: size // subject.batch_size for name, size in expected.items()}
        unit = "batches"
    else:
        found = {name: sizes[name] for name in expected}
        unit = "examples"
    require(
        found == expected,
        f"The splits have {found} {unit}, but the description says {expected}.",
        "Correct train_size and test_size of the description, or the data.",
    )
