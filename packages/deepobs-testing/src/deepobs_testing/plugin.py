"""The plugin of deepobs-testing: the commands `check` and `new-plugin`."""

from __future__ import annotations

from deepobs.plugins import API_VERSION, CommandSpec, hookimpl

DEEPOBS_API_VERSION = API_VERSION


@hookimpl
def deepobs_commands() -> list[CommandSpec]:
    """The commands for authors of plugins."""
    return [
        CommandSpec(
            name="check",
            target="deepobs_testing._check_command:command",
            summary="Check that problems, data sets and optimizers conform to the protocols",
        ),
        CommandSpec(
            name="new-plugin",
            target="deepobs_testing._new_plugin:command",
            summary="Create a plugin package with a test problem of your own",
        ),
    ]
