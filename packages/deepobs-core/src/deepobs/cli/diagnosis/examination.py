"""All that `deepobs doctor` looks at, in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs.cli.diagnosis import environment, machine, packages, plugins, storage, variables
from deepobs.cli.diagnosis.findings import gathered

if TYPE_CHECKING:
    from deepobs.cli.diagnosis.findings import Finding, Section

FINDINGS: dict[str, tuple[Finding, ...]] = {
    "Environment": (
        environment.python,
        environment.virtual_environment,
        environment.compiled_modules,
        environment.clock,
    ),
    "Packages": (
        packages.our_packages,
        packages.needed_packages,
        packages.extras,
        packages.torchvision,
        packages.import_name,
        packages.copies,
    ),
    "Devices": (
        machine.cores,
        machine.torch_and_numpy,
        machine.accelerators,
        machine.settings,
        machine.worker_processes,
        machine.shared_memory,
    ),
    "Data": (storage.data_directory, storage.data_sets),
    "Plugins": (plugins.plugins, plugins.names_offered_twice),
    "Caches": (storage.caches,),
    "Results": (storage.results, storage.locks, storage.clock_of_files),
    "Variables": (variables.variables,),
}
"""The functions that find something out, by subject."""


def examined() -> list[Section]:
    """Look at everything, whatever is broken."""
    return [gathered(title, findings) for title, findings in FINDINGS.items()]
