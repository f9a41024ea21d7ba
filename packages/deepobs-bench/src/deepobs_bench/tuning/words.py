"""How the winner was chosen and what its figures mean, in words that stand in every result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs_bench.tuning.presets import preset

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deepobs_bench.tuning.protocol import TuningProtocol

_SPLITS = {"valid": "validation", "test": "test"}
_SUGGESTED = {
    "grid": "a grid",
    "random": "random search",
    "tpe": "Optuna's TPE sampler",
    "gp": "Optuna's Gaussian-process sampler",
}


def explanation(protocol: TuningProtocol, optimizer: str) -> tuple[str, ...]:
    """Say how the winner was chosen and with which seeds it is reported.

    Args:
        protocol: How it was tuned.
        optimizer: Name of the optimizer.

    Returns:
        Some sentences.
    """
    return (
        *_of_the_preset(protocol, optimizer),
        *_of_the_trials(protocol),
        *_of_the_choice(protocol),
        _of_the_report(protocol),
    )


def numbers(values: Sequence[int]) -> str:
    """Write seeds shortly: `42 to 51`, `1, 2 and 5`.

    Args:
        values: One or more.
    """
    ordered = sorted(values)
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{ordered[0]} to {ordered[-1]}"
    *others, last = map(str, ordered)
    return f"{', '.join(others)} and {last}" if others else last


def _of_the_preset(protocol: TuningProtocol, optimizer: str) -> Iterator[str]:
    if protocol.preset:
        yield f"Follows {preset(protocol.preset, optimizer).reference}."
        yield from protocol.remarks


def _of_the_trials(protocol: TuningProtocol) -> Iterator[str]:
    if not protocol.space:
        yield "One trial with the defaults of the optimizer: nothing was tuned."
        return
    budget = f" (budget {protocol.budget})" if protocol.budget else ""
    seeds = f"{_seeds(protocol.seeds)} {numbers(protocol.seeds)}"
    sampler = _SUGGESTED[protocol.sampler]
    yield f"{protocol.trials} trials{budget} of {sampler}, each trained with {seeds}."
    if protocol.sampler in ("tpe", "gp") or protocol.prune:
        yield (
            f"Tried {protocol.at_once} at a time, each time knowing the results of those before: "
            "with another number, the trials differ."
        )
    if protocol.prune:
        yield (
            "Runs were stopped whose best value so far was worse than the median of the runs of "
            "earlier trials after as many epochs."
        )


def _of_the_choice(protocol: TuningProtocol) -> Iterator[str]:
    if not protocol.space:
        return
    best = "highest" if protocol.metric == "accuracy" else "lowest"
    epoch = "after the last epoch" if protocol.epoch == "final" else "of any epoch"
    mean = " (mean over the seeds)" if len(protocol.seeds) > 1 else ""
    yield (
        f"Chosen: the {best} {protocol.metric} on the {_SPLITS[protocol.select_on]} set {epoch}"
        f"{mean}; of equal trials the first. Trials that did not complete never win."
    )
    if protocol.select_on == "test":
        yield (
            "CHOSEN ON THE TEST SET, as was asked for: figures on the test set are better than "
            "they would be on new data."
        )
    else:
        yield (
            f"{protocol.validation_size} training examples were held out for validation, in the "
            "runs of the report, too."
        )


def _of_the_report(protocol: TuningProtocol) -> str:
    shared = sorted(set(protocol.seeds) & set(protocol.report_seeds))
    reported = f"Reported: the winner with {_seeds(protocol.report_seeds)} "
    reported += numbers(protocol.report_seeds)
    if not shared or not protocol.space:
        return reported + (", none of which took part in the choice." if protocol.space else ".")
    return (
        f"{reported}; {numbers(shared)} took part in the choice, so that figures are given with "
        f"and without {'it' if len(shared) == 1 else 'them'}."
    )


def _seeds(seeds: Sequence[int]) -> str:
    return "seed" if len(seeds) == 1 else "seeds"
