"""What a new package and everything in it is called, and which names it cannot have."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from importlib_metadata import PackageNotFoundError, version

from deepobs.errors import ArgumentError
from deepobs.plugins import registry
from deepobs.plugins.installed import OUR_DISTRIBUTIONS, normalized

if TYPE_CHECKING:
    from typing import Any

    from deepobs.plugins.catalog import Catalog

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_PREFIX = "deepobs_"
_LONGEST = 24
"""With a longer name, lines of the files that are written would be longer than 100 characters."""

_OURS = {"deepobs", *OUR_DISTRIBUTIONS}


@dataclass(frozen=True, slots=True)
class Names:
    """What follows from the name of a distribution, such as `deepobs-acme`.

    Attributes:
        distribution: In the form in which installers compare names.
        package: What it is imported as: `deepobs_acme`.
        name: The package's without `deepobs_`, that of its entry point: `acme`.
    """

    distribution: str
    package: str
    name: str

    @property
    def dataset(self) -> str:
        """The name of the data set: `acme`."""
        return self.name

    @property
    def problem(self) -> str:
        """The name of the test problem: `acme_mlp`."""
        return f"{self.name}_mlp"

    @property
    def stem(self) -> str:
        """How the names of the classes begin: `Acme`."""
        return "".join(word.capitalize() for word in self.name.split("_"))


def names_of(distribution: str) -> Names:
    """Derive all names from that of the distribution.

    Args:
        distribution: What the user wants to call it; case and `-_.` do not matter.

    Raises:
        ArgumentError: It cannot be called so, or something else is called so already.
    """
    if not _DISTRIBUTION.match(distribution):
        raise ArgumentError(
            f"A distribution cannot be called {distribution!r}. A name has letters, digits, '-', "
            "'_' and '.', and begins and ends with a letter or a digit, such as 'deepobs-acme'."
        )
    canonical = normalized(distribution)
    package = canonical.replace("-", "_")
    names = Names(canonical, package, package.removeprefix(_PREFIX))
    _refuse_what_is_no_identifier(names)
    _refuse_what_is_taken(names)
    _refuse_what_is_offered(names.problem, registry().problems)
    _refuse_what_is_offered(names.dataset, registry().datasets)
    return names


def _refuse_what_is_no_identifier(names: Names) -> None:
    for name in (names.package, names.name):
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ArgumentError(
                f"{names.distribution!r} does not do: {name!r}, which names in the package are "
                "made of, is no Python identifier. Choose a name that begins with a letter and is "
                "no word of the language, such as 'deepobs-acme'."
            )
    if len(names.name) > _LONGEST:
        raise ArgumentError(
            f"{names.distribution!r} is too long: {names.name!r} has {len(names.name)} characters, "
            f"and names of test problems are typed often. Choose at most {_LONGEST}."
        )


def _refuse_what_is_taken(names: Names) -> None:
    """Two packages of one import name would hide each other, and one may be ours."""
    if names.distribution in _OURS:
        raise ArgumentError(
            f"{names.distribution!r} is a package of DeepOBS itself. Choose a name of your own, "
            "such as 'deepobs-acme'."
        )
    try:
        found = f"{names.distribution} {version(names.distribution)} is installed already"
    except PackageNotFoundError:
        found = _module_called(names.package)
    if found:
        raise ArgumentError(
            f"{names.distribution!r} is taken: {found}. Choose another name, such as "
            f"'deepobs-{names.name.replace('_', '-')}-problems'."
        )


def _module_called(package: str) -> str:
    """Say which module would be hidden, or hide the new one; empty where there is none."""
    if package in sys.stdlib_module_names:
        return f"{package!r} is a module of Python's standard library"
    found = importlib.util.find_spec(package)
    # A directory of this name in the current one is found, too, and hides nothing once installed.
    if found is None or found.origin is None:
        return ""
    return f"the module {package!r} is there already, in {found.origin}"


def _refuse_what_is_offered(name: str, catalog: Catalog[Any]) -> None:
    offers = catalog.called(name)
    owner = offers[0].origin if offers else registry().first_party_owner(name)
    if owner:
        raise ArgumentError(
            f"The {catalog.kind} would be called {name!r}, as one of {owner} is already: nobody "
            f"could ask for it by that name alone. Choose another name for the package."
        )
