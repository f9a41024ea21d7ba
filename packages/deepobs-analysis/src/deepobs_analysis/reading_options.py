"""The argument RESULTS of commands, and the options that say which runs they show."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepobs.console import screen
from deepobs.console.offers import KINDS
from deepobs.console.options import completing
from deepobs.console.run_options import configured
from deepobs.errors import MissingDataError, sentences
from deepobs_analysis.baselines import load_reference, set_names
from deepobs_analysis.code_versions import CODE_CHOICES
from deepobs_analysis.experiment_results import is_experiment
from deepobs_analysis.reading import load
from deepobs_analysis.reference_names import PUBLISHED, place_of
from deepobs_analysis.results import SELECTION_SEEDS
from deepobs_analysis.selection import EXPLANATIONS, MODES
from deepobs_analysis.target_options import TARGET_OPTIONS, read_targets
from deepobs_analysis.wording import skipped_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs_analysis.code_versions import CodeChoice
    from deepobs_analysis.results import Results, SelectionSeeds

mode_option = click.option(
    "--mode",
    type=click.Choice(MODES),
    default="most",
    show_default=True,
    help="Which configuration of an optimizer is shown. "
    + "; ".join(f"{name}: {EXPLANATIONS[name]}" for name in MODES)
    + ".",
)

by_option = click.option(
    "--by",
    multiple=True,
    metavar="NAME",
    help="Split optimizers by the values of a hyperparameter, groups, schedule, clip_norm or "
    "batch_size. May be repeated.",
)

across_protocols_option = click.option(
    "--across-protocols",
    is_flag=True,
    help="Compare runs of a problem with other numbers of epochs, batch sizes or training "
    "examples with each other, too.",
)

output_dir_option = click.option(
    "--out",
    "output_dir",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    metavar="DIR",
    help="Where the results of experiment files are.",
)

_OPTIONS = (
    click.argument("path", metavar="RESULTS", type=click.Path(path_type=Path)),
    click.option(
        "--problem",
        "problems",
        multiple=True,
        metavar="NAME",
        shell_complete=completing(KINDS["problems"].summaries),
        help="Include only this test problem. May be repeated.",
    ),
    click.option(
        "--optimizer",
        "optimizers",
        multiple=True,
        metavar="NAME",
        shell_complete=completing(KINDS["optimizers"].summaries),
        help="Include only this optimizer, of RESULTS or of a reference set, and all of the other. "
        "May be repeated.",
    ),
    click.option(
        "--without",
        multiple=True,
        metavar="NAME",
        help="Leave out this optimizer, also of a reference set. May be repeated.",
    ),
    click.option(
        "--reference",
        "references",
        multiple=True,
        is_flag=False,
        flag_value=PUBLISHED,
        metavar="[SET]",
        help="Show the results of a reference set beside these: published (the default), another "
        "name that `deepobs baselines list` shows, or the path of a directory or of a file that "
        "`deepobs baselines pack` wrote. Without SET, put --reference after RESULTS. May be "
        "repeated.",
    ),
    by_option,
    across_protocols_option,
    click.option(
        "--selection-seeds",
        type=click.Choice(SELECTION_SEEDS),
        default="exclude",
        show_default=True,
        help="Whether tuned optimizers are shown with the seeds that selected their "
        "configurations, too.",
    ),
    output_dir_option,
    click.option(
        "--code",
        type=click.Choice(CODE_CHOICES),
        default="newest",
        show_default=True,
        help="Where your own code changed between runs: the results of the newest version, or of "
        "all, each in a row of its own.",
    ),
    *TARGET_OPTIONS,
)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Which results a command reads, by its argument and options."""

    path: Path
    problems: tuple[str, ...] = ()
    optimizers: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    across_protocols: bool = False
    selection_seeds: SelectionSeeds = "exclude"
    output_dir: Path = Path("results")
    code: CodeChoice = "newest"
    target_texts: tuple[str, ...] = ()
    target_file: Path | None = None

    def everything(self) -> Results:
        """Read all results, and those of the reference set, and show warnings.

        Raises:
            DeepOBSError: There are none.
        """
        targets = read_targets(self.target_file, self.target_texts)
        with naming_own_code(self.path):
            results = load(
                place_of(self.path),
                output_dir=self.output_dir,
                code=self.code,
                by=self.by,
                across_protocols=self.across_protocols,
                selection_seeds=self.selection_seeds,
            )
        _warn_of_skipped(self.path, results)
        if results.runs.empty:
            advice = (
                f"`deepobs bench {self.path}` executes its runs; --out DIR says where they are."
                if is_experiment(self.path)
                else "Give the directory that `deepobs run` or `deepobs bench` wrote results to."
            )
            is_synthetic = any(each.synthetic for each in results.skipped)
            why = results.remarks if is_synthetic else [advice]
            of_what = "run on real data" if is_synthetic else "run"
            raise MissingDataError(sentences(f"There is no {of_what} in {self.path}.", *why))
        for name in self.references:
            results = results.beside(self._reference(name))
        if self.references and not results.runs["is_reference"].any():
            screen.show_message("Warning", "The reference set has none of these problems.")
        for sentence in results.warnings:
            screen.show_message("Warning", sentence)
        return results.with_targets(targets)

    def part_of(self, results: Results) -> Results:
        """Those of the problems and optimizers that were asked for, and all of the reference."""
        results.only(optimizers=[*self.optimizers, *self.without])  # refuses what is not there
        kept = []
        for _, those in results.runs.groupby("is_reference"):
            names = those["optimizer"].unique()
            named = [name for name in names if name in self.optimizers]
            kept += [name for name in named or names if name not in self.without]
        return results.only(optimizers=kept).only(problems=self.problems or None)

    def results(self) -> Results:
        """Read the results that were asked for; see `everything`."""
        return self.part_of(self.everything())

    def _reference(self, name: str) -> Results:
        results = load_reference(
            name,
            output_dir=self.output_dir,
            across_protocols=self.across_protocols,
            by=self.by,
        )
        if name not in set_names():
            _warn_of_skipped(Path(name), results)
        return results


def reads_results(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the argument RESULTS and its options: it receives them as `reading`."""

    @functools.wraps(command)
    def call(*arguments: Any, **options: Any) -> None:
        given = {field.name: options.pop(field.name) for field in fields(Reading)}
        command(*arguments, reading=Reading(**given), **options)

    decorated: Callable[..., None] = call
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def naming_own_code(*paths: Path) -> contextlib.AbstractContextManager[None]:
    """Let the experiment files among paths name code of the user's while they are read."""
    experiments = ", ".join(str(path) for path in paths if is_experiment(path))
    # Only for experiments: this imports torch, which results do not need.
    return (
        configured(f"Reading the experiment {experiments}")
        if experiments
        else contextlib.nullcontext()
    )


def _warn_of_skipped(path: Path, results: Results) -> None:
    if results.unusable:
        screen.show_message("Warning", skipped_text(path, results.unusable))
