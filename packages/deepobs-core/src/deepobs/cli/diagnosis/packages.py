"""The installed packages, and whether they fit together."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from importlib_metadata import distributions
from packaging.requirements import InvalidRequirement, Requirement

from deepobs import __version__
from deepobs.cli.diagnosis.findings import Advice, Fact, Trouble
from deepobs.plugins.installed import CORE_DISTRIBUTION, identity, import_name_conflict, normalized

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importlib_metadata import IDistribution

_OURS = {
    CORE_DISTRIBUTION: "",
    "deepobs-bench": "`deepobs bench` and `deepobs tune`",
    "deepobs-testing": "`deepobs check` and `deepobs new-plugin`",
    "deepobs-vision": "test problems of images",
    "deepobs-text": "test problems of text",
    "deepobs-analysis": "figures, tables and reports",
}
"""Our packages, and what there is not without them."""

_USE_OF_EXTRA = {
    "dask": "`--executor dask`",
    "tensorboard": "`--tensorboard`",
    "tune": "`deepobs tune` with another sampler than grid",
}
"""What the features are that need the packages of an extra of the core."""


class Installed(NamedTuple):
    """A distribution as its metadata describe it."""

    version: str
    requirements: list[Requirement]


def our_packages() -> Iterator[Fact | Trouble]:
    """Which of our packages are there."""
    versions: dict[str, str] = {}
    for name, brings in _OURS.items():
        found = _installed(name)
        if found is None:
            yield Fact(name, None, f"not installed: {brings} (pip install {name})")
        else:
            versions[name] = found.version
            yield Fact(name, found.version)
    if len(set(versions.values())) > 1:
        listed = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield Advice(
            f"Our packages are of different releases: {listed}.",
            f"Upgrade them together: pip install --upgrade {' '.join(versions)}",
        )
    if versions.get(CORE_DISTRIBUTION, __version__) != __version__:
        yield Trouble(
            f"The code of {CORE_DISTRIBUTION} is {__version__}, but what is installed calls itself "
            f"{versions[CORE_DISTRIBUTION]}.",
            f"Install it anew: pip install --force-reinstall --no-deps {CORE_DISTRIBUTION}",
        )


def needed_packages() -> Iterator[Fact | Trouble]:
    """Whether what our packages need is there, in a version that each of them takes."""
    for name, needed in sorted(_needed().items()):
        found = _installed(name)
        if found is not None and name not in _OURS:
            ranges = ", ".join(sorted({str(each.specifier) for _, each in needed} - {""}))
            yield Fact(name, found.version, f"{found.version} (needed: {ranges or 'any'})")
        yield from _misfits(name, needed)


def extras() -> Iterator[Fact | Trouble]:
    """What is there of packages that only some features need."""
    for extra, use in _USE_OF_EXTRA.items():
        needed = _applying(_requirements_of(CORE_DISTRIBUTION), extra)
        found = {each.name: _installed(each.name) for each in needed}
        missing = [name for name, one in found.items() if one is None]
        there = ", ".join(f"{name} {one.version}" for name, one in found.items() if one)
        command = f"pip install '{CORE_DISTRIBUTION}[{extra}]'"
        shown = f"{', '.join(missing)} not installed: {use} ({command})" if missing else there
        yield Fact(f"extra {extra}", not missing, shown)
        for each in needed:
            if found[each.name] is not None:
                yield from _misfits(each.name, [(CORE_DISTRIBUTION, each)])


def torchvision() -> Iterator[Fact | Trouble]:
    """Whether torchvision was built for the torch that is there: no import of it would say."""
    if _installed("torch") is None:  # whose absence is found above
        return
    of_torch = [each for each in _requirements_of("torchvision") if each.name == "torch"]
    yield from _misfits("torch", [("torchvision", each) for each in of_torch])


def import_name() -> Iterator[Trouble]:
    """Whether another distribution claims the import name `deepobs`."""
    conflict = import_name_conflict()
    if conflict:
        what, _, remedy = conflict.partition(" Fix it with ")
        yield Trouble(what, f"Fix it with {remedy}")


def copies() -> Iterator[Trouble]:
    """Whether one of our packages is installed twice, of which only one counts."""
    for name in _OURS:
        versions = list(dict.fromkeys(identity(one)[1] for one in distributions(name=name)))
        if len(versions) > 1:
            yield Trouble(
                f"{name} is installed in several versions, {' and '.join(versions)}, of which the "
                "first on the import path counts.",
                f"Remove all and install one: `pip uninstall {name}` until nothing is left, then "
                f"`pip install {name}`.",
            )


def _installed(name: str) -> Installed | None:
    """A distribution, of two copies the first on the import path; `None` without any."""
    for distribution in distributions(name=name):
        return Installed(identity(distribution)[1], list(_requirements(distribution)))
    return None


def _requirements_of(name: str) -> list[Requirement]:
    found = _installed(name)
    return [] if found is None else found.requirements


def _requirements(distribution: IDistribution) -> Iterator[Requirement]:
    try:
        written = list(distribution.requires or ())
    except Exception:  # strangers' metadata, whose parser says not what it may raise
        return
    for text in written:
        with contextlib.suppress(InvalidRequirement):
            yield Requirement(text)


def _needed() -> dict[str, list[tuple[str, Requirement]]]:
    """What our packages need, by name: each time who needs it and how."""
    needed: dict[str, list[tuple[str, Requirement]]] = {}
    for name in _OURS:
        for each in _applying(_requirements_of(name)):
            needed.setdefault(normalized(each.name), []).append((name, each))
    return needed


def _applying(requirements: list[Requirement], extra: str = "") -> list[Requirement]:
    """The requirements that hold here: those of the package itself, or those of an extra alone."""

    def holds(each: Requirement, extra: str) -> bool:
        return each.marker is None or each.marker.evaluate({"extra": extra})

    if not extra:
        return [each for each in requirements if holds(each, "")]
    return [each for each in requirements if holds(each, extra) and not holds(each, "")]


def _misfits(name: str, needed: list[tuple[str, Requirement]]) -> Iterator[Trouble]:
    found = _installed(name)
    if found is None:
        yield _missing(name, needed)
        return
    for user, each in needed:
        if not each.specifier.contains(found.version, prereleases=True):
            yield Trouble(
                f"{name} {found.version} is installed, but {user} needs {name}{each.specifier}.",
                f"Let pip find releases that fit: pip install --upgrade {user} {name}",
            )


def _missing(name: str, needed: list[tuple[str, Requirement]]) -> Trouble:
    users = list(dict.fromkeys(user for user, _ in needed))
    listed = " and ".join(", ".join(users).rsplit(", ", 1))
    ranges = ",".join(sorted({str(each.specifier) for _, each in needed} - {""}))
    return Trouble(
        f"{listed} {'need' if len(users) > 1 else 'needs'} {name}, which is not installed.",
        f"Install it: pip install '{name}{ranges}'",
    )
