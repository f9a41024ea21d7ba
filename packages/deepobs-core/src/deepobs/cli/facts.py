"""All that is known about one thing that a plugin offers, gathered for `deepobs info`."""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any

from deepobs import config
from deepobs.console.offers import Kind, ambiguous_names, described
from deepobs.errors import ArgumentError, DeepOBSError
from deepobs.plugins import registry
from deepobs.plugins.specs import NEEDS

if TYPE_CHECKING:
    from deepobs.plugins.catalog import Offer

    Facts = dict[str, object]


def facts_about(kind: Kind, offer: Offer[Any]) -> Facts:
    """Gather what a description says and what follows from it.

    Args:
        kind: What kind of thing it is.
        offer: The description and where it comes from.

    Returns:
        Values by name; `error` is among them where something about it could not be found out.
    """
    is_ambiguous = offer.spec.name in ambiguous_names(kind.catalog)
    facts = {"kind": kind.catalog.kind, **described(offer, is_ambiguous=is_ambiguous)}
    gather = _GATHER.get(kind.name)
    return facts | gather(offer) if gather else facts


def _about_problem(offer: Offer[Any]) -> Facts:
    suites = registry().suites.offers()
    return {"suites": [one.spec.name for one in suites if offer.spec.name in one.spec.problems]}


def _about_data_set(offer: Offer[Any]) -> Facts:
    from deepobs.cli.data import FAILED, carry_out

    problems = registry().problems.offers()
    users = [one.spec.name for one in problems if one.spec.dataset == offer.spec.name]
    outcome = carry_out("status", offer.qualified_name, config.get_data_dir())
    if outcome.state == FAILED:
        return {"used_by": users, "error": outcome.detail}
    facts = {"used_by": users, "state": outcome.state, "detail": outcome.detail}
    return facts | ({"path": outcome.path} if outcome.path else {})


def _about_optimizer(offer: Offer[Any]) -> Facts:
    try:
        optimizer_class = registry().optimizers.load(offer.qualified_name)
        # The first parameter takes what is optimized.
        _, *parameters = inspect.signature(optimizer_class).parameters.values()
    except (DeepOBSError, TypeError, ValueError) as error:
        return {"error": str(error)}
    return {
        "needs": _needs(offer),
        "hyperparameters": [
            _hyperparameter(parameter, offer.spec.defaults)
            for parameter in parameters
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ],
    }


def _needs(offer: Offer[Any]) -> list[str]:
    """What an optimizer needs: declared, or found out where its defaults suffice to try it."""
    from deepobs.runs.needs import needs_of
    from deepobs.runs.optimizer_arguments import checked_arguments
    from deepobs.runs.optimizers import find_optimizer

    found = offer.spec.needs
    with contextlib.suppress(ArgumentError):  # such as a hyperparameter without a default
        choice = find_optimizer(offer.qualified_name)
        found = needs_of(choice, *checked_arguments(choice, {})) or ("plain",)
    return [f"{word}: {NEEDS[word]}" for word in found or ()]


def _hyperparameter(parameter: inspect.Parameter, defaults: dict[str, object]) -> Facts:
    default = defaults.get(parameter.name, parameter.default)
    is_required = default is inspect.Parameter.empty
    return {
        "name": parameter.name,
        "default": None if is_required else default,
        "is_required": is_required,
    }


def _about_suite(offer: Offer[Any]) -> Facts:
    installed = registry().problems.names()
    return {"not_installed": [name for name in offer.spec.problems if name not in installed]}


_GATHER = {
    "problems": _about_problem,
    "datasets": _about_data_set,
    "optimizers": _about_optimizer,
    "suites": _about_suite,
}
