"""How fast runs are: from earlier results, else from a few steps that are measured once.

What was measured is kept in the user's cache, by all that it depends on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from deepobs import caches, config
from deepobs.errors import message_of
from deepobs.plugins import registry
from deepobs.runs import environment, store
from deepobs.runs.timing import Pace, Span, pace_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from deepobs.run_specifications import RunSpecification

    Kind = tuple[Any, ...]
    """What the time of an epoch depends on."""


_SECONDS_FOR_ALL = 10.0
_SECONDS_FOR_ONE = 0.5
_CACHE = "paces.json"
_MAX_CACHED = 2000

# How far beyond the fastest and slowest part a whole run may be: a few steps see little of what
# else the machine does in hours, and estimates that were too sure would be worse than wide ones.
_WIDENED_MEASURED = 1.5
_WIDENED_RECORDED = 1.25
_LEAST_SHARE = 0.25  # of the processor; with less, ranges would be so wide that they say nothing

_NOT_MEASURED = "not measured yet, for lack of time; --dry-run measures all"

# All other fields tell kinds of runs apart: one that a later release adds must not let slow runs
# have the pace of fast ones.
_WITHOUT_EFFECT = {
    *("optimizer", "label", "at_defaults", "num_epochs", "max_steps", "evaluate_every"),
    *("random_seed", "reshuffle"),
    *("lr_sched_epochs", "lr_sched_factors", "lr_scheduler", "train_log_interval"),
}


def kind_of(specification: RunSpecification) -> Kind:
    """The kind of a run: runs of one kind take equal time for an epoch."""
    return tuple(
        _without_sizes(value) if isinstance(value, dict) else value
        for name, value in specification
        if name not in _WITHOUT_EFFECT
    )


def by_kind(results: Iterable[tuple[RunSpecification, str]]) -> dict[Kind, list[Path]]:
    """Sort result files by the kind of their run."""
    found: dict[Kind, list[Path]] = defaultdict(list)
    for specification, path in results:
        found[kind_of(specification)].append(Path(path))
    return found


def _without_sizes(value: Any) -> Any:
    """Hyperparameters in which a fraction is only whether it is 0, as momentum can be."""
    if isinstance(value, float):
        return bool(value)
    if isinstance(value, dict):
        return tuple((name, _without_sizes(one)) for name, one in sorted(value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(map(_without_sizes, value))
    return value


@dataclass(frozen=True, slots=True)
class Paces:
    """How fast runs are, by their kind.

    Attributes:
        known: The kinds that were executed or measured.
        obstacles: Why others are not known.
        on_synthetic_data: Problems that are measured without their data, which are missing.
    """

    known: dict[Kind, Pace] = field(default_factory=dict)
    obstacles: dict[Kind, str] = field(default_factory=dict)
    on_synthetic_data: set[str] = field(default_factory=set)

    def of(self, specification: RunSpecification) -> Span | None:
        """The time of a run; `None` if it is not known."""
        pace = self.known.get(kind_of(specification))
        return None if pace is None else pace.of_run(specification)

    def obstacle(self, specification: RunSpecification) -> str:
        """Why the time of a run is not known."""
        return self.obstacles.get(kind_of(specification), _NOT_MEASURED)


def paces_of(
    specifications: Iterable[RunSpecification],
    done: Mapping[Kind, Collection[Path]],
    *,
    threads: int,
    missing: Collection[str],
    is_hasty: bool,
) -> Paces:
    """Learn how fast runs are: from results, from the cache, else from a few steps of each kind.

    Args:
        specifications: The runs.
        done: Result files by the kind of their run.
        threads: The cores that each run will have for its threads of torch.
        missing: The problems whose data are missing: of them, synthetic data are measured.
        is_hasty: Whether to start no measurement after ten seconds.
    """
    paces = Paces()
    wanted = {kind_of(each): each for each in specifications}
    num_threads = torch.get_num_threads()
    torch.set_num_threads(min(threads, num_threads))
    try:
        for kind, each in wanted.items():
            of_files = (_recorded_pace(path, each) for path in done.get(kind, ()))
            recorded = next(filter(None, of_files), None)
            if recorded is not None:
                paces.known[kind] = _widened(recorded, _WIDENED_RECORDED)
        left = {kind: each for kind, each in wanted.items() if kind not in paces.known}
        _measure(left, paces, missing, is_hasty=is_hasty)
    finally:
        torch.set_num_threads(num_threads)
    return paces


def _recorded_pace(path: Path, similar: RunSpecification) -> Pace | None:
    """The pace in a result file; `None` if the run ended early, was packed, or was elsewhere."""
    try:
        record = store.read(path)
    except (OSError, ValueError):
        return None
    if record.status != "completed" or not record.train_seconds or record.packed:
        return None
    hardware, versions = _environment(similar)
    if record.hardware != hardware or not versions.items() <= record.versions.items():
        return None
    steps_per_epoch = record.steps_per_epoch or record.steps // record.num_epochs
    # The last epoch may have been a part of one.
    *epochs, last = record.train_seconds
    last *= steps_per_epoch / max(record.steps - len(epochs) * steps_per_epoch, 1)
    return Pace(
        epoch=Span.of([*epochs, last]),
        evaluation=Span.of(record.eval_seconds),
        set_up=Span.of([0.0]),
        steps_per_epoch=steps_per_epoch,
    )


def _measure(
    specifications: Mapping[Kind, RunSpecification],
    paces: Paces,
    missing: Collection[str],
    *,
    is_hasty: bool,
) -> None:
    """Measure one run of each kind that is not in the cache."""
    cached = _read_cache()
    unknown = []
    for kind, each in specifications.items():
        key = _key(kind, each, has_data=each.testproblem not in missing)
        if key in cached:
            paces.known[kind] = cached[key]
        else:
            unknown.append((key, kind, each))
        if each.testproblem in missing:
            paces.on_synthetic_data.add(each.testproblem)
    deadline = time.perf_counter() + _SECONDS_FOR_ALL
    set_up_before: set[str] = set()
    for key, kind, each in unknown:
        if is_hasty and time.perf_counter() > deadline:
            paces.obstacles[kind] = _NOT_MEASURED
            continue
        measure = functools.partial(pace_of, each, has_data=each.testproblem not in missing)
        # Whatever fails here will fail in the run, and be reported there, too.
        try:
            if each.testproblem not in set_up_before:
                measure(seconds=0)  # the first time in a process, modules are imported
                set_up_before.add(each.testproblem)
            start, processor_start = time.perf_counter(), time.process_time()
            pace = measure(seconds=_SECONDS_FOR_ONE)
            share = (time.process_time() - processor_start) / (time.perf_counter() - start)
            if each.device != "cpu":
                share = 1.0  # waiting for a device uses no processor
            # The less other programs left of the processor, the less is known of what they will.
            pace = _widened(pace, _WIDENED_MEASURED / min(max(share, _LEAST_SHARE), 1.0))
        except (Exception, SystemExit) as error:
            paces.obstacles[kind] = message_of(error)
        else:
            paces.known[kind] = cached[key] = pace
            _write_cache(cached)  # at once: an interruption must not lose it


def _widened(pace: Pace, factor: float) -> Pace:
    def widened(span: Span) -> Span:
        return Span(span.seconds, span.low / factor, span.high * factor)

    return dataclasses.replace(
        pace,
        epoch=widened(pace.epoch),
        evaluation=widened(pace.evaluation),
        set_up=widened(pace.set_up),
    )


def _environment(specification: RunSpecification) -> tuple[dict[str, Any], dict[str, str]]:
    """The hardware and the versions on which the pace of a run depends, as in its record."""
    known = registry()
    parts = (
        known.problems.offer(specification.testproblem),
        known.optimizers.find(specification.optimizer),
    )
    # Without a distribution: what is in the user's own files, or was registered.
    involved = {one.distribution: one.version for one in parts if one and one.distribution}
    hardware = environment.hardware(torch.device(specification.device))
    hardware["torch_threads"] = environment.threads_of(specification)
    return hardware, environment.versions(involved)


def _key(kind: Kind, specification: RunSpecification, *, has_data: bool) -> str:
    """A hash of all that a measured pace depends on."""
    settings = config.get_num_workers(), config.get_is_deterministic()
    depends_on = [kind, has_data, settings, *_environment(specification)]
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:16]


def _read_cache() -> dict[str, Pace]:
    kept = caches.read_json(config.get_cache_dir() / _CACHE)
    with contextlib.suppress(Exception):  # a broken file is replaced
        return {key: _pace_of(**pace) for key, pace in kept.items()}
    return {}


def _pace_of(*, steps_per_epoch: int, **spans: dict[str, float]) -> Pace:
    """A pace, as `asdict` wrote it."""
    read = {name: Span(**span) for name, span in spans.items()}
    return Pace(**read, steps_per_epoch=steps_per_epoch)


def _write_cache(paces: Mapping[str, Pace]) -> None:
    # The latest ones: those of earlier versions and machines are never used again.
    latest = list(paces.items())[-_MAX_CACHED:]
    values = {key: asdict(pace) for key, pace in latest}
    caches.write_json(config.get_cache_dir() / _CACHE, values)
