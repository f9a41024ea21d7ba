"""Answers of `deepobs run` whose results exist, without torch.

Only torch can check the specification of a run, and importing it takes longer than all else that a
repeated command does. So the answer is kept in the user's cache, by all that the specification
depends on, and given again as long as it is about the latest result file.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import deepobs
from deepobs import config
from deepobs.files import open_atomic
from deepobs.fingerprints import is_installed
from deepobs.plugins import registry
from deepobs.plugins.installed import OUR_DISTRIBUTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deepobs.run_specifications import RunSpecification
    from deepobs.runs import RunResult

_CACHE = "repeated_runs.json"
_MOST = 1000


def key_of(parameters: Mapping[str, object]) -> str:
    """A hash of all that the specifications and results of a command depend on.

    Args:
        parameters: The values of its options.
    """
    variables = sorted((k, v) for k, v in os.environ.items() if k.startswith("DEEPOBS_"))
    plugins = [(str(plugin), plugin.file, plugin.state) for plugin in registry().plugins]
    process = sys.version, str(Path.cwd()), variables, config.get_fake_data_fraction()
    depends_on = [sorted(parameters.items()), process, plugins, _latest_changes()]
    return hashlib.sha256(repr(depends_on).encode()).hexdigest()[:16]


def answers(key: str) -> list[tuple[str, Path]]:
    """What the command found before: the summaries and files of its results.

    Args:
        key: See `key_of`.

    Returns:
        All of them; none if any may not be the latest any more.
    """
    kept: list[tuple[str, str, list[int]]] = _read().get(key, [])
    is_current = all(_state_of(Path(path)) == state for _, path, state in kept)
    return [(summary, Path(path)) for summary, path, _ in kept] if is_current else []


def keep(
    key: str, specifications: Sequence[RunSpecification], results: Mapping[str, RunResult]
) -> None:
    """Keep the answer of a command, if it depends on nothing but its key.

    Args:
        key: See `key_of`.
        specifications: Its runs.
        results: Their results, by the summaries that were shown.
    """
    paths = {summary: result.path for summary, result in results.items()}
    kept = [[text, str(path), _state_of(path)] for text, path in paths.items() if path]
    if not all(map(_is_determined, specifications)) or not all(state for *_, state in kept):
        return
    entries = {name: entry for name, entry in _read().items() if name != key} | {key: kept}
    # Failing has no consequence but time.
    path = config.get_cache_dir() / _CACHE
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_atomic(path) as stream:
            stream.write(json.dumps(dict(list(entries.items())[-_MOST:])).encode())


def _is_determined(specification: RunSpecification) -> bool:
    """Whether all code of a run is that of torch and of plugins with a version."""
    is_of_others = specification.optimizer_source or specification.code
    scheduler = specification.lr_scheduler
    is_of_torch = specification.optimizer_target.startswith("torch.optim:")
    return (
        is_of_torch
        and not (is_of_others or specification.parameter_groups)
        and (scheduler is None or ":" not in scheduler.name)
    )


def _read() -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        entries = json.loads((config.get_cache_dir() / _CACHE).read_bytes())
        return entries if isinstance(entries, dict) else {}
    return {}


def _state_of(path: Path) -> list[int]:
    """The time and size of a result file; none if it is not the latest of its run."""
    seed = path.name.rpartition("__")[0]
    with contextlib.suppress(OSError, ValueError):
        if max(path.parent.glob(f"{seed}__*.json")).name == path.name:
            found = path.stat()
            return [found.st_mtime_ns, found.st_size]
    return []


def _latest_changes() -> list[int]:
    """When torch and our packages were installed, or our code under development was changed."""
    ours = [one.file for one in registry().plugins if one.distribution in OUR_DISTRIBUTIONS]
    torch = importlib.util.find_spec("torch")
    files = [Path(file) for file in (torch and torch.origin, deepobs.__file__, *ours) if file]
    changes = []
    for file in files:
        modules = [file] if is_installed(file) else file.parent.rglob("*.py")
        changes.append(max(module.stat().st_mtime_ns for module in modules))
    return changes
