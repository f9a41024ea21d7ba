"""The page of the command line: every command of `deepobs`, from click."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from deepobs.cli.main import BUILT_IN, _group
from deepobs.plugins import registry
from reference.markdown import code, page, paragraphs, plain, table

if TYPE_CHECKING:
    from collections.abc import Iterator

_INTRODUCTION = """
All commands of `deepobs`, as `deepobs COMMAND --help` shows them.
[Shell completion](#deepobs-completion) completes commands, options and names.

Exit codes: 0 for success; 1 if a check found a problem or something failed, such as a run; 2 for a
mistake in the command or in a file, or another error that DeepOBS reports; 130 for a keyboard
interrupt.
"""
_ABOUT_VARIABLES = """
They apply to commands and to Python. [`deepobs doctor`](#deepobs-doctor) shows those that are set,
and reports unknown ones.
"""


VARIABLES = {
    "DEEPOBS_DATA_DIR": "Directory of data sets (default: `data` in the cache), like `--data-dir`.",
    "DEEPOBS_BASELINE_DIR": "Directory of published results (default: `baselines` in the cache).",
    "DEEPOBS_CACHE_DIR": "Cache directory (default: the user's cache).",
    "DEEPOBS_FAKE_DATA": "1 or a fraction: synthetic data, like `--fake-data`.",
    "DEEPOBS_NUM_WORKERS": "Number of processes that decode images; `--workers` takes precedence.",
    "DEEPOBS_PLUGINS": "Comma-separated distributions to load besides deepobs-core (default: all).",
    "DEEPOBS_STRICT_PLUGINS": "1: a failing plugin is an error and not skipped.",
}
"""The meaning of each environment variable."""


def command_line() -> str:
    """The text of the page."""
    context = click.Context(_group, info_name="deepobs", **_group.context_settings)
    return page(
        "Command line",
        _INTRODUCTION,
        _overview(),
        "## Environment variables",
        _ABOUT_VARIABLES,
        table(
            ("variable", "meaning"),
            [(code(name), plain(text)) for name, text in VARIABLES.items()],
        ),
        *_described(_group, context),
    )


def _overview() -> str:
    owners = _owners()
    rows = [
        (f"[`deepobs {name}`](#deepobs-{name})", plain(summary), owners.get(name, "deepobs-core"))
        for name, summary in _summaries()
    ]
    return table(("command", "description", "package"), rows)


def _summaries() -> list[tuple[str, str]]:
    specs = [*BUILT_IN.values(), *(offer.spec for offer in registry().commands.offers())]
    return [(spec.name, spec.summary) for spec in specs]


def _owners() -> dict[str, str]:
    return {offer.spec.name: offer.distribution for offer in registry().commands.offers()}


def _described(command: click.Command, context: click.Context) -> Iterator[str]:
    """A section for the command, and for every one below it."""
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"## {context.command_path}"
    yield f"Usage: {code(usage)}"
    yield paragraphs(command.help or "")
    yield _options(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from _described(below, _below(context, below, name))


def _below(parent: click.Context, command: click.Command, name: str) -> click.Context:
    return click.Context(command, info_name=name, parent=parent, **command.context_settings)


def _options(command: click.Command, context: click.Context) -> str:
    records = [
        parameter.get_help_record(context)
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option)
    ]
    rows = [(code(names), plain(text)) for names, text in filter(None, records)]
    return table(("option", "description"), rows)
