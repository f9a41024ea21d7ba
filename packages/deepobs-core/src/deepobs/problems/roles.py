"""The roles of parameters in a model, for optimizers that treat them differently."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping

ROLES = {
    "embedding": "lookup tables of vectors, even if they are also the head",
    "head": "the last matrix or convolution kernel, which computes the outputs",
    "hidden": "the other matrices; convolution kernels, too, unless they are named themselves",
    "convolution": "the other convolution kernels",
    "vector": "biases, scales of normalizations and single numbers",
}
"""The roles and what they mean."""

_TABLES = (nn.Embedding, nn.EmbeddingBag)


def parameter_roles(model: nn.Module) -> dict[str, str]:
    """Infer the role of every trained parameter from its layer and its shape.

    Args:
        model: Its modules must be in the order in which they are used.

    Returns:
        A key of `ROLES` for each parameter, by its name in `model.named_parameters()`.
    """
    tables = {id(layer.weight) for layer in model.modules() if isinstance(layer, _TABLES)}
    # With duplicates, because a table that is also the head is listed a second time, last.
    kernels = [
        parameter
        for _, parameter in model.named_parameters(remove_duplicate=False)
        if parameter.requires_grad and parameter.dim() > 1
    ]
    roles = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_last = bool(kernels) and parameter is kernels[-1]
            roles[name] = "embedding" if id(parameter) in tables else _role(parameter, is_last)
    return roles


def parameters_by_role(
    model: nn.Module, roles: Mapping[str, str] | None = None
) -> dict[str, list[nn.Parameter]]:
    """The trained parameters of each role that occurs, in the order of `ROLES`.

    Args:
        model: The model.
        roles: The role of each parameter by its name; `None` for those of `parameter_roles`.
    """
    named = dict(model.named_parameters())
    found: dict[str, list[nn.Parameter]] = {role: [] for role in ROLES}
    for name, role in (parameter_roles(model) if roles is None else roles).items():
        found[role].append(named[name])
    return {role: parameters for role, parameters in found.items() if parameters}


def _role(parameter: nn.Parameter, is_last: bool) -> str:
    if parameter.dim() < 2:
        return "vector"
    if is_last:
        return "head"
    return "hidden" if parameter.dim() == 2 else "convolution"
