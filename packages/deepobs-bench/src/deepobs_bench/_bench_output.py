"""What `deepobs bench` shows: the plan of an experiment, its progress, results and failures."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from deepobs.console import screen
from deepobs.console.screen import Column
from deepobs.console.text import clean, counted, duration, shown_value
from deepobs.resources import usable_cores
from deepobs.runs.progress import schedule_of, summary_of
from deepobs_bench._standings_output import for_programs, show_standings, show_totals, total_of
from deepobs_bench.experiment import row_name
from deepobs_bench.failures import Failure, failure_file
from deepobs_bench.interrupted_runs import interrupted, with_checkpoints
from deepobs_bench.paces import Paces, by_kind, paces_of
from deepobs_bench.plan import Plan
from deepobs_bench.result_index import ResultIndex
from deepobs_bench.workload import (
    advice_on_threads,
    missing_data,
    parts_of,
    results_of_older_code,
    take_inventory,
    time_left,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from deepobs.console.run_options import ResultOptions
    from deepobs.run_specifications import RunSpecification
    from deepobs.runs.checkpoints import CheckpointPlan
    from deepobs.runs.timing import Span
    from deepobs_bench.executors import ExecutorOptions
    from deepobs_bench.failures import Outcome
    from deepobs_bench.standings import Results
    from deepobs_bench.sweep import Notify
    from deepobs_bench.tuning.planned import PlannedTuning
    from deepobs_bench.workload import Part, Unmeasured

_UNKNOWN = "?"
_NONE = "-"
_MAX_FAILURES = 10
"""How many failures are listed one by one."""


@dataclass(frozen=True, slots=True)
class PlanOutput:
    """The plan of an experiment before it starts; what is pending of it, and for how long."""

    plan: Plan
    pending: Mapping[str, RunSpecification]
    pending_tunings: Sequence[PlannedTuning]
    paces: Paces
    jobs: int
    output_dir: Path
    missing_data: Mapping[str, str]
    resumes: bool
    advice: str = ""
    packs: str = ""

    def show(self, *, in_full: bool, with_time: bool) -> None:
        """Show how much is pending, in full with a row for each optimizer on each problem."""
        if in_full:
            self._show_table()
        pending, total = len(self.pending), len(self.plan.specifications)
        totals = [total_of(total, pending)] if total else []
        if tunings := self.plan.tunings:
            runs = sum(tuning.num_runs for tuning in tunings)
            done = len(tunings) - len(self.pending_tunings)
            remark = f" ({done} done)" if done else ""
            totals.append(f"{counted(len(tunings), 'tuning')} of {counted(runs, 'run')}{remark}")
        show_totals(totals, self.output_dir)
        num_older, fingerprints = results_of_older_code(self.pending.values(), self.output_dir)
        if num_older:
            those = f" ({', '.join(fingerprints)})" if fingerprints else ""
            do = "do" if num_older > 1 else "does"
            screen.show_text(
                f"{counted(num_older, 'result')} of older code{those} {do} not count: "
                "a change of the code is another run."
            )
        # Otherwise the sweep says it, of the runs of tunings, too.
        if in_full and (text := with_checkpoints(self._interrupted(), resumes=self.resumes)):
            screen.show_text(text)
        for text in filter(None, (self.advice, self.packs)):
            screen.show_text(text)
        if with_time and (pending or self.pending_tunings):
            self._show_time()

    def _interrupted(self) -> list[str]:
        return interrupted(self.pending.values(), self.output_dir)

    def _show_time(self) -> None:
        span, unmeasured = self._time_left()
        if span is None:
            screen.show_text("How long they will take could not be measured.")
        else:
            num_unknown = sum(each.runs for each in unmeasured)
            others = f", and {counted(num_unknown, 'run')} of unknown duration" * bool(num_unknown)
            screen.show_text(
                f"They will take about {_in_words(span)} with {counted(self.jobs, 'job')}{others}, "
                "estimated from existing results and from a few steps on this machine"
                f"{', as if every run were executed alone' if self.packs else ''}."
            )
        if self.paces.on_synthetic_data:
            names = ", ".join(sorted(self.paces.on_synthetic_data))
            screen.show_text(f"Measured on synthetic data, for want of the real ones: {names}.")
        by_reason: dict[str, list[str]] = defaultdict(list)
        for each in unmeasured:
            which = f"{each.optimizer} on {each.problem} ({counted(each.runs, 'run')})"
            by_reason[each.reason].append(which)
        for reason, those in by_reason.items():
            screen.show_text(f"Of unknown duration: {', '.join(those)}: {reason.rstrip('.')}.")

    def for_programs(self) -> dict[str, Any]:
        """Describe what is pending for other programs."""
        span, unmeasured = self._time_left()
        parts = self._parts()
        total, pending = len(self.plan.specifications), len(self.pending)
        return {
            "parts": [_part_for_programs(each) for each in parts],
            "runs": total,
            "done": total - pending,
            "pending": pending,
            "results_of_older_code": results_of_older_code(self.pending.values(), self.output_dir)[
                0
            ],
            "with_checkpoints": self._interrupted(),
            "runs_of_tunings": sum(tuning.num_runs for tuning in self.plan.tunings),
            **_span_for_programs(span),
            "runs_of_unknown_duration": sum(each.runs for each in unmeasured),
            "unmeasured": [asdict(each) for each in unmeasured],
            "on_synthetic_data": sorted(self.paces.on_synthetic_data),
            "missing_data": self.missing_data,
            **({"packs": self.packs} if self.packs else {}),
            "output_dir": self.output_dir,
        }

    def _time_left(self) -> tuple[Span | None, list[Unmeasured]]:
        left = Plan(self.plan.runs, list(self.pending_tunings))
        return time_left(left, self.pending, self.paces, self.jobs)

    def _parts(self) -> list[Part]:
        return parts_of(self.plan, self.pending, self.pending_tunings, self.paces)

    def _show_table(self) -> None:
        numbers = ("CONFIGURATIONS", "RUNS", "DONE", "PENDING")
        columns = [
            *(Column("PROBLEM"), Column("OPTIMIZER")),
            *(Column(heading, is_number=True) for heading in numbers),
            Column("TIME"),
        ]
        screen.show_table(columns, [_row(part) for part in self._parts()])
        screen.show()


def plan_output(
    plan: Plan,
    execution: ExecutorOptions,
    options: ResultOptions,
    *,
    has_estimate: bool,
    is_hasty: bool,
    index: ResultIndex | None = None,
) -> PlanOutput:
    """Find out what is pending of a plan, which data it needs, and how long it will take.

    Args:
        plan: The plan.
        execution: How runs are executed.
        options: Where the results are, and whether runs continue from checkpoints.
        has_estimate: Whether to say how long the runs will take.
        is_hasty: Whether to spend ten seconds on that at most.
        index: What is known of the results in that directory; `None` to look for them.
    """
    output_dir, checkpoints = options.output_dir, options.checkpoints
    index = index or ResultIndex.with_kept(output_dir)
    pending, done = take_inventory(plan.specifications, index)
    tunings = []
    if plan.tunings:
        # Imported here: most experiments tune nothing.
        from deepobs_bench.tuning.planned import result_file_of

        tunings = [each for each in plan.tunings if result_file_of(each, output_dir) is None]
    wanted = [*pending.values(), *(run for each in tunings for run in each.examples)]
    # Known before the estimate, which would otherwise try to load, or even download, them.
    missing = missing_data(wanted)
    paces = Paces()
    if wanted and has_estimate:
        screen.show_progress("Estimating how long the runs will take ...")
        # With all threads, one run would seem faster than each of several at a time.
        threads = max(1, usable_cores() // execution.jobs)
        paces = paces_of(wanted, by_kind(done), threads=threads, missing=missing, is_hasty=is_hasty)
    return PlanOutput(
        plan,
        pending,
        tunings,
        paces,
        execution.jobs,
        output_dir,
        missing,
        resumes=checkpoints is not None and checkpoints.resume,
        advice=advice_on_threads(wanted, execution),
        packs=_packs(pending.values(), tunings, execution, checkpoints),
    )


def _packs(
    pending: Iterable[RunSpecification],
    tunings: Sequence[PlannedTuning],
    execution: ExecutorOptions,
    checkpoints: CheckpointPlan | None,
) -> str:
    if execution.pack is None:
        return ""
    # Imported here: few sweeps pack runs.
    from deepobs_bench.packs import packs_in_words

    reason = "they write checkpoints" if checkpoints is not None else ""
    if execution.processes_per_run > 1:
        reason = "each is divided among processes"
    tuned = [run for each in tunings for run in each.examples]
    return packs_in_words(pending, tuned, execution.pack, reason=reason)


def _part_for_programs(part: Part) -> dict[str, Any]:
    fields = asdict(part)
    del fields["time"]
    return {**fields, **_span_for_programs(part.time)}


def _span_for_programs(span: Span | None) -> dict[str, float | None]:
    low, high = (None, None) if span is None else (span.low, span.high)
    seconds = None if span is None else span.seconds
    return {"seconds": seconds, "seconds_low": low, "seconds_high": high}


def _in_words(span: Span) -> str:
    """A duration and its range, as in `2 h (1 h 30 min to 3 h)`."""
    return f"{duration(span.seconds)} ({duration(span.low)} to {duration(span.high)})"


def _row(part: Part) -> list[object]:
    seconds = _UNKNOWN if part.time is None else duration(part.time.seconds)
    return [
        *(part.problem, row_name(part.optimizer, part.schedule)),
        "tuned" if part.is_tuned else part.configurations,
        part.runs,
        *(_UNKNOWN if number is None else number for number in (part.done, part.pending)),
        _NONE if part.pending == 0 else seconds,
    ]


def show_missing_data(datasets: Mapping[str, str]) -> None:
    """Say which data are missing and how to get them."""
    problems: dict[str, list[str]] = defaultdict(list)
    for problem, dataset in datasets.items():
        problems[dataset].append(problem)
    for dataset, those in problems.items():
        screen.show_message(
            "Warning",
            f"The data of {', '.join(those)} are missing. `deepobs data prepare {dataset}` gets "
            "them before the runs, or says what to do; runs on real data try that, too. "
            "--fake-data needs no data.",
        )


@contextlib.contextmanager
def bench_progress(
    num_runs: int,
    jobs: int,
    *,
    console: Console | None = None,
    show: Callable[[str], None] = screen.show,
) -> Iterator[Notify]:
    """Show progress while the block lasts, and yield what a sweep calls with outcomes."""
    console = console or Console(stderr=True)
    if console.is_terminal:
        with _bar(num_runs, jobs, console) as update:
            yield update
        return
    numbers = itertools.count(1)

    def show_line(specification: RunSpecification, outcome: Outcome, /, *, was_done: bool) -> None:
        if not was_done:
            show(f"[{next(numbers)}/{num_runs}] {described(specification, outcome)}")

    yield show_line


@contextlib.contextmanager
def _bar(num_runs: int, jobs: int, console: Console) -> Iterator[Notify]:
    """A bar for all runs; only failures leave a line."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    counts: Counter[str] = Counter()

    def state() -> str:
        running = min(jobs, num_runs - counts.total())
        shown = {"running": running, "failed": counts["failed"], "diverged": counts["diverged"]}
        return ", ".join(f"{count} {name}" for name, count in shown.items() if count)

    def update(specification: RunSpecification, outcome: Outcome, /, *, was_done: bool) -> None:
        if was_done:
            return
        if isinstance(outcome, Failure):
            line = described(specification, outcome)
            progress.console.print(line, markup=False, highlight=False)
        counts["failed" if isinstance(outcome, Failure) else outcome.status] += 1
        progress.update(task, advance=1, state=state())

    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Runs", total=num_runs, state=state())
        yield update


def described(specification: RunSpecification, outcome: Outcome) -> str:
    """Describe a run and its outcome in a line."""
    if isinstance(outcome, Failure):
        run = f"{specification.optimizer} on {specification.testproblem}"
        kind = outcome.kind.replace("_", " ")
        summary = f"{run}, seed {specification.random_seed}: failed ({kind}): {outcome.message}"
    else:
        summary = summary_of(outcome)
    values = configuration_of(specification)
    return clean(f"{summary}; {values}" if values else summary)


def configuration_of(specification: RunSpecification) -> str:
    """Describe the hyperparameters of a run, those of its parameter groups, and its schedule."""
    values = [f"{k} = {shown_value(v)}" for k, v in specification.hyperparameters.items()]
    for role, of_role in specification.parameter_groups.items():
        values += [f"{role}:{k} = {shown_value(v)}" for k, v in of_role.items()] or [role]
    return ", ".join([*values, *filter(None, [schedule_of(specification)])])


def show_results(plan: Plan, results: Results, output_dir: Path, *, as_json: bool) -> None:
    """Show the best configurations of an experiment, and its failures."""
    standings = results.standings(plan)
    files = [result.path_in(output_dir) for _, result in results.tuned]
    if as_json:
        shown = for_programs(
            standings,
            tuning_files=files,
            failures=list(_failures_for_programs(results, output_dir)),
            failed_tunings=results.errors,
            is_out_of_time=results.is_out_of_time,
        )
        screen.show_json(shown)
    else:
        screen.show()
        show_standings(standings)
        for path in files:
            screen.show(f"  {path}")
    if results.failures or results.errors:
        _show_failures(results, output_dir)
    if results.is_out_of_time:
        pending = len(plan.specifications) - len(results.ends)
        screen.show_message(
            "Stopped",
            f"the hours of the budget are over; {counted(pending, 'run')} of the experiment, "
            "besides those of tunings, are pending. Repeat the command to continue.",
        )


def _failures_for_programs(results: Results, output_dir: Path) -> Iterator[dict[str, Any]]:
    for failure in results.failures:
        specification = failure.specification
        yield {
            "problem": specification.testproblem,
            "optimizer": specification.optimizer,
            "hyperparameters": specification.hyperparameters,
            "seed": specification.random_seed,
            "kind": failure.kind,
            "message": failure.message,
            "log": failure_file(output_dir, failure),
        }


def _show_failures(results: Results, output_dir: Path) -> None:
    for failure in results.failures[:_MAX_FAILURES]:
        screen.show_message("Failed", described(failure.specification, failure))
        log = failure_file(output_dir, failure)
        if log is not None:
            screen.show_message("  Log", log)
    num_others = len(results.failures) - _MAX_FAILURES
    if num_others > 0:
        screen.show_message("Failed", f"{num_others} others, whose logs are beside the results.")
    for name, message in results.errors.items():
        screen.show_message("Failed", f"the tuning of {name}: {message}")
