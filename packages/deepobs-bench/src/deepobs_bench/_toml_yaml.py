"""TOML and YAML files read into plain data."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from deepobs.errors import closest, sentences
from deepobs_bench._validation import mistake_at, refusal, written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ruamel.yaml import YAML
    from ruamel.yaml.nodes import ScalarNode

    from deepobs.errors import ArgumentError

_LINE = re.compile(r"\(at line (\d+), column \d+\)")
_TOO_DEEP = "Its lists and tables are nested too deeply, or contain themselves."
_MAX_VALUES = 1_000_000


def read(path: Path) -> dict[str, Any]:
    """Read a TOML or YAML file into dictionaries, lists, strings, numbers and booleans.

    Raises:
        ArgumentError: It cannot be read, or holds neither.
    """
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise _refused(path, f"The file's name must end in {', '.join(_PARSERS)}.")
    try:
        # Some editors on Windows begin a file with a byte order mark.
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


def _yaml_parser() -> YAML:
    """Read YAML 1.2's core schema, in which dates and numbers such as 1_000 are strings."""
    # Imported here: it takes longer than all else of reading a file, and most files are TOML.
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import SafeConstructor

    class CoreSchema(SafeConstructor):
        pass

    def integer(constructor: SafeConstructor, node: ScalarNode) -> object:
        return node.value if "_" in node.value else constructor.construct_yaml_int(node)

    # On a class of its own: constructors that are added to ruamel's change it for everybody.
    CoreSchema.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)
    CoreSchema.add_constructor("tag:yaml.org,2002:int", integer)
    # The C parser of typ="safe" follows YAML 1.1, where `no` is false and 1e-3 is a string.
    parser = YAML(typ="safe", pure=True)
    parser.Constructor = CoreSchema
    return parser


def _from_yaml(text: str, path: Path) -> dict[str, Any]:
    from ruamel.yaml.error import YAMLError

    try:
        data = _yaml_parser().load(text)
    except (YAMLError, ValueError) as error:
        raise _refused(path, _not_yaml(text, error)) from error
    if data is None:  # an empty file
        return {}
    if not isinstance(data, dict):
        raise _refused(path, f"It must be a table of keys and values, got {written(data)}.")
    if _num_values(data, {}, path) > _MAX_VALUES:
        raise _refused(path, f"It must hold at most {_MAX_VALUES} values, aliases resolved.")
    return data


def _not_yaml(text: str, error: Exception) -> str:
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError

    problem = getattr(error, "problem", None) or error
    if isinstance(error, DuplicateKeyError):
        problem = str(problem).partition(" with value")[0]
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    if mark is None:
        return f"This is not YAML: {problem}."
    where = f"(at line {mark.line + 1}, column {mark.column + 1})"
    return f"This is not YAML: {problem} {where}. {_line_of(text, mark.line + 1)}".rstrip()


def _num_values(value: object, known: dict[int, int], path: Path) -> int:
    """Count values: a few lines of aliases can stand for more than memory holds."""
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) not in known:
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise _refused(path, f"A key must be a string, got {written(key)}.")
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_num_values(each, known, path) for each in inner)
    return known[id(value)]


_PARSERS: dict[str, Callable[[str, Path], dict[str, Any]]] = {
    ".toml": _from_toml,
    ".yaml": _from_yaml,
    ".yml": _from_yaml,
}


def _refused(path: Path, message: str) -> ArgumentError:
    return refusal(str(path), [mistake_at((), message)])


def _unreadable(path: Path, error: OSError) -> str:
    if not isinstance(error, FileNotFoundError):
        return f"The file cannot be read: {error.strerror or error}."
    try:
        others = [one.name for one in path.parent.iterdir() if one.suffix.lower() in _PARSERS]
    except OSError:
        return f"There is no directory {path.parent}."
    found = f"Experiment files in {path.parent}: {', '.join(sorted(others))}." if others else ""
    return sentences("There is no such file.", closest(path.name, others), found)


def _line_of(text: str, number: int) -> str:
    """Quote a line, counted from 1."""
    lines = text.splitlines()
    return f"Line {number}: {lines[number - 1].strip()}" if number <= len(lines) else ""
