"""Hyperparameters for parameters of one role only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepobs.checks import in_json_types
from deepobs.errors import ArgumentError, closest, sentences
from deepobs.problems.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

Groups = dict[str, dict[str, Any]]
"""Hyperparameters by the role of the parameters that they are for."""

OTHERS = "others"
"""All parameters whose role is not named."""

OPTIMIZER = "optimizer"
"""A setting of a group that is trained by another optimizer."""

MUON_GROUPS: Groups = {"hidden": {"use_muon": True}, OTHERS: {"use_muon": False}}
"""What optimizers ask for that are Muon for hidden matrices, and another one for the rest."""


def checked_groups(given: Mapping[str, Mapping[str, object]]) -> Groups:
    """Check what is said about groups of parameters.

    Args:
        given: Hyperparameters by name, by role.

    Raises:
        ArgumentError: There is no such role, or a value cannot be kept in a file.
    """
    allowed = [*ROLES, OTHERS]
    for role, settings in given.items():
        if role not in allowed:
            raise ArgumentError(
                sentences(
                    f"There is no role {role!r} of parameters.",
                    closest(str(role), allowed),
                    f"Roles are: {', '.join(allowed)}.",
                )
            )
        if not hasattr(settings, "items"):
            raise ArgumentError(
                f"The parameter group {role!r} needs hyperparameters by name, got {settings!r}."
            )
    groups = {role: in_json_types("Hyperparameters", given[role]) for role in given}
    if groups and all(OPTIMIZER in settings for settings in groups.values()) and OTHERS in groups:
        raise ArgumentError(
            "All parameters are given to other optimizers. Name the roles that are left to this "
            "one, such as 'hidden', with no or some hyperparameters."
        )
    return {role: groups[role] for role in allowed if role in groups}


def grouped(
    parameters: Mapping[str, list[nn.Parameter]], groups: Groups
) -> list[tuple[dict[str, Any], list[nn.Parameter]]]:
    """Sort parameters into groups; one that would be empty is left out.

    Args:
        parameters: Parameters by role.
        groups: Hyperparameters by role.

    Returns:
        The hyperparameters of each group with its parameters.
    """
    if "convolution" not in groups:
        hidden = [*parameters.get("hidden", []), *parameters.get("convolution", [])]
        parameters = {**parameters, "hidden": hidden, "convolution": []}
    rest = [one for role, ones in parameters.items() if role not in groups for one in ones]
    found = [
        (settings, rest if role == OTHERS else parameters.get(role, []))
        for role, settings in {**groups, OTHERS: groups.get(OTHERS, {})}.items()
    ]
    return [(settings, ones) for settings, ones in found if ones]
