"""Experiment files as they are written: TOML or YAML, read into plain data."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from deepobs.errors import closest, sentences
from deepobs_bench.mistakes import Mistake, refusal, written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepobs.errors import ExperimentError
    from deepobs_bench.mistakes import Location

_LINE = re.compile(r"\(at line (\d+), column \d+\)")
_TOO_DEEP = "Its lists and tables are nested too deeply, or hold themselves."
_MOST_VALUES = 1_000_000
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z")


def read(path: Path) -> dict[str, Any]:
    """Read a file into tables (dictionaries), lists, texts, numbers and booleans.

    Args:
        path: A file whose name ends in .toml, .yaml or .yml.

    Raises:
        ExperimentError: It cannot be read, or is not written as TOML or YAML should be.
    """
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise _refused(path, f"The file's name must end in {', '.join(_PARSERS)}.")
    try:
        # Some editors of Windows begin a file with a mark of its encoding.
        return parse(path.read_bytes().decode("utf-8-sig"), path)
    except OSError as error:
        raise _refused(path, _unreadable(path, error)) from error
    except UnicodeDecodeError as error:
        raise _refused(path, "The file must be text in UTF-8.") from error
    except RecursionError as error:
        raise _refused(path, _TOO_DEEP) from error


def _from_toml(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # also a number with too many digits
        message = str(error).removesuffix(".")
        line = _LINE.search(message)
        quoted = _line_of(text, int(line[1])) if line else ""
        raise _refused(path, sentences(f"This is not TOML: {message}.", quoted)) from error


def _from_yaml(text: str, path: Path) -> dict[str, Any]:
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None and _num_values(root, {}) > _MOST_VALUES:
            raise _refused(path, f"It must hold at most {_MOST_VALUES} values, aliases resolved.")
        data = {} if root is None else _from_node(root, ())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or error
        where = f" (at line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        quoted = _line_of(text, mark.line + 1) if mark else ""
        message = sentences(f"This is not YAML: {problem}{where}.", quoted)
        raise _refused(path, message) from error
    except _MistakeInYamlError as error:
        raise refusal(str(path), [error.mistake]) from None
    if not isinstance(data, dict):
        raise _refused(path, f"It must be a table of keys and values, got {written(data)}.")
    return data


class _MistakeInYamlError(Exception):
    def __init__(self, location: Location, message: str) -> None:
        super().__init__(message)
        self.mistake = Mistake(location, message)


def _num_values(node: Any, known: dict[int, int]) -> int:
    """How many values there are: a few lines of aliases can stand for more than memory holds.

    Args:
        node: A node of YAML.
        known: The numbers of those that were counted before, by identity.
    """
    if node.id == "scalar":
        return 1
    if id(node) not in known:
        inner = node.value if node.id == "sequence" else [value for _, value in node.value]
        known[id(node)] = 1 + sum(_num_values(each, known) for each in inner)
    return known[id(node)]


def _from_node(node: Any, location: Location) -> Any:
    """The value that a node of YAML stands for.

    Read here rather than by the library, which follows YAML 1.1: there 1e-3 is a text, `no` and
    `on` are booleans, 010 is eight, and of a key that is there twice only the last one counts.
    """
    if node.id == "scalar":
        return node.value if node.style else _from_plain_text(node.value)
    if node.id == "sequence":
        return [_from_node(item, (*location, index)) for index, item in enumerate(node.value)]
    table: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = key_node.value
        if key_node.id != "scalar":
            raise _MistakeInYamlError(location, "A key must be a text, not a list or table.")
        if key in table:
            raise _MistakeInYamlError(
                (*location, key),
                f"The key is there twice, again in line {key_node.start_mark.line + 1}: "
                "give it once.",
            )
        table[key] = _from_node(value_node, (*location, key))
    return table


def _from_plain_text(text: str) -> Any:
    """What a text without quotes means in YAML 1.2."""
    if text.lower() in _WORDS and text in (text.lower(), text.upper(), text.capitalize()):
        return _WORDS[text.lower()]
    if _INTEGER.match(text) and len(text) < 100:
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    if _NOT_FINITE.match(text):
        return float(text.replace(".", ""))
    return text


_PARSERS: dict[str, Callable[[str, Path], dict[str, Any]]] = {
    ".toml": _from_toml,
    ".yaml": _from_yaml,
    ".yml": _from_yaml,
}


def _refused(path: Path, message: str) -> ExperimentError:
    return refusal(str(path), [Mistake((), message)])


def _unreadable(path: Path, error: OSError) -> str:
    if not isinstance(error, FileNotFoundError):
        return f"The file cannot be read: {error.strerror or error}."
    try:
        others = [one.name for one in path.parent.iterdir() if one.suffix.lower() in _PARSERS]
    except OSError:
        return f"There is no directory {path.parent}."
    there = f"In {path.parent} there are: {', '.join(sorted(others))}." if others else ""
    return sentences("There is no such file.", closest(path.name, others), there)


def _line_of(text: str, number: int) -> str:
    """Quote a line, counted from 1."""
    lines = text.splitlines()
    return f"Line {number}: {lines[number - 1].strip()}" if number <= len(lines) else ""
