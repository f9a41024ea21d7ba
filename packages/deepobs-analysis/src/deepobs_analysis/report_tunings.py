"""How optimizers were tuned: the sections of a report on the records of tunings."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepobs.checks import is_number
from deepobs.console.text import counted
from deepobs_analysis.report_tables import Heading, Table, Value
from deepobs_analysis.tuned_spaces import end_of_space
from deepobs_analysis.wording import MISSING, listed, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deepobs_analysis.tuning_records import TunedTrial, TuningRecord

_SAMPLERS = {"grid": "grid", "random": "random search", "tpe": "TPE (Optuna)", "gp": "GP (Optuna)"}
_SPLITS = {"train": "training", "valid": "validation", "test": "test"}
_EPOCHS = {"final": "after the last epoch", "best": "in the best epoch"}


@dataclass(frozen=True, slots=True)
class TuningSection:
    """What a report says of a tuning.

    Attributes:
        optimizer: The tuned optimizer.
        facts: What was decided beforehand and what came of it, by name.
        space: Each hyperparameter with its space and the chosen value.
        at_border: Hyperparameters whose chosen value is at the end of their space, a sentence each.
        failures: Trials that did not complete, a sentence each.
    """

    optimizer: str
    facts: dict[str, str]
    space: Table
    at_border: Sequence[str]
    failures: Sequence[str]


def tunings_of(tunings: Iterable[TuningRecord], problem: str) -> list[TuningSection]:
    """The sections on the optimizers that were tuned on a problem."""
    return [_section(each) for each in tunings if each.problem == problem]


def _section(tuning: TuningRecord) -> TuningSection:
    places = {name: end_of_space(tuning, name) for name in tuning.protocol["space"]}
    return TuningSection(
        optimizer=tuning.optimizer,
        facts={name: text for name, text in _facts(tuning).items() if text},
        space=_table_of_space(tuning, places),
        at_border=[
            f"{name}: {_text(tuning.best.setting.get(name))} is at the {end} end of its space. "
            "A better value may lie beyond."
            for name, end in places.items()
            if end and tuning.best is not None
        ],
        failures=[
            f"Trial {trial.number} ({_setting(trial)}): {trial.status}"
            + (f", {trial.message}" if trial.message else "")
            for trial in tuning.trials
            if trial.status != "completed"
        ],
    )


def _facts(tuning: TuningRecord) -> dict[str, str]:
    protocol, best = tuning.protocol, tuning.best
    sampler = str(protocol.get("sampler", ""))
    seeded = "" if sampler == "grid" else f", seed {protocol.get('sampler_seed')}"
    distinct = len({_setting(trial) for trial in tuning.trials})
    metric = f"{protocol['metric']} on the {_SPLITS[protocol['select_on']]} set"
    return {
        "Preset": str(protocol.get("preset") or ""),
        "Sampler": f"{_SAMPLERS.get(sampler, sampler)}{seeded}",
        "Budget": " ".join(
            filter(
                None,
                [
                    f"{protocol['budget']}:" if protocol.get("budget") else "",
                    counted(int(protocol.get("trials", len(tuning.trials))), "trial"),
                ],
            )
        ),
        "Trials": f"{_outcomes(tuning.trials)}; {counted(distinct, 'distinct configuration')}",
        "Selected by": f"{metric} {_EPOCHS.get(str(protocol.get('epoch')), '')}".strip(),
        "Selection seeds": _seeds(protocol.get("seeds", ())),
        "Winner": (
            "no trial completed"
            if best is None
            else f"trial {best.number} with {number(best.value)}: {_setting(best)}"
        ),
        "Report seeds": _seeds(run.seed for run in tuning.report),
        "The same in all trials": _named(tuning.hyperparameters | tuning.training),
        "Deviations from the preset": " ".join(map(str, protocol.get("remarks", ()))),
    }


def _outcomes(trials: Sequence[TunedTrial]) -> str:
    counts = Counter(trial.status for trial in trials)
    others = [f"{count} {status}" for status, count in counts.items() if status != "completed"]
    return ", ".join([f"{counts['completed']} of {len(trials)} completed", *others])


def _table_of_space(tuning: TuningRecord, places: dict[str, str]) -> Table:
    headings = [
        Heading("Hyperparameter"),
        Heading("Space", "what was searched, as an experiment file writes it"),
        Heading("Tried", "the smallest and the largest value that was tried"),
        Heading("Chosen", "the value of the winner", is_number=True),
        Heading("Place", "where in its space the chosen value is"),
    ]
    rows = []
    for name, space in tuning.protocol["space"].items():
        chosen = None if tuning.best is None else tuning.best.setting.get(name)
        tried = sorted(filter(is_number, (trial.setting.get(name) for trial in tuning.trials)))
        end = places[name]
        within = "inside" if is_number(chosen) else MISSING
        rows.append(
            [
                Value(name),
                Value(listed(map(_text, space)) if isinstance(space, list) else str(space)),
                Value(f"{_text(tried[0])} to {_text(tried[-1])}" if tried else MISSING),
                Value(_text(chosen), order=float(chosen) if is_number(chosen) else None),
                Value(f"at the {end} end" if end else within, is_best=bool(end)),
            ]
        )
    return Table(headings, rows)


def _seeds(seeds: Iterable[object]) -> str:
    known = list(map(str, seeds))
    return listed(known) if known else "none"


def _setting(trial: TunedTrial) -> str:
    return _named(trial.setting)


def _named(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {_text(value)}" for name, value in values.items())


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)
