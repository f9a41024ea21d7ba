"""Answers of commands whose results exist, without torch.

Only torch can check the specification of a run, and importing it takes longer than all else that a
repeated command does. So the answer is kept in the user's cache, by all that the specifications
depend on, and given again as long as all result files are the latest of their runs.
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
from deepobs import caches, config
from deepobs.fingerprints import is_installed
from deepobs.plugins import registry
from deepobs.plugins.installed import OUR_DISTRIBUTIONS
from deepobs.result_states import is_latest, is_same, state_of, time_of_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deepobs.plugins.installed import Plugin
    from deepobs.result_states import State
    from deepobs.run_specifications import RunSpecification


def key_of(parameters: Mapping[str, object], content: bytes = b"") -> str:
    """A hash of all that the specifications and results of a command depend on.

    Args:
        parameters: The values of its options.
        content: What is in the file that it reads.
    """
    variables = sorted((k, v) for k, v in os.environ.items() if k.startswith("DEEPOBS_"))
    plugins = [(str(plugin), plugin.file, plugin.state) for plugin in registry().plugins]
    process = sys.version, str(Path.cwd()), variables, config.get_fake_data_fraction()
    depends_on = [sorted(parameters.items()), content, process, plugins, _latest_changes()]
    return hashlib.sha256(repr(depends_on).encode()).hexdigest()[:16]


def answer_to(key: str) -> Any:
    """What was kept of the answer of a command; `None` if a result may not be the latest any more.

    Args:
        key: See `key_of`.
    """
    with (
        # Whoever can write to the cache could break it.
        contextlib.suppress(OSError, ValueError, LookupError, TypeError, RecursionError),
        _path(key).open(encoding="utf-8") as stream,
    ):
        shown, num_files = json.loads(next(stream, ""))
        # Line by line, since there may be tens of thousands.
        if sum(is_same(*json.loads(line)) for line in stream) == num_files:
            return shown
    return None


def keep(
    key: str,
    specifications: Iterable[RunSpecification],
    files: Iterable[tuple[str, State]],
    shown: Any,
) -> None:
    """Keep the answer of a command, if it depends on its key and its result files alone.

    Args:
        key: See `key_of`.
        specifications: Its runs.
        files: Their result files; one whose state is empty forbids to keep the answer.
        shown: The answer, in the types of JSON.
    """
    others = (plugin for plugin in registry().plugins if not _is_ours(plugin))
    has_versions = all(is_installed(Path(plugin.file)) for plugin in others if plugin.file)
    if not has_versions or not all(map(_is_determined, specifications)):
        return
    lines = []
    for path, state in files:
        if not state:
            return
        lines.append(f"{json.dumps([path, state])}\n".encode())
    lines.insert(0, f"{json.dumps([shown, len(lines)])}\n".encode())
    caches.remove_old(_path(key).parent)
    caches.write(_path(key), lambda stream: stream.writelines(lines))


def with_state(path: Path) -> tuple[str, State]:
    """A result file and its state, which is empty if it is not the latest of its run."""
    name = str(path)
    time = time_of_directory(str(path.parent))
    with contextlib.suppress(OSError):
        return name, state_of(name, time) if is_latest(name) else []
    return name, []


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


def _path(key: str) -> Path:
    return config.get_cache_dir() / "answers" / f"{key}.json"


def _is_ours(plugin: Plugin) -> bool:
    return plugin.distribution in OUR_DISTRIBUTIONS


def _latest_changes() -> list[int]:
    """When torch and plugins were installed, or our code under development was changed."""
    plugins = registry().plugins
    ours = [deepobs.__file__, *(plugin.file for plugin in plugins if _is_ours(plugin))]
    torch = importlib.util.find_spec("torch")
    others = [torch and torch.origin, *(plugin.file for plugin in plugins if not _is_ours(plugin))]
    changes = [Path(file).stat().st_mtime_ns for file in others if file]
    for file in (Path(name) for name in ours if name):
        modules = [file] if is_installed(file) else file.parent.rglob("*.py")
        changes.append(max(module.stat().st_mtime_ns for module in modules))
    return changes
