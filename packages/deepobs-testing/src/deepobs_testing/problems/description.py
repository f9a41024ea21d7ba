"""What a plugin says of its test problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs.errors import closest, sentences
from deepobs.plugins import registry
from deepobs_testing.descriptions import require_callable, require_summary
from deepobs_testing.problems.losses import evaluated
from deepobs_testing.verdicts import require

if TYPE_CHECKING:
    from deepobs_testing.problems.subject import Subject


def its_summary_says_what_it_is(subject: Subject) -> None:
    """`deepobs list` has something to show."""
    require_summary(subject.spec, "Write a line that says what model is trained on what data.")


def its_target_can_be_imported(subject: Subject) -> None:
    """The import string of the description leads to something that can be called."""
    require_callable(subject.spec, subject.factory)


def its_data_set_is_registered(subject: Subject) -> None:
    """The data set of the description is offered by some plugin."""
    datasets, name = registry().datasets, subject.spec.dataset
    require(
        datasets.find(name) is not None,
        sentences(
            f"Its data set {name!r} is offered by no installed plugin.",
            closest(name, datasets.names()),
        ),
        "Offer it through the hook deepobs_datasets, or correct the name.",
    )


def its_data_set_is_the_one_it_names(subject: Subject) -> None:
    """The data set that `set_up` loads is that of the description."""
    name = subject.problem.dataset.name
    require(
        name == subject.spec.dataset.rpartition(":")[2],
        f"After set_up, dataset.name is {name!r}, but the description says "
        f"{subject.spec.dataset!r}.",
        "Correct the description or the name: result files and `deepobs data` go by it.",
    )


def its_default_batch_size_fits_its_data(subject: Subject) -> None:
    """Every split has a batch of the default size."""
    spec = registry().datasets.spec(subject.spec.dataset)
    smallest = min(spec.train_size, spec.test_size)
    require(
        subject.spec.batch_size <= smallest,
        f"The default batch_size is {subject.spec.batch_size}, but the data set {spec.name} has "
        f"{spec.train_size} training and {spec.test_size} test examples: it must be at most "
        f"{smallest}.",
        "Choose a smaller default, or correct the sizes of the data set.",
    )


def its_metric_fits_its_accuracy(subject: Subject) -> None:
    """A problem that is compared by accuracy has one, and one that has none by its loss."""
    metric, accuracy = subject.spec.metric, evaluated(subject)["mean"][1]
    has_accuracy = accuracy is not None
    require(
        has_accuracy == (metric == "accuracy"),
        f"The description says metric={metric!r}, but get_batch_loss_and_accuracy returns "
        f"{'an accuracy' if has_accuracy else 'None for the accuracy'}.",
        f"Say metric={'accuracy' if has_accuracy else 'loss'!r} in the description, or "
        f"{'return None' if has_accuracy else 'return the accuracy'}.",
    )
