"""What has to be the same where runs are planned and where they are carried out."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from deepobs import __version__
from deepobs.errors import ExecutorError
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Mapping


def installed_versions() -> dict[str, str]:
    """Versions of Python, torch, deepobs-core and of the plugins that bring what runs are made of.

    Python's third number does not matter, nor does for which devices torch was built.
    """
    import torch

    offered = registry()
    offers = [
        offer
        for catalog in (offered.problems, offered.datasets, offered.optimizers)
        for offer in catalog.offers()
    ]
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "torch": torch.__version__.partition("+")[0],
        **{offer.distribution: offer.version for offer in offers},
        "deepobs-core": __version__,
    }


def require_same_versions(planned_with: Mapping[str, str], worker: str) -> None:
    """Refuse to carry out runs in another environment than they were planned in.

    Args:
        planned_with: The versions there.
        worker: What this process is called.

    Raises:
        ExecutorError: A version differs, or a package is missing on one side.
    """
    here = installed_versions()
    for name in sorted(planned_with.keys() | here.keys()):
        if planned_with.get(name) != here.get(name):
            raise ExecutorError(
                f"The worker {worker} has {_named(name, here)}, the client has "
                f"{_named(name, planned_with)}. Install the same on both sides."
            )


def _named(name: str, versions: Mapping[str, str]) -> str:
    return f"{name} {versions[name]}" if name in versions else f"no {name}"
