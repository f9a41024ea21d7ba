"""`deepobs doctor`: check the installation and suggest fixes."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import click
from importlib_metadata import distributions
from packaging.requirements import Requirement

from deepobs import config
from deepobs.console import screen
from deepobs.console.offers import KINDS, ambiguous_names
from deepobs.console.options import as_json
from deepobs.console.run_options import DATA_DIR
from deepobs.console.text import memory
from deepobs.errors import ArgumentError, PluginError, closest, message_of, sentences
from deepobs.plugins import registry
from deepobs.plugins.installed import OUR_DISTRIBUTIONS, identity, import_name_conflict, normalized
from deepobs.resources import usable_cores

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

VARIABLES = {
    "DEEPOBS_BASELINE_DIR": config.get_baseline_dir,
    "DEEPOBS_CACHE_DIR": config.get_cache_dir,
    "DEEPOBS_DATA_DIR": config.get_data_dir,
    "DEEPOBS_FAKE_DATA": config.get_fake_data_fraction,
    "DEEPOBS_NUM_WORKERS": config.get_num_workers,
    "DEEPOBS_PLUGINS": None,
    "DEEPOBS_STRICT_PLUGINS": None,
}
"""All environment variables, each with the function that reads and checks it, if any."""

_LEAST_FREE = 200 * 2**20  # bytes
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


class Fact(NamedTuple):
    """Something that was found: its name, its value in JSON, its text if that differs."""

    name: str
    value: object
    text: str | None = None


class Problem(NamedTuple):
    """Something to fix: what is wrong, with the value, and how to fix it."""

    what: str
    remedy: str


Check: TypeAlias = Callable[[], Iterator[Fact | Problem]]


@click.command("doctor", params=[DATA_DIR])
@as_json
@click.pass_context
def command(context: click.Context, data_dir: Path | None, as_json: bool) -> None:
    """Check the installation and suggest fixes.

    Shows versions, devices, plugins, directories (data sets, and `results` in the current one) and
    environment variables. Changes nothing. The exit code is 1 if there is something to fix.
    """
    with config.temporary(**({} if data_dir is None else {"data_dir": data_dir})):
        sections = {title: _survived(check) for title, check in CHECKS.items()}
    if as_json:
        screen.show_json(
            {
                title.lower(): {
                    "facts": {fact.name: fact.value for fact in facts},
                    "to_fix": [problem._asdict() for problem in problems],
                }
                for title, (facts, problems) in sections.items()
            }
        )
    else:
        _show(sections)
    if any(problems for _, problems in sections.values()):
        context.exit(1)


def versions() -> Iterator[Fact | Problem]:
    """Versions of Python, torch and our packages, and whether their requirements are met."""
    yield Fact("Python", platform.python_version(), f"{platform.python_version()} {sys.executable}")
    yield Fact("system", platform.platform())
    # From the metadata, so that a torch that cannot be imported is shown, too.
    yield Fact("torch", _installed("torch")[0])
    versions: dict[str, str] = {}
    users_of: dict[str, dict[str, SpecifierSet]] = {}
    # A torchvision built for another torch fails only when one of its operators is called.
    for name in (*sorted(OUR_DISTRIBUTIONS), "torchvision"):
        version, requirements = _installed(name)
        if name in OUR_DISTRIBUTIONS:
            yield Fact(name, version, version or f"not installed (pip install {name})")
            versions |= {name: version} if version else {}
        for each in requirements:
            users_of.setdefault(normalized(each.name), {})[name] = each.specifier
    if len(set(versions.values())) > 1:
        listed = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield Problem(
            f"The DeepOBS packages have different versions: {listed}.",
            f"Upgrade them together: pip install --upgrade {' '.join(versions)}",
        )
    for name, users in sorted(users_of.items()):
        version, _ = _installed(name)
        if version is None:
            ranges = ",".join(sorted({str(needed) for needed in users.values()} - {""}))
            yield Problem(
                f"{name} is not installed, but needed by {' and '.join(users)}.",
                f"Install it: pip install '{name}{ranges}'",
            )
            continue
        for user, needed in users.items():
            if not needed.contains(version, prereleases=True):
                yield Problem(
                    f"{name} {version} is installed, but {user} needs {name}{needed}.",
                    f"Let pip find compatible versions: pip install --upgrade {user} {name}",
                )


def devices() -> Iterator[Fact | Problem]:
    """Cores and accelerators that runs can use."""
    yield Fact("cores", usable_cores())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torch

            num_gpus = torch.cuda.device_count()
    except Exception as error:  # its native libraries may be broken in any way
        # That it is missing is reported with the packages that need it.
        if not (isinstance(error, ModuleNotFoundError) and error.name == "torch"):
            yield Problem(
                f"torch cannot be imported: {message_of(error)}",
                "Reinstall it: pip install --force-reinstall torch",
            )
        return
    yield Fact("default device", str(config.get_default_device()))
    for index in range(num_gpus):
        gpu = torch.cuda.get_device_properties(index)
        value = {"name": gpu.name, "memory": gpu.total_memory}
        yield Fact(f"cuda:{index}", value, f"{gpu.name}, {memory(gpu.total_memory)}")
    if not num_gpus and _NVIDIA_DRIVER.exists():
        yield Problem(
            f"This machine has an NVIDIA driver, but torch {torch.__version__} finds no GPU.",
            "Install a torch built for the CUDA version of the driver: pytorch.org shows the "
            "command. Unset CUDA_VISIBLE_DEVICES if it is empty: it hides GPUs, too.",
        )
    if torch.backends.mps.is_available():
        yield Fact("mps", True, "the GPU of this Mac")


def plugins() -> Iterator[Fact | Problem]:
    """Plugins that failed, names that are ambiguous, and the old deepobs."""
    conflict = import_name_conflict()
    if conflict:
        what, separator, remedy = conflict.partition(" Fix it with ")
        yield Problem(what, (separator + remedy).strip())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # failures are reported below
            found = registry()
    except PluginError as error:
        yield Problem(str(error), "Uninstall the plugin, or unset DEEPOBS_STRICT_PLUGINS.")
        return
    for plugin in found.plugins:
        yield Fact(plugin.name, f"{plugin.version} {plugin.state}")
        if plugin.error:
            failed = "could not be loaded" if plugin.state == "failed" else f"is {plugin.state}"
            name = plugin.distribution
            remedy = f"Upgrade it (pip install --upgrade {name}) or uninstall it."
            if plugin.name == name:  # without an entry point, only DEEPOBS_PLUGINS names it
                remedy = f"Install it (pip install {name}), or remove it from DEEPOBS_PLUGINS."
            yield Problem(f"The plugin {plugin} {failed}: {plugin.error}.", remedy)
    for kind in KINDS.values():
        for name in sorted(ambiguous_names(kind.catalog)):
            rivals = kind.catalog.called(name)
            origins = " and ".join(offer.origin for offer in rivals)
            choices = " or ".join(offer.qualified_name for offer in rivals)
            yield Problem(
                f"The {kind.catalog.kind} {name} is offered by {origins}.",
                f"Use a full name, {choices}, or uninstall one of the packages.",
            )


def directories() -> Iterator[Fact | Problem]:
    """Whether data sets and results can be written, and how much space is left."""
    for name, directory, alternative in (
        ("data", config.get_data_dir(), "choose another directory with DEEPOBS_DATA_DIR"),
        ("results", Path("results").absolute(), "choose another directory with --out"),
    ):
        # The directory is made by the first run: what counts is whether it can be.
        existing = next(one for one in (directory, *directory.absolute().parents) if one.exists())
        obstacle = _obstacle(existing)
        free = shutil.disk_usage(existing).free
        state = obstacle or f"writable, {memory(free)} free"
        value = {"path": str(directory), "writable": obstacle is None, "free": free}
        yield Fact(name, value, f"{directory} ({state})")
        if obstacle is not None:
            fix = f"Make {existing} writable" if existing.is_dir() else f"Remove {existing}"
            what = f"The directory {directory} is not writable: {obstacle}."
            yield Problem(what, f"{fix}, or {alternative}.")
        elif free < _LEAST_FREE:
            what = f"The disk of {directory} is full: {memory(free)} free."
            yield Problem(what, f"Free some space, or {alternative}.")


def environment() -> Iterator[Fact | Problem]:
    """Environment variables that DeepOBS reads, and those that it does not know."""
    for name, value in sorted(os.environ.items()):
        if not name.startswith("DEEPOBS_"):
            continue
        yield Fact(name, value)
        if name not in VARIABLES:
            yield Problem(
                f"DeepOBS reads no environment variable {name}, which is set to {value!r}.",
                sentences(closest(name, VARIABLES), f"Unset it, or use {', '.join(VARIABLES)}."),
            )
        elif (read := VARIABLES[name]) is not None:
            try:
                read()
            except ArgumentError as error:
                yield Problem(str(error), f"Set {name} to a permitted value, or unset it.")


CHECKS: dict[str, Check] = {
    "Versions": versions,
    "Devices": devices,
    "Plugins": plugins,
    "Directories": directories,
    "Environment": environment,
}


def _survived(check: Check) -> tuple[list[Fact], list[Problem]]:
    """What a check finds; what breaks the check itself is a problem, too."""
    # On a broken machine a check may fail itself: what it found until then is kept.
    found: list[Fact | Problem] = []
    try:
        found.extend(check())
    except (Exception, SystemExit) as error:
        what = f"The check of {check.__name__} failed: {message_of(error)}"
        found.append(Problem(what, "Fix what this message names, and check again."))
    facts = [one for one in found if isinstance(one, Fact)]
    return facts, [one for one in found if isinstance(one, Problem)]


def _installed(name: str) -> tuple[str | None, list[Requirement]]:
    """Version and requirements of a distribution; `None` and nothing if it is not installed."""
    # Of two copies, the first one on the import path is what Python imports.
    for distribution in distributions(name=name):
        requirements = []
        with contextlib.suppress(Exception):  # malformed metadata of other packages raise anything
            requirements = [Requirement(text) for text in distribution.requires or ()]
        needed = [one for one in requirements if one.marker is None or one.marker.evaluate()]
        return identity(distribution)[1], needed
    return None, []


def _obstacle(place: Path) -> str | None:
    """Why no file can be written to a directory, `None` if one can."""
    if not place.is_dir():
        return f"{place} is not a directory"
    # Permission bits do not tell of read-only mounts, quotas and the rights of root.
    try:
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        return error.strerror or str(error)


def _show(sections: dict[str, tuple[list[Fact], list[Problem]]]) -> None:
    for title, (facts, _) in sections.items():
        if facts:
            screen.show(title, is_heading=True)
            fields = {one.name: one.value if one.text is None else one.text for one in facts}
            screen.show_fields(fields, indent="  ")
            screen.show()
    problems = [f"{one.what} {one.remedy}" for _, several in sections.values() for one in several]
    if problems:
        screen.show(f"To fix ({len(problems)})", is_heading=True)
        numbered = {f"{number}.": problem for number, problem in enumerate(problems, start=1)}
        screen.show_fields(numbered, indent="  ")
    else:
        screen.show("No problems found.")
