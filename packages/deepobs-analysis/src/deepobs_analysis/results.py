"""Results of many runs in one table, whatever version of DeepOBS wrote them."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import pandas as pd

from deepobs.errors import ArgumentError, UnknownNameError, joined, sentences
from deepobs.metrics import series_name
from deepobs_analysis import result_formats, result_views
from deepobs_analysis.reference_names import PUBLISHED, closest_optimizer
from deepobs_analysis.run_protocols import (
    problem_names,
    problems_of_other_data,
    several_protocols,
    with_parts,
)
from deepobs_analysis.tidy_curves import tidy_curves

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from deepobs_analysis.tuning_records import TuningRecord

Split: TypeAlias = Literal["train", "valid", "test"]

SelectionSeeds: TypeAlias = Literal["exclude", "include"]
SELECTION_SEEDS: tuple[SelectionSeeds, ...] = get_args(SelectionSeeds)

_LONGEST = 60

CURVES = result_formats.CURVES
"""The columns that hold a curve: a value before the first and after every epoch."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What optimizers are compared by on a problem: "accuracy" or "loss"."""

    name: Literal["accuracy", "loss"]

    @property
    def higher_is_better(self) -> bool:
        """Whether larger values are better."""
        return self.name == "accuracy"

    def curve(self, split: Split) -> str:
        """The column that holds its curve on a split, such as `test_accuracies`."""
        return series_name(f"{split}_{self.name}")


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that is not part of the results.

    Attributes:
        file: Path relative to the directory that was read.
        reason: Why it was skipped.
        synthetic: The test problem of a run on synthetic data; empty for other reasons.
    """

    file: str
    reason: str
    synthetic: str = ""


@dataclass(frozen=True, repr=False)
class Results:
    """Runs, and the files that were skipped.

    A row of `runs` is a run. Rows are sorted by problem, optimizer, configuration and seed:

    | column | holds |
    |---|---|
    | `file` | path of the result file |
    | `format` | the DeepOBS that wrote it: "1.1", "1.2" or "own" |
    | `is_reference` | whether it belongs to a reference set |
    | `problem` | the test problem, with its protocol if several: "digits_mlp (epochs = 10)" |
    | `testproblem` | its name alone |
    | `optimizer` | its label in the experiment, else its name with that of its schedule |
    | `optimizer_name` | its name, whatever its experiment calls it |
    | `configuration` | all that the numbers depend on besides the seed, in words |
    | `hyperparameters` | a dictionary, with the learning rate as `lr` |
    | `measurement` | a dictionary of what performances depend on besides: `MEASUREMENT` |
    | `protocol` | a dictionary of what runs of a problem share: `run_protocols.PARTS` |
    | `schedule` | the learning-rate schedule in words, empty where it is constant |
    | `role` | "report" or "selection" for runs of a tuning, empty for others |
    | `seed`, `batch_size`, `num_epochs` | integers |
    | `weight_decay` | factor of the regularizer; NaN for the problem's own |
    | `metric` | "accuracy" or "loss": what the problem is judged by |
    | `has_diverged` | whether a loss was not finite |
    | `diverged_at_epoch` | in which epoch, from 1 (0: before training); missing otherwise |
    | those of `CURVES` | float64 arrays, a value for each evaluation; `None` if not measured |
    | `evaluated_at` | float64 array, the epochs trained at each evaluation: 0, 1, 2, ... |
    | `train_seconds` | float64 array, seconds of training per epoch; `None` if unknown, or packed |
    | `gradient_norms` | float64 array, norms of gradients, each after the number of its step |
    | `iterates` | float64 array, the point at each evaluation on a function of two variables |
    | `steps`, `gradient_evaluations` | integers; missing if not recorded |
    | `test_examples` | examples that evaluations of the test set use; missing if not recorded |
    | `steps_per_epoch` | steps of a whole epoch; NaN if unknown, or as the run diverged |
    | `device` | such as "cpu"; empty if not recorded |
    | `hardware`, `versions` | dictionaries, empty if not recorded |
    | `command` | the command that reproduces the run, empty if not recorded |
    | `started_at` | ISO date and time, empty if unknown |
    | `code` | a dictionary, the fingerprint of each part that is code of one's own |

    The values of curves are finite: from the epoch on in which a run diverged they are its first
    values, those before training, as DeepOBS 1.2 writes them. Where even the first loss was not
    finite, they are those of the other runs of the problem before training.

    Attributes:
        runs: A row for each run.
        skipped: Files that are broken, unfinished, failed or of synthetic data.
        targets: The performance that counts as solving a problem, where one was given.
        tunings: The records of tunings that are beside the runs.
        selection_seeds: Whether tuned optimizers are shown without ("exclude") or with ("include")
            the seeds that selected their configurations.
        remarks: What reading them has to say, such as how many runs of an experiment are pending.
        source: Where they are from, as names of a reference set say it: "published", the name of
            another set, or "in" their directory or file.
    """

    runs: pd.DataFrame
    skipped: tuple[SkippedFile, ...] = ()
    targets: Mapping[str, float] = field(default_factory=dict)
    tunings: tuple[TuningRecord, ...] = ()
    selection_seeds: SelectionSeeds = "exclude"
    remarks: tuple[str, ...] = ()
    source: str = "in another set"

    def __repr__(self) -> str:
        return result_views.in_words(self.runs, len(self.skipped))

    def _repr_html_(self) -> str:
        return result_views.in_html(self.runs, len(self.skipped))

    def curves(self) -> pd.DataFrame:
        """All learning curves in long form: a row for each value.

        Returns:
            A frame with the columns `problem`, `optimizer`, `label` (what tables call the
            optimizer), `hyperparameters` (as text), `seed`, `epoch`, `step` (NaN where steps of
            an epoch are unknown), `split` ("train", "valid" or "test"), `metric` ("loss",
            "accuracy", or "gradient_norm" where it was recorded) and `value`.
        """
        return tidy_curves(self.runs)

    @property
    def unusable(self) -> list[SkippedFile]:
        """The skipped files but those of runs on synthetic data, which `remarks` sum up."""
        return [each for each in self.skipped if not each.synthetic]

    @property
    def problems(self) -> list[str]:
        """The names of the test problems, sorted; a problem under two protocols has two."""
        return sorted(self.runs["problem"].unique())

    @property
    def optimizers(self) -> list[str]:
        """The names of the optimizers, sorted, those of a reference set last."""
        is_reference = self.runs.groupby("optimizer")["is_reference"].all()
        return sorted(is_reference.index, key=lambda name: (is_reference[name], name))

    @property
    def warnings(self) -> list[str]:
        """What to know before the numbers are compared, a sentence each."""
        protocols = (
            f"{problem} was run under several protocols, whose results are not compared with each "
            f"other: {joined(those)}. --across-protocols puts them together."
            for problem, those in several_protocols(self.runs)
        )
        return [*self.remarks, *protocols]

    def metric(self, problem: str) -> Metric:
        """The metric by which optimizers are compared on a problem."""
        return Metric(self._those_of("problem", [problem])["metric"].iloc[0])

    def only(
        self, *, problems: Iterable[str] | None = None, optimizers: Iterable[str] | None = None
    ) -> Results:
        """The results of some problems and optimizers.

        Args:
            problems: Names of test problems, with a protocol or for all of them; `None` for all.
            optimizers: Names of optimizers; `None` for all.

        Raises:
            UnknownNameError: There is no run of one of them.
        """
        part = self
        for column, names in (("problem", problems), ("optimizer", optimizers)):
            if names is not None:
                # A text is a name, not the names of its letters.
                wanted = [names] if isinstance(names, str) else list(names)
                part = replace(part, runs=part._those_of(column, wanted))
        pairs = set(zip(part.runs["problem"], part.runs["optimizer"], strict=True))
        tunings = [each for each in self.tunings if (each.problem, each.optimizer) in pairs]
        return replace(part, tunings=tuple(tunings))

    def beside(self, reference: Results) -> Results:
        """These results and those of a reference set; see `as_reference`.

        Only the problems of these results are taken from the reference set. Where the two have
        other protocols, the names of the problems say which is which.

        Raises:
            ArgumentError: The reference set is not `Results`.
        """
        require_results(reference)
        reference = reference.as_reference()
        theirs = reference.runs[reference.runs["testproblem"].isin(self.runs["testproblem"])]
        # What is no part of our protocols, such as a batch size that was tuned, is none of theirs.
        ours = self.runs.groupby("testproblem")["protocol"].first()
        theirs = with_parts(theirs, {str(problem): parts for problem, parts in ours.items()})
        both = pd.concat([self.runs, theirs], ignore_index=True)
        both["problem"] = problem_names(zip(both["testproblem"], both["protocol"], strict=True))
        named = both["problem"]
        remarks = [*self.remarks, *reference.remarks]
        if other := problems_of_other_data(self.runs, theirs):
            remarks.append(
                f"On {joined(other)}, these results and those of {reference.source} are of other "
                "data, so they do not compare. Run yours again with this version."
            )
        return replace(
            self,
            runs=both,
            skipped=(*self.skipped, *reference.skipped),
            tunings=(
                *_renamed(self.tunings, self.runs["problem"], named[: len(self.runs)]),
                *_renamed(reference.tunings, theirs["problem"], named[len(self.runs) :]),
            ),
            remarks=tuple(remarks),
        )

    def as_reference(self) -> Results:
        """These results as a reference set.

        Names of optimizers say where they are from, "Adam (published)" or "Adam (in earlier)", and
        remarks do, too.
        """
        suffix = f" ({self.source})"
        place = "the published results" if self.source == PUBLISHED else self.source
        origin = f"In {place.removeprefix('in ')}"
        runs = self.runs.assign(optimizer=self.runs["optimizer"] + suffix, is_reference=True)
        return replace(
            self,
            runs=runs,
            tunings=tuple(
                replace(each, optimizer=f"{each.optimizer}{suffix}") for each in self.tunings
            ),
            remarks=tuple(f"{origin}: {remark}" for remark in self.remarks),
        )

    def with_targets(self, targets: Mapping[str, float]) -> Results:
        """These results with other targets than those of the problems.

        Args:
            targets: By problem, with a protocol or for all of them.

        Raises:
            UnknownNameError: There is no run of one of the problems.
            ArgumentError: A target is no finite number, or no accuracy where one is needed.
        """
        if not isinstance(targets, dict):
            raise ArgumentError(
                f"Targets are a dictionary, such as {{'digits_mlp': 0.9}}; got {kind_of(targets)}."
            )
        for problem, value in targets.items():
            runs = self._those_of("problem", [problem])
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not math.isfinite(value):
                raise ArgumentError(
                    f"The target of {problem} must be a finite number, such as 0.9; got {value!r}."
                )
            if not 0 <= value <= 1 and (runs["metric"] == "accuracy").all():
                raise ArgumentError(
                    f"The target of {problem} is an accuracy, a number from 0 to 1; got {value!r}."
                )
        return replace(self, targets={**self.targets, **targets})

    def _those_of(self, column: str, names: list[str]) -> pd.DataFrame:
        # A problem without a protocol stands for all of its protocols.
        columns = [column, "testproblem"] if column == "problem" else [column]
        known = sorted({name for each in columns for name in self.runs[each]})
        for name in names:
            if name not in known:
                every = f"Known: {joined(known)}." if known else "There are no runs at all."
                message = f"The results hold no run of the {column} {name!r}."
                raise UnknownNameError(sentences(message, closest_optimizer(name, known), every))
        return self.runs[self.runs[columns].isin(names).any(axis=1)]


def require_results(given: object) -> None:
    """Refuse what is not `Results` where they are needed.

    Raises:
        ArgumentError: It is something else; the message says what to pass.
    """
    if not isinstance(given, Results):
        raise ArgumentError(
            f"Results are needed, as `deepobs.load(DIRECTORY)` returns them; got {kind_of(given)}."
        )


def kind_of(given: object) -> str:
    """What was given in place of something else, short: "a str, 'results'", "a list"."""
    of = type(given).__name__
    article = "an" if of[0].lower() in "aeiou" else "a"
    is_short = isinstance(given, (str, int, float, os.PathLike)) and len(repr(given)) <= _LONGEST
    return f"{article} {of}, {given!r}" if is_short else f"{article} {of}"


def _renamed(
    tunings: Iterable[TuningRecord], before: pd.Series, after: pd.Series
) -> Iterator[TuningRecord]:
    """The records of tunings on problems with the new names of the problems of their runs."""
    names = dict(zip(before, after, strict=True))
    for each in tunings:
        if each.problem in names:
            yield replace(each, problem=names[each.problem])
