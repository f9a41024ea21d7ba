"""`deepobs check`: whether problems, data sets and optimizers behave as they must."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from deepobs.console import screen
from deepobs.console.commands import as_json, completing
from deepobs.console.offers import by_usable_name
from deepobs.console.parsing import parsed_hyperparameters
from deepobs.console.run_options import (
    current_directory_importable,
    data_dir,
    fake_data,
    hyperparameters,
)
from deepobs.console.text import clean, wrap
from deepobs.errors import UnknownNameError, closest, sentences
from deepobs.plugins import registry
from deepobs_testing.examination import (
    BATCH_SIZE,
    CHECK_SECONDS,
    SET_UP_SECONDS,
    Examination,
    checks_of,
    names_for,
)
from deepobs_testing.own_classes import thing_outside_the_registry
from deepobs_testing.results import Report
from deepobs_testing.things import KINDS, catalog_of, thing_on_offer, things_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from deepobs_testing.results import CheckResult, Outcome
    from deepobs_testing.things import Thing

_SHOWN: dict[Outcome, str] = {"passed": "passed ", "failed": "FAILED ", "skipped": "skipped"}
_INDENT = "  "


def _known() -> Iterable[str]:
    return [name for kind in KINDS for name in by_usable_name(catalog_of(kind))]


@click.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completing(_known))
@click.option(
    "--all-of", "distribution", metavar="DISTRIBUTION", help="Check all that a package offers."
)
@click.option(
    "--only", multiple=True, metavar="CHECK", help="Run only this check. May be repeated."
)
@click.option("--skip", multiple=True, metavar="CHECK", help="Skip this check. May be repeated.")
@click.option(
    "--batch-size", type=click.IntRange(min=2), help=f"Examples a batch [default: {BATCH_SIZE}]."
)
@click.option(
    "--set-up-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=SET_UP_SECONDS,
    show_default=True,
    help="How long set_up of a problem may take.",
)
@click.option(
    "--check-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=CHECK_SECONDS,
    show_default=True,
    help="How long each check may take.",
)
@hyperparameters
@data_dir
@fake_data
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
    **settings: Any,
) -> None:
    """Check that problems, data sets and optimizers behave as others rely on.

    NAMES are as in `deepobs list`, distribution:name, or package.module:Class for a class that no
    plugin offers, in the current directory, too. Synthetic data stand in where the real ones are
    missing. The exit code is 1 if a check fails.
    """
    from deepobs import config

    if bool(names) == bool(distribution):
        raise click.UsageError("Give what to check, or --all-of DISTRIBUTION.", context)
    settings["hyperparameters"] = parsed_hyperparameters(None, hyperparameters)
    with current_directory_importable(), config.temporary():
        if data_dir is not None:
            config.set_data_dir(data_dir)
        things = things_of(distribution) if distribution else list(_named(names))
        with _only_json_on_stdout() if as_json else contextlib.nullcontext():
            reports = [
                _checked(thing, only or None, skip, settings, is_shown=not as_json)
                for thing in things
            ]
    if as_json:
        screen.show_json([_described(report) for report in reports])
    else:
        _show_summary(reports)
    if any(report.failures for report in reports):
        context.exit(1)


def _only_json_on_stdout() -> AbstractContextManager[Any]:
    """What the code of others prints would make it unreadable."""
    return contextlib.redirect_stdout(sys.stderr)


def _named(names: Iterable[str]) -> Iterator[Thing]:
    for name in dict.fromkeys(names):
        found = [
            thing_on_offer(kind, offer) for kind in KINDS for offer in catalog_of(kind).called(name)
        ]
        yield from found or [_outside_the_registry(name)]


def _outside_the_registry(name: str) -> Thing:
    if ":" in name:
        return thing_outside_the_registry(name)
    nothing = f"There is no test problem, data set or optimizer {name!r}."
    elsewhere = "A class that no plugin offers is named package.module:Class."
    raise UnknownNameError(
        sentences(nothing, closest(name, _known()), registry().hint(name), elsewhere)
    )


def _checked(
    thing: Thing,
    only: tuple[str, ...] | None,
    skip: tuple[str, ...],
    settings: dict[str, Any],
    *,
    is_shown: bool,
) -> Report:
    wanted = only and names_for(thing, only)
    checks = checks_of(thing, wanted, names_for(thing, skip))
    examination = Examination(thing, settings)
    if is_shown:
        origin = thing.offer and f", {thing.offer.origin}"
        screen.show_heading(clean(f"{thing.name} ({thing.kind}{origin or ''})"))
    results = []
    for check in checks:
        results.append(examination.result_of(check))
        if is_shown:
            _show(results[-1])
    if is_shown:
        screen.show()
    return Report(thing.name, thing.kind, tuple(results))


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
    verdict = f"Not conforming: {', '.join(failing)}." if failing else "Nothing is wrong."
    total = sum(counts.values())
    screen.show_text(f"{total} {'check' if total == 1 else 'checks'}: {counted}. {verdict}")


def _described(report: Report) -> dict[str, Any]:
    return {
        "name": report.name,
        "kind": report.kind,
        "passed": not report.failures,
        "results": [asdict(result) for result in report.results],
    }
