"""Caveats of results: how configurations were selected, and what misleads.

Published results show why: 36 learning rates of SGD on mnist_vae were compared by one seed, and
with the selected one, four of ten seeds learn nothing.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepobs.console.text import counted
from deepobs.metrics import series_name
from deepobs_analysis.measures import mean_and_deviation, prediction_interval
from deepobs_analysis.protocol_differences import in_words
from deepobs_analysis.run_protocols import version_of_problem
from deepobs_analysis.selection import EXPLANATIONS
from deepobs_analysis.summaries import rows_of
from deepobs_analysis.winners import FEWEST_SEEDS
from deepobs_analysis.wording import failed_text, full_mean_text, listed, mean_text, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from deepobs_analysis.results import Results
    from deepobs_analysis.summaries import Summary

_METRIC_OF = {series_name(metric): metric for metric in ("loss", "accuracy")}
_SPLITS = {
    "train": "the training set",
    "valid": "validation data",
    "test": "the test set, which makes the performance on it look too good",
}


class Finding(NamedTuple):
    """A single case of a caveat: a sentence, and the problem that it is about; empty for all."""

    text: str
    problem: str = ""


class Caveat(NamedTuple):
    """Something to know before numbers are trusted: the cases, and what to make of them."""

    title: str
    findings: tuple[Finding, ...]
    advice: str


def caveats(rows: Sequence[Summary] | Results) -> list[Caveat]:
    """Look for all that is known to mislead readers, the most serious first."""
    rows = rows_of(rows)
    found = (
        _of_rows(
            rows,
            "Some seeds fail with a selected configuration",
            failing_seeds,
            "A mean over such seeds describes neither group; seeds that diverged count in it with "
            "the performance before training. Selection by one seed cannot detect this: tune with "
            "several seeds, or use the next-best configuration.",
        ),
        _chosen_on_test(rows),
        _of_rows(
            rows,
            "The selection seed was lucky",
            lucky_seeds,
            "A configuration selected by few seeds tends to look better than it is: compare "
            "means over all seeds, and distrust differences of this size.",
        ),
        _of_rows(
            rows,
            "The best learning rate is at the boundary of the tested range",
            _border,
            "A better one may lie beyond.",
        ),
        _of_rows(
            rows,
            f"Fewer than {FEWEST_SEEDS} seeds",
            _few_seeds,
            "What other seeds would show is unknown.",
        ),
        _several_protocols(rows),
        _of_rows(
            rows,
            "References were run differently from your runs",
            _unlike_yours,
            "What differs stands in their rows, too. Differences in performance may come from that "
            "instead of the optimizer.",
        ),
        *(_unequal(rows, *rule) for rule in _UNEQUAL),
        _mixed(rows),
    )
    return [caveat for caveat in found if caveat is not None]


def concerning(problem: str, found: Iterable[Caveat]) -> list[Caveat]:
    """The part of some caveats that concerns a single problem."""
    parts = [
        each._replace(findings=tuple(one for one in each.findings if one.problem == problem))
        for each in found
    ]
    return [part for part in parts if part.findings]


def choice_in_words(rows: Sequence[Summary]) -> list[str]:
    """Sentences on how configurations were selected: the rule, the data and the seeds."""
    chosen = [row for row in rows if row.selection.configurations > 1]
    if not chosen:
        return ["Nothing was selected: each optimizer has one configuration per problem."]
    by_curve: dict[str, dict[str, None]] = defaultdict(dict)
    for row in chosen:
        by_curve[row.selection.chosen_by][row.problem] = None
    tuned = dict.fromkeys(row.optimizer for row in chosen if row.selection.is_tuned)
    sentences = []
    if any(not row.selection.is_tuned for row in chosen):
        rule = EXPLANATIONS[chosen[0].selection.mode]
        sentences.append(f"Of several configurations, this shows {rule}.")
    if tuned:
        was = "was" if len(tuned) == 1 else "were"
        sentences.append(
            f"{listed(tuned)} {was} tuned: this shows the winner with the seeds of the report "
            "alone, not with those of the trials."
        )
    for curve, problems in sorted(by_curve.items()):
        split, _, kind = curve.partition("_")
        on = f"the {_METRIC_OF[kind]} on {_SPLITS[split]}"
        sentences.append(f"Configurations on {listed(problems)} were selected by {on}.")
    optimizers = dict.fromkeys(
        row.optimizer for row in chosen if np.isin(row.seeds, row.trials.tuning_seeds).any()
    )
    if optimizers:
        sentences.append(
            "Some of the seeds shown also selected the configuration, which flatters it: "
            f"{listed(optimizers)}."
        )
    return sentences


def failing_seeds(row: Summary) -> str | None:
    """Report it if some seeds of the selected configuration fail."""
    if not row.failed:
        return None
    over_all = f"Over all seeds it is {mean_text(row.final, len(row.seeds))}"
    return f"{_named(row)}: {_by_choice(row)}{failed_text(row)}. {over_all}."


def lucky_seeds(row: Summary) -> str | None:
    """Report it if the deciding seeds did better than the others predict with 95 % confidence."""
    has_decided, finals = deciding_seeds(row), row.selection.final()
    # Seeds that fail are reported by themselves, which says the same more clearly.
    if not has_decided.any() or row.failed:
        return None
    expected = prediction_interval(
        finals[~has_decided],
        further=int(has_decided.sum()),
        resolution=row.selection.resolution(),
    )
    if expected is None:
        return None
    mean = mean_and_deviation(finals[has_decided]).mean
    if not (mean > expected.high if row.higher_is_better else mean < expected.low):
        return None
    return (
        f"{_named(row)}: {_by_choice(row)}{full_mean_text(row.final)} over all {len(row.seeds)} "
        "seeds."
    )


def deciding_seeds(row: Summary) -> NDArray[np.bool_]:
    """Which seeds selected the configuration, shape (seeds,): none, if there are no others."""
    has_decided = np.isin(row.seeds, row.trials.tuning_seeds)
    # If all seeds decided there are no others that could contradict them.
    return has_decided & ~has_decided.all()


def _of_rows(
    rows: Iterable[Summary], title: str, rule: Callable[[Summary], str | None], advice: str
) -> Caveat | None:
    """What a rule finds in single rows."""
    texts = ((row.problem, rule(row)) for row in rows)
    found = tuple(Finding(text, problem) for problem, text in texts if text is not None)
    return Caveat(title, found, advice) if found else None


def _border(row: Summary) -> str | None:
    rates = row.trials.learning_rates
    rate = row.selection.hyperparameters.get("lr")
    # The largest of random draws is inside of its space, nearly always.
    if row.end_of_space is not None:
        where = f"{rate:.4g} is at the {row.end_of_space} end of its space"
        return f"{_named(row)}: {where}." if row.end_of_space else None
    if rate is None or not rates[0] < rates[1] or not np.isclose(rate, rates, rtol=1e-6).any():
        return None
    which = "smallest" if np.isclose(rate, rates[0], rtol=1e-6) else "largest"
    return f"{_named(row)}: {rate:.4g} is the {which} one tested."


def _unlike_yours(row: Summary) -> str | None:
    if not row.differing:
        return None
    return f"{_named(row)}: {listed(map(in_words, row.differing))}."


def _few_seeds(row: Summary) -> str | None:
    return f"{_named(row)}: {len(row.seeds)}." if len(row.seeds) < FEWEST_SEEDS else None


def _chosen_on_test(rows: Iterable[Summary]) -> Caveat | None:
    chosen = [row for row in rows if row.selection.was_chosen_on_test]
    if not chosen:
        return None
    problems = dict.fromkeys(row.problem for row in chosen)
    return Caveat(
        "Configurations were selected on the test set",
        (Finding(f"{counted(len(chosen), 'configuration')}, on {listed(problems)}."),),
        "Test performance is optimistically biased. Runs with a validation set "
        "(validation_size) are selected on that instead.",
    )


def _several_protocols(rows: Iterable[Summary]) -> Caveat | None:
    names: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for row in rows:
        version = version_of_problem(row.selection.rows.first("code"))
        names[row.selection.testproblem, version][row.problem] = None
    findings = tuple(Finding(f"{listed(those)}.") for those in names.values() if len(those) > 1)
    advice = "Results under several protocols are neither averaged nor ranked with each other."
    return (
        Caveat("Problems were run under several protocols", findings, advice) if findings else None
    )


_UNEQUAL: tuple[tuple[str, Callable[[Summary], object], str], ...] = (
    (
        "Optimizers have different numbers of seeds",
        lambda row: len(row.seeds),
        "These are numbers of seeds. Means of few seeds vary more.",
    ),
    (
        "Optimizers were tuned with different effort",
        lambda row: row.selection.configurations,
        "These are numbers of configurations. The best of many tends to be better.",
    ),
    (
        "Optimizers were trained with different batch sizes",
        lambda row: row.selection.rows.first("batch_size"),
        "Epochs are then different numbers of steps.",
    ),
    (
        "Optimizers were trained for different numbers of epochs",
        lambda row: row.selection.rows.first("num_epochs"),
        "Performances after the last epoch cannot be compared.",
    ),
    (
        "The loss includes the regularizer for some optimizers only",
        lambda row: _measured(row, "bare_losses", {True: "(without)", False: "(with)"}),
        "These are different functions: compare accuracies, or runs that agree in "
        "`--exclude-regularizer`.",
    ),
    (
        "Optimizers were trained with different regularizers",
        lambda row: _measured(row, "weight_decay"),
        "Losses include the regularizer (unless `--exclude-regularizer` was given), and cannot be "
        "compared.",
    ),
    (
        "Only some optimizers were evaluated on full splits",
        lambda row: _measured(row, "full_evaluation", {True: "(full)", False: "(cut off)"}),
        "The others skip the last, smaller batch: small differences may come from that.",
    ),
    (
        "Optimizers were trained on different numbers of examples",
        lambda row: _measured(row, "validation_size"),
        "These are numbers of examples held out for validation.",
    ),
    (
        "Optimizers were trained in different precision",
        lambda row: _measured(row, "dtype"),
        "Small differences may come from that.",
    ),
    (
        "Only some optimizers had a new order of the data in every epoch",
        lambda row: _measured(row, "reshuffle", {True: "(new)", False: "(the same)"}),
        "Performances and times to a target depend on it.",
    ),
)


def _measured(row: Summary, name: str, words: Mapping[object, str] | None = None) -> object:
    """A value of `MEASUREMENT`, in words; `None` where it was not recorded."""
    value = row.selection.rows.first("measurement").get(name)
    return value if words is None else words.get(value)


def _unequal(
    rows: Iterable[Summary], title: str, value: Callable[[Summary], object], advice: str
) -> Caveat | None:
    """What differs between the optimizers of a problem and should not."""
    by_problem: dict[str, list[Summary]] = defaultdict(list)
    for row in rows:
        if value(row) is not None:
            by_problem[row.problem].append(row)
    findings = tuple(
        Finding(f"{problem}: {listed(f'{row.optimizer} {value(row)}' for row in those)}.", problem)
        for problem, those in by_problem.items()
        if len(set(map(value, those))) > 1
    )
    return Caveat(title, findings, advice) if findings else None


def _mixed(rows: Sequence[Summary]) -> Caveat | None:
    findings = tuple(map(Finding, _mixtures(rows)))
    if not findings:
        return None
    advice = "Performances hardly depend on this; times in seconds do."
    return Caveat("Runs were executed in different environments", findings, advice)


def _mixtures(rows: Sequence[Summary]) -> Iterator[str]:
    """What differs between the shown runs, where it is recorded."""
    runs = [row.selection.rows for row in rows]
    devices = sorted({device for each in runs for device in each.each("device") if device})
    formats = sorted({name for each in runs for name in each.each("format")})
    versions: dict[str, set[str]] = defaultdict(set)
    for each in runs:
        for recorded in each.each("versions"):
            for name, version in recorded.items():
                versions[name].add(str(version))
    if len(formats) > 1:
        known = {"own": "this version", "1.1": "1.1 (TensorFlow)", "1.2": "1.2"}
        yield f"Results of DeepOBS {listed(known[name] for name in formats)}."
    if len(devices) > 1:
        yield f"On {listed(devices)}."
    threads = {
        hardware["torch_threads"]
        for each in runs
        for hardware in each.each("hardware")
        if "torch_threads" in hardware
    }
    if len(threads) > 1:
        yield f"With {listed(map(str, sorted(threads)))} threads."
    for name, found in sorted(versions.items()):
        if len(found) > 1:
            yield f"With {name} {listed(sorted(found))}."


def _named(row: Summary) -> str:
    return f"{row.optimizer} on {row.problem}"


def _by_choice(row: Summary) -> str:
    """The performance of the deciding seeds; empty if there are no other seeds."""
    has_decided = deciding_seeds(row)
    if not has_decided.any():
        return ""
    seeds = [str(seed) for seed in np.array(row.seeds)[has_decided]]
    which = "seed" if len(seeds) == 1 else "seeds"
    mean = mean_and_deviation(row.selection.final()[has_decided]).mean
    return (
        f"{number(mean)} with {which} {listed(seeds)}, which selected among "
        f"{row.selection.configurations} configurations, but "
    )
