"""Checks of the descriptions by which plugins offer problems, data sets and optimizers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepobs.errors import DeepOBSError, closest, sentences
from deepobs.plugins import registry
from deepobs.plugins.specs import OWN_DATASET, is_target
from deepobs.runs.schedulers import check_scheduler
from deepobs_testing._problem_losses import evaluated
from deepobs_testing._report import CheckFailedError, require, skip

if TYPE_CHECKING:
    from deepobs_testing import _dataset_subject, _problem_subject

_CONTENT = {
    "test problem": "what model is trained on what data",
    "data set": "what the examples are",
    "optimizer": "how it works",
}
"""What the summary of each kind of target says."""


def its_summary_says_what_it_is(subject: Any) -> None:
    """`deepobs list` has something to show."""
    require(
        bool(subject.spec.summary.strip()),
        f"The summary is {subject.spec.summary!r}, but `deepobs list` shows it beside the name.",
        f"Write a line that says {_CONTENT[subject.target.kind]}.",
    )


def its_target_can_be_imported(subject: Any) -> None:
    """The import string of the description leads to something callable."""
    require(
        callable(subject.factory),
        f"The target {subject.spec.target!r} is {subject.factory!r}, which is not a class.",
        "Set target to package.module:Class.",
    )


def its_data_set_is_registered(subject: _problem_subject.Subject) -> None:
    """An installed plugin offers the data set of the description, or it is a class."""
    datasets, name = registry().datasets, _named_data_set(subject)
    require(
        datasets.find(name) is not None or (is_target(name) and callable(datasets.load(name))),
        sentences(
            f"No installed plugin offers its data set {name!r}.",
            closest(name, datasets.names()),
        ),
        "Offer it through the hook deepobs_datasets, or correct the name.",
    )


def its_data_set_is_the_one_it_names(subject: _problem_subject.Subject) -> None:
    """The data set that `set_up` loads is that of the description."""
    name, described = subject.problem.dataset.name, _named_data_set(subject)
    require(
        name in (described.rpartition(":")[2], registry().datasets.offer(described).spec.name),
        f"After set_up, dataset.name is {name!r}, but the description says "
        f"{subject.spec.dataset!r}.",
        "Correct the description or the name: result files and `deepobs data` use it.",
    )


def its_default_batch_size_fits_its_data(subject: _problem_subject.Subject) -> None:
    """Every split has a batch of the default size."""
    spec = registry().datasets.offer(_named_data_set(subject)).spec
    smallest = min(spec.train_size, spec.test_size)
    require(
        subject.spec.batch_size <= smallest,
        f"The default batch_size is {subject.spec.batch_size}, but the data set {spec.name} has "
        f"{spec.train_size} training and {spec.test_size} test examples: it must be at most "
        f"{smallest}.",
        "Choose a smaller default, or correct the sizes of the data set.",
    )


def _named_data_set(subject: _problem_subject.Subject) -> str:
    name: str = subject.spec.dataset
    if name == OWN_DATASET:
        skip("Its description names no data set: set_up builds one of its own")
    return name


def its_metric_fits_its_accuracy(subject: _problem_subject.Subject) -> None:
    """A problem whose metric is the accuracy has one, and one whose metric is the loss has none."""
    metric, accuracy = subject.spec.metric, evaluated(subject)["mean"][1]
    has_accuracy = accuracy is not None
    require(
        has_accuracy == (metric == "accuracy"),
        f"The description says metric={metric!r}, but get_batch_loss_and_accuracy returns "
        f"{'an accuracy' if has_accuracy else 'None for the accuracy'}.",
        f"Set metric={'accuracy' if has_accuracy else 'loss'!r} in the description, or "
        f"{'return None' if has_accuracy else 'return the accuracy'}.",
    )


def its_recommended_schedule_is_valid(subject: _problem_subject.Subject) -> None:
    """A run of the default length can have the learning-rate schedule that it recommends."""
    spec = subject.spec
    if spec.recommended_lr_scheduler is None:
        skip("Its description recommends no learning-rate schedule")
    steps = None
    if spec.dataset != OWN_DATASET:
        train_size = registry().datasets.offer(spec.dataset).spec.train_size
        steps = spec.epochs * (train_size // spec.batch_size)
    try:
        check_scheduler(spec.recommended_lr_scheduler, most_steps=steps)
    except DeepOBSError as error:
        raise CheckFailedError(
            f"recommended_lr_scheduler is {spec.recommended_lr_scheduler}: {error}",
            "Correct it: `deepobs run --lr-scheduler recommended` uses it.",
        ) from error


def its_name_is_that_of_its_description(subject: _dataset_subject.Subject) -> None:
    """Result files name the data set as its description does."""
    require(
        subject.data.name == subject.spec.name,
        f"Its attribute name is {subject.data.name!r}, but the description calls it "
        f"{subject.spec.name!r}.",
        "Let name return the name of the description.",
    )


def its_sizes_are_those_of_its_description(subject: _dataset_subject.Subject) -> None:
    """The real data have as many training and test examples as the description says."""
    spec, data = subject.spec, subject.data
    if getattr(data, "is_fake", subject.fraction is not None):
        skip("The real data are missing; synthetic data may have other sizes")
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
