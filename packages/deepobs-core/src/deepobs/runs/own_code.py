"""Which code of a run no release vouches for: its fingerprints are part of the run's identity."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from deepobs.errors import DeepOBSError
from deepobs.plugins import registry
from deepobs.plugins.hookspecs import OBSERVER_HOOKS
from deepobs.plugins.installed import OUR_DISTRIBUTIONS, normalized
from deepobs.runs.constructors import constructor_of, optimizer_arguments
from deepobs.runs.optimizers import OPTIMIZER, find_optimizer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from deepobs.plugins.catalog import Catalog, Offer
    from deepobs.protocols import TestProblem
    from deepobs.run_specifications import LrScheduler, RunSpecification
    from deepobs.runs.optimizers import Groups, OptimizerChoice


def own_code(
    testproblem: str | type[TestProblem],
    optimizer: OptimizerChoice,
    hyperparameters: Mapping[str, Any],
    groups: Groups,
    scheduler: LrScheduler | None,
) -> dict[str, str]:
    """Fingerprint the parts of a run besides its optimizer that no release vouches for.

    Args:
        testproblem: The problem.
        optimizer: The optimizer.
        hyperparameters: Its hyperparameters, which may name others.
        groups: Hyperparameters by parameter role, which may name others.
        scheduler: What changes the learning rate.

    Returns:
        A fingerprint for each part that has one.
    """
    return _fingerprints(_parts(testproblem, optimizer, hyperparameters, groups, scheduler))


def releases_of_run(specification: RunSpecification) -> dict[str, str]:
    """The versions of the packages that bring the classes of a run, by distribution."""
    if not (specification.optimizer_source or specification.code):
        return {}
    from deepobs.fingerprints import releases

    found: dict[str, str] = {}
    # A class of a notebook may be gone, and its run is over.
    with contextlib.suppress(DeepOBSError):
        optimizer = find_optimizer(specification.optimizer_target)
        found = releases(optimizer.optimizer_class)
        parts = _parts(
            specification.testproblem,
            optimizer,
            specification.hyperparameters,
            specification.parameter_groups,
            specification.lr_scheduler,
        )
        for components in parts.values():
            found |= releases(*components)
    return found


def _parts(
    testproblem: str | type[TestProblem],
    optimizer: OptimizerChoice,
    hyperparameters: Mapping[str, Any],
    groups: Groups,
    scheduler: LrScheduler | None,
) -> dict[str, list[Any]]:
    known = registry()
    parts = _own_problem(testproblem)
    wrapped, _ = constructor_of(optimizer.optimizer_class)
    others = [values.get(OPTIMIZER) for values in groups.values()]
    arguments = [wrapped, *optimizer_arguments(optimizer.optimizer_class)]
    others += [hyperparameters.get(argument) for argument in arguments if argument]
    named = [find_optimizer(name) for name in others if isinstance(name, str)]
    parts["optimizers"] = [one.optimizer_class for one in named if not one.is_from_torch]
    parts["imports"] = [module for one in (optimizer, *named) for module in _own_import(one)]
    if scheduler is not None:
        from deepobs.runs.schedulers import scheduler_classes

        parts["lr_scheduler"] = scheduler_classes(scheduler)
    for hook in OBSERVER_HOOKS:
        for each in getattr(known.manager.hook, hook).get_hookimpls():
            from deepobs.fingerprints import is_released

            # A release of an observer does not change numbers; one under development may.
            if not is_released(each.function):
                parts.setdefault(each.plugin_name, []).append(each.function)
    return parts


def _own_import(choice: OptimizerChoice) -> list[ModuleType]:
    """The module by which a class is named that it does not come from, unless it is released."""
    module = choice.target.partition(":")[0]
    if not choice.defined_as or module == choice.defined_as.partition(":")[0]:
        return []
    from deepobs.fingerprints import is_released_module

    return [] if is_released_module(module) else [sys.modules[module]]


def code_of_problem(testproblem: str | type[TestProblem]) -> dict[str, str]:
    """Fingerprint a problem and its data set, where they are not ours; see `own_code`."""
    return _fingerprints(_own_problem(testproblem))


def _fingerprints(parts: Mapping[str, list[Any]]) -> dict[str, str]:
    if not any(parts.values()):
        return {}
    from deepobs.fingerprints import fingerprint

    codes = {part: fingerprint(*components) for part, components in parts.items()}
    return {part: code for part, code in codes.items() if code}


def _own_problem(testproblem: str | type[TestProblem]) -> dict[str, list[Any]]:
    """What makes the problem and its data set, where they are not ours."""
    problems, datasets = registry().problems, registry().datasets
    problem = problems.offer(testproblem)
    parts: dict[str, list[Any]] = {}
    # What cannot be found or loaded has no fingerprint: the run raises the reason.
    with contextlib.suppress(DeepOBSError):
        parts["problem"] = _components(problems, problem)
    with contextlib.suppress(DeepOBSError):
        parts["dataset"] = _components(datasets, datasets.offer(problem.spec.dataset))
    return parts


def _components(catalog: Catalog[Any], offer: Offer[Any]) -> list[Any]:
    # Ours are not loaded for this, which would import what planning does not need.
    if normalized(offer.distribution) in OUR_DISTRIBUTIONS:
        return []
    component = catalog.target_of(offer)
    if offer.distribution:
        return [component]
    # Registering gives a description that is in no code of the class.
    described = {name: getattr(offer.spec, name, None) for name in ("options", "weight_decay")}
    return [component, *(repr(value) for value in described.values() if value)]
