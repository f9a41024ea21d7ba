"""The options `--target` and `--targets`: targets that are fixed for an analysis."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepobs.errors import ArgumentError, MissingDataError, closest, sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

_TABLE = "targets"
_EXAMPLE = "[targets]\ndigits_mlp = 0.95"


TARGET_OPTIONS = (
    click.option(
        "--target",
        "target_texts",
        multiple=True,
        metavar="PROBLEM=VALUE",
        help="The test performance that counts as solving a test problem. May be repeated.",
    ),
    click.option(
        "--targets",
        "target_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Read targets from a TOML file: `PROBLEM = VALUE` under `[targets]`.",
    ),
)


def read_targets(file: Path | None, texts: Sequence[str]) -> dict[str, Any]:
    """The targets of problems that were given, numbers or not: those in texts win.

    Raises:
        DeepOBSError: The file cannot be read, or is not one of targets.
        UsageError: A text is not PROBLEM=VALUE, or a problem is given twice.
    """
    return {**({} if file is None else _in_file(file)), **_in_words(texts)}


def _in_file(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingDataError(
            f"Cannot read the targets in {path}: {error.strerror or error}."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{path} is not a TOML file: {error}.") from error
    for name in content:
        if name != _TABLE:
            message = f"{path} has {name!r}, but only the table {_TABLE!r} is allowed."
            raise ArgumentError(sentences(message, closest(name, [_TABLE])))
    if not isinstance(content.get(_TABLE), dict):
        raise ArgumentError(f"{path} has no targets. Write them as\n{_EXAMPLE}")
    return dict(content[_TABLE])


def _in_words(targets: Sequence[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for text in targets:
        # At the last sign: the name of a problem may say its protocol, as "acme (epochs = 10)".
        problem, separator, value = (part.strip() for part in text.rpartition("="))
        if not separator or not problem:
            raise click.BadParameter(
                f"{text!r} is not PROBLEM=VALUE, such as digits_mlp=0.95.", param_hint="'--target'"
            )
        if problem in given:
            raise click.UsageError(f"The target of {problem!r} is given twice. Give it once.")
        given[problem] = _number(value)
    return given


def _number(text: str) -> object:
    """The number, or the text for the message that it is none."""
    # Literals only, never eval: commands are copied from papers and reports of others.
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
