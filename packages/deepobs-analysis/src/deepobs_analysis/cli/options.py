"""Arguments and options of the commands that read results, and the results that they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepobs.console.commands import completing_offers
from deepobs.console.screen import show_message
from deepobs.errors import MissingDataError
from deepobs_analysis.loading import load
from deepobs_analysis.selection import EXPLANATIONS, MODES
from deepobs_analysis.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepobs_analysis.results import Results

_PUBLISHED = ""
"""Stands for the published results, where `--reference` names no directory."""

path = click.argument("path", metavar="RESULTS", type=click.Path(path_type=Path))
problems = click.option(
    "--problem",
    "problems",
    multiple=True,
    metavar="NAME",
    shell_complete=completing_offers("problems"),
    help="Only this test problem. May be repeated.",
)
optimizers = click.option(
    "--optimizer",
    "optimizers",
    multiple=True,
    metavar="NAME",
    shell_complete=completing_offers("optimizers"),
    help="Only this optimizer of RESULTS. May be repeated.",
)
mode = click.option(
    "--mode",
    type=click.Choice(MODES),
    default="most",
    show_default=True,
    help="Which setting of an optimizer is shown. "
    + "; ".join(f"{name}: {EXPLANATIONS[name]}" for name in MODES)
    + ".",
)
reference = click.option(
    "--reference",
    is_flag=False,
    flag_value=_PUBLISHED,
    metavar="[DIR]",
    help="Show the published results beside these, or those in DIR. "
    "Without DIR, let --reference follow RESULTS.",
)


def read_results(
    path: Path,
    *,
    problems: Sequence[str] = (),
    optimizers: Sequence[str] = (),
    reference: str | None = None,
) -> Results:
    """Read what the arguments of a command stand for, and say what was left out.

    Args:
        path: RESULTS, a directory or a file.
        problems: See `part`.
        optimizers: See `part`.
        reference: What `--reference` gives: a directory, the empty text for the
            published results, `None` for no reference set.

    Raises:
        MissingDataError: There is no run, or none to compare with.
        UnknownNameError: There is no run of a problem or of an optimizer that was named.
    """
    results = load(path)
    _tell_what_was_left_out(path, results)
    if results.runs.empty:
        raise MissingDataError(
            f"There is no run in {path}. Give the directory that `deepobs run` or `deepobs bench` "
            "wrote results to."
        )
    if reference is not None:
        results = results.beside(_reference(reference))
        if not results.runs["is_reference"].any():
            show_message("Warning", "The reference set has none of these problems.")
    return part(results, problems=problems, optimizers=optimizers)


def part(
    results: Results, *, problems: Sequence[str] = (), optimizers: Sequence[str] = ()
) -> Results:
    """The results of some problems and optimizers. Those of a reference set all stay.

    Args:
        results: The results.
        problems: Names of test problems, none for all.
        optimizers: Names of optimizers, none for all.

    Raises:
        UnknownNameError: There is no run of one of them.
    """
    is_reference = results.runs["is_reference"]
    reference = results.runs.loc[is_reference, "optimizer"].unique()
    names = [*optimizers, *reference] if optimizers else None
    return results.only(optimizers=names).only(problems=problems or None)


def _reference(directory: str) -> Results:
    if directory != _PUBLISHED:
        results = load(directory)
        _tell_what_was_left_out(Path(directory), results)
        if results.runs.empty:
            raise MissingDataError(
                f"There is no run in {directory} to compare with. Give a directory of results, or "
                "none for the published ones."
            )
        return results
    from deepobs_analysis.baselines import load_reference

    return load_reference()


def _tell_what_was_left_out(path: Path, results: Results) -> None:
    left_out = results.left_out
    if left_out:
        first = left_out[0]
        files = counted(len(left_out), "file")
        such_as = "" if len(left_out) == 1 else "such as "
        message = f"{files} in {path} left out, {such_as}{first.file}: {first.reason}."
        show_message("Warning", message)
