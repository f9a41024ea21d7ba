"""What is asked of a plugin before anything of it enters the registry."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TypeVar

import pluggy

from deepobs.errors import PluginError, closest, sentences
from deepobs.plugins import hookspecs
from deepobs.plugins.specs import Spec

SpecT = TypeVar("SpecT", bound=Spec)

_PREFIX = f"{hookspecs.PROJECT}_"
_HOOKS = [name for name in dir(hookspecs) if name.startswith(_PREFIX)]


def accepted(implementation: object, name: str) -> pluggy.PluginManager:
    """Register one plugin with a manager of its own.

    Args:
        implementation: The module or object that holds the hook implementations.
        name: What messages call it.

    Raises:
        PluginError: It was written for another interface, or has a function that looks like a hook
            and is none.
        pluggy.PluginValidationError: A hook asks for arguments that it is not given.
    """
    _check_api_version(implementation)
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    _check_hooks(implementation, manager)
    manager.register(implementation, name=name)
    return manager


def described(manager: pluggy.PluginManager, hook: str, spec_type: type[SpecT]) -> list[SpecT]:
    """What one plugin offers through one hook.

    Args:
        manager: The plugin's own manager.
        hook: Name of the hook.
        spec_type: What the hook must return several of.

    Raises:
        PluginError: It returns something else, or two of the same name.
    """
    caller = getattr(manager.hook, hook)
    answers = caller()
    if len(answers) < len(caller.get_hookimpls()):
        answers.append(None)  # pluggy leaves this answer out
    found: dict[str, SpecT] = {}
    for answer in answers:
        if not isinstance(answer, Iterable):
            raise PluginError(
                f"{hook} returns {answer!r}. It must return a list of {spec_type.__name__}."
            )
        for spec in answer:
            if not isinstance(spec, spec_type):
                raise PluginError(
                    f"{hook} offers {spec!r}, which is no {spec_type.__name__}. It must return a "
                    f"list of {spec_type.__name__}."
                )
            if spec.name in found:
                raise PluginError(
                    f"{hook} offers {spec.name!r} twice. Give each a name of its own."
                )
            found[spec.name] = spec
    return list(found.values())


def _check_api_version(implementation: object) -> None:
    version = getattr(implementation, "DEEPOBS_API_VERSION", None)
    current = hookspecs.API_VERSION
    if version is None:
        raise PluginError(
            "It does not state the plugin interface it was written for. "
            f"Add the line DEEPOBS_API_VERSION = {current}."
        )
    if version != current:
        raise PluginError(
            f"It was written for version {version!r} of the plugin interface, but the installed "
            f"deepobs-core has version {current}. Install releases that fit together."
        )


def _check_hooks(implementation: object, manager: pluggy.PluginManager) -> None:
    """A hook that is misspelt or lacks its mark would be passed over without a word."""
    for name in dir(implementation):
        options = manager.parse_hookimpl_opts(implementation, name)
        hook = (options and options.get("specname")) or name
        is_meant_as_hook = options is not None or (
            name.startswith(_PREFIX) and inspect.isroutine(getattr(implementation, name))
        )
        if not is_meant_as_hook:
            continue
        if hook not in _HOOKS:
            raise PluginError(
                sentences(
                    f"There is no hook {hook!r}.",
                    closest(hook, _HOOKS),
                    f"There are: {', '.join(_HOOKS)}.",
                )
            )
        if options is None:
            raise PluginError(
                f"{name} is not marked with deepobs.plugins.hookimpl. Write @hookimpl above it."
            )
