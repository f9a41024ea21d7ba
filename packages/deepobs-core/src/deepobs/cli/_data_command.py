"""`deepobs data`: check, download and verify data sets."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from deepobs import config
from deepobs.console import run_options, screen
from deepobs.console.offers import KINDS, by_usable_name
from deepobs.console.options import as_json, completing, require_known
from deepobs.console.screen import Column
from deepobs.errors import message_of
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FAILED = "failed"
_IS_SLOW = {"prepare": "Preparing", "verify": "Verifying"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an action on one data set.

    Attributes:
        name: The data set.
        state: That of its `DataStatus`, or `failed`.
        detail: Where it is, what is missing, or why the action failed.
        path: The directory of its files, `None` without any.
    """

    name: str
    state: str
    detail: str
    path: Path | None = None


def outcome_of(action: str, name: str, data_dir: Path) -> Outcome:
    """Call a class method of a data set, whatever it raises.

    Args:
        action: "status", "prepare" or "verify".
        name: A name of the registry.
        data_dir: Directory of data sets.
    """
    try:
        status = getattr(registry().datasets.load(name), action)(data_dir)
    except Exception as error:  # a full disk, or anything that another package's data set raises
        return Outcome(name, FAILED, message_of(error))
    return Outcome(name, status.state, status.detail, status.path)


@click.group("data", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Check, download and verify data sets.

    They are kept in the user's cache, or in the directory that DEEPOBS_DATA_DIR names.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _known() -> Iterable[str]:
    return by_usable_name(registry().datasets)


def _checked(context: click.Context, _parameter: click.Parameter, names: Any) -> tuple[str, ...]:
    """Refuse unknown names before any work is done."""
    for name in names:
        if not registry().datasets.called(name):
            require_known(name, _known(), "data set", context)
    return tuple(dict.fromkeys(names))


_PARAMETERS = (
    click.Argument(
        ["names"],
        nargs=-1,
        callback=_checked,
        shell_complete=completing(KINDS["datasets"].summaries),
    ),
    run_options.DATA_DIR,
)


@command.command("status", params=[*_PARAMETERS])
@as_json
@click.pass_context
def status(
    context: click.Context, names: tuple[str, ...], data_dir: Path | None, as_json: bool
) -> None:
    """Show which data sets are available.

    NAMES are data sets from `deepobs list datasets`; without any, all are shown.
    """
    _perform(context, "status", names or tuple(_known()), data_dir, as_json=as_json)


@command.command("prepare", params=[*_PARAMETERS])
@as_json
@click.option("--all", "is_for_all", is_flag=True, help="Prepare every data set.")
@click.pass_context
def prepare(
    context: click.Context,
    names: tuple[str, ...],
    data_dir: Path | None,
    as_json: bool,
    is_for_all: bool,
) -> None:
    """Download missing data sets, and check them.

    NAMES are data sets from `deepobs list datasets`.
    """
    if bool(names) == is_for_all:
        given = f"both {', '.join(names)} and --all" if names else "none of them"
        raise click.UsageError(
            f"Give the names of data sets, or --all for every one; got {given}.", context
        )
    _perform(context, "prepare", names or tuple(_known()), data_dir, as_json=as_json)


@command.command("verify", params=[*_PARAMETERS])
@as_json
@click.pass_context
def verify(
    context: click.Context, names: tuple[str, ...], data_dir: Path | None, as_json: bool
) -> None:
    """Read data sets in full and check their content.

    NAMES are data sets from `deepobs list datasets`; without any, all that are available are
    verified.
    """
    # Missing data sets are skipped unless they are named: few users have all of them.
    directory = data_dir or config.get_data_dir()
    chosen = names or tuple(
        name for name in _known() if outcome_of("status", name, directory).state != "missing"
    )
    _perform(context, "verify", chosen, directory, as_json=as_json)


def _perform(
    context: click.Context,
    action: str,
    names: tuple[str, ...],
    data_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """Do it for each data set, show all outcomes, and exit with 1 if one failed."""
    # A download that fails does not stop the others: they may take hours, unattended.
    directory = data_dir or config.get_data_dir()
    outcomes = []
    for name in names:
        if action in _IS_SLOW:
            screen.show_progress(f"{_IS_SLOW[action]} {name} ...")
        outcomes.append(outcome_of(action, name, directory))
    if as_json:
        screen.show_json([asdict(outcome) for outcome in outcomes])
    else:
        screen.show_text(f"Data directory: {directory}")
        screen.show_table(
            [Column("NAME"), Column("STATE"), Column("DETAIL")],
            [[outcome.name, outcome.state, outcome.detail] for outcome in outcomes],
        )
    failed = [outcome.name for outcome in outcomes if outcome.state == FAILED]
    if failed:
        screen.show_message("Error", f"{action} failed for {', '.join(failed)}.")
        context.exit(1)
