"""`deepobs check`: check that problems, data sets and optimizers behave as expected."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from deepobs.console import screen
from deepobs.console.offers import KINDS
from deepobs.console.options import as_json, completing, parsed_options
from deepobs.console.run_options import (
    DATA_DIR,
    FAKE_DATA,
    HYPERPARAMETERS,
    current_directory_importable,
)
from deepobs.console.text import clean, wrap
from deepobs.errors import UnknownNameError, closest, sentences
from deepobs.plugins import registry
from deepobs_testing._checks import applicable, checks_of
from deepobs_testing._examination import BATCH_SIZE, CHECK_SECONDS, SET_UP_SECONDS, Examination
from deepobs_testing._report import Report
from deepobs_testing._targets import (
    CATALOGS,
    catalog_of,
    imported_target,
    offered_target,
    targets_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from deepobs_testing._report import CheckResult, Outcome
    from deepobs_testing._targets import Target

_SHOWN: dict[Outcome, str] = {"passed": "passed ", "failed": "FAILED ", "skipped": "skipped"}
_INDENT = "  "


def _summaries() -> dict[str, str]:
    return {
        name: summary
        for kind in CATALOGS.values()
        for name, summary in KINDS[kind].summaries().items()
    }


@click.command(
    "check",
    params=[
        click.Argument(
            ["names"], nargs=-1, metavar="[NAME]...", shell_complete=completing(_summaries)
        ),
        click.Option(
            ["--all-of", "distribution"],
            metavar="DISTRIBUTION",
            help="Check everything that an installed package offers.",
        ),
        click.Option(
            ["--only"],
            multiple=True,
            metavar="CHECK",
            help="Execute only this check. May be repeated.",
        ),
        click.Option(
            ["--skip"], multiple=True, metavar="CHECK", help="Skip this check. May be repeated."
        ),
        click.Option(
            ["--batch-size"],
            type=click.IntRange(min=2),
            help=f"Examples per batch [default: {BATCH_SIZE}].",
        ),
        click.Option(
            ["--set-up-seconds"],
            type=click.FloatRange(min=0, min_open=True),
            default=SET_UP_SECONDS,
            show_default=True,
            help="Time limit in seconds for the constructor of a problem, and for set_up.",
        ),
        click.Option(
            ["--check-seconds"],
            type=click.FloatRange(min=0, min_open=True),
            default=CHECK_SECONDS,
            show_default=True,
            help="Time limit in seconds for each check.",
        ),
        HYPERPARAMETERS,
        DATA_DIR,
        FAKE_DATA,
    ],
)
@as_json
@click.pass_context
def command(
    context: click.Context,
    /,
    names: tuple[str, ...],
    distribution: str | None,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    hyperparameters: tuple[str, ...],
    data_dir: Path | None,
    as_json: bool,
    **further: Any,
) -> None:
    """Check that problems, data sets and optimizers behave as their users expect.

    NAMES are those of `deepobs list`, distribution:name, or package.module:Class for a class that
    no plugin offers, for example in the current directory. Synthetic data are used where the real
    data are missing. The exit code is 1 if a check fails.
    """
    from deepobs import config

    if bool(names) == bool(distribution):
        raise click.UsageError("Give either names to check or --all-of DISTRIBUTION.", context)
    further["hyperparameters"] = parsed_options({}, hyperparameters, "-o", "The hyperparameter")
    with current_directory_importable(), config.temporary():
        if data_dir is not None:
            config.set_data_dir(data_dir)
        targets = targets_of(distribution) if distribution else _named(names)
        # The code under examination may print, which would break the JSON on stdout.
        with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
            reports = [
                _checked(target, only, skip, further, is_shown=not as_json) for target in targets
            ]
    if as_json:
        screen.show_json([asdict(report) | {"passed": not report.failures} for report in reports])
    else:
        _show_summary(reports)
    if any(report.failures for report in reports):
        context.exit(1)


def _named(names: Iterable[str]) -> list[Target]:
    targets = []
    for name in dict.fromkeys(names):
        found = [
            offered_target(kind, offer)
            for kind in CATALOGS
            for offer in catalog_of(kind).called(name)
        ]
        targets += found or [_outside_the_registry(name)]
    return targets


def _outside_the_registry(name: str) -> Target:
    if ":" in name:
        return imported_target(name)
    known = [known for kind in CATALOGS for known in catalog_of(kind).names()]
    unknown = f"There is no test problem, data set or optimizer {name!r}."
    elsewhere = "Name a class that no plugin offers as package.module:Class."
    raise UnknownNameError(
        sentences(unknown, closest(name, known), registry().hint(name), elsewhere)
    )


def _checked(
    target: Target,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    options: dict[str, Any],
    *,
    is_shown: bool,
) -> Report:
    wanted = applicable(target.kind, only) if only else None
    checks = checks_of(target, wanted, applicable(target.kind, skip))
    examination = Examination(target, options)
    if is_shown:
        origin = f", {target.offer.origin}" if target.offer else ""
        screen.show(clean(f"{target.name} ({target.kind}{origin})"), is_heading=True)
    results = []
    for check in checks:
        results.append(examination.result_of(check))
        if is_shown:
            _show(results[-1])
    if is_shown:
        screen.show()
    return Report(target.name, target.kind, tuple(results))


def _show(result: CheckResult) -> None:
    screen.show(f"{_INDENT}{_SHOWN[result.outcome]}  {result.check}")
    below = " " * (len(_INDENT) + len(_SHOWN[result.outcome]) + 2)
    for text in filter(None, (result.reason, result.remedy)):
        for line in wrap(clean(text), screen.terminal_width(), below):
            screen.show(line)


def _show_summary(reports: list[Report]) -> None:
    counts = {outcome: sum(len(report.having(outcome)) for report in reports) for outcome in _SHOWN}
    counted = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
    failing = [report.name for report in reports if report.failures]
    verdict = f"Not conforming: {', '.join(failing)}." if failing else "No failures."
    total = sum(counts.values())
    screen.show_text(f"{total} {'check' if total == 1 else 'checks'}: {counted}. {verdict}")
