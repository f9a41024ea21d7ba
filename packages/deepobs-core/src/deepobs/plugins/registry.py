"""What all installed plugins offer, each plugin isolated from the others.

pluggy's own entry-point loader stops at the first plugin that raises, skips a second entry point of
the same name without a word, and its calls are all or nothing. So the loop is ours, and every
plugin gets a plugin manager of its own: a plugin is in the registry whole or not at all.
"""

from __future__ import annotations

import functools
import os
import threading
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deepobs.errors import PluginError, PluginWarning, message_of
from deepobs.plugins import specs
from deepobs.plugins._first_party import DISTRIBUTION_OF, DISTRIBUTION_OF_COMMAND
from deepobs.plugins.acceptance import accepted, described
from deepobs.plugins.catalog import Catalog, Offer
from deepobs.plugins.installed import Plugin, installed_plugins, normalized
from deepobs.plugins.isolation import undisturbed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pluggy

__all__ = ["Plugin", "Registry", "registry"]


class Registry:
    """Everything the installed plugins offer.

    Args:
        strict: Raise at the first plugin that fails, instead of going on without it.

    Attributes:
        plugins: Every plugin that was met, in the order of discovery.
        problems: The test problems. The other kinds have a catalogue each, too.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self.plugins: list[Plugin] = []
        self._managers: dict[str, pluggy.PluginManager] = {}
        self.problems = Catalog("test problem", specs.ProblemSpec, self.hint)
        self.datasets = Catalog("data set", specs.DatasetSpec, self.hint)
        self.optimizers = Catalog("optimizer", specs.OptimizerSpec, self._hint_at_plugins)
        self.runners = Catalog("runner", specs.RunnerSpec, self._hint_at_plugins)
        self.suites = Catalog("suite", specs.SuiteSpec, self._hint_at_plugins)
        self.executors = Catalog("executor", specs.ExecutorSpec, self._hint_at_plugins)
        self.plots = Catalog("plot", specs.PlotSpec, self._hint_at_plugins)
        self.commands = Catalog("command", specs.CommandSpec, self._hint_at_plugins)
        self._catalog_of: dict[str, Catalog[Any]] = {
            "deepobs_problems": self.problems,
            "deepobs_datasets": self.datasets,
            "deepobs_optimizers": self.optimizers,
            "deepobs_runners": self.runners,
            "deepobs_suites": self.suites,
            "deepobs_executors": self.executors,
            "deepobs_plots": self.plots,
            "deepobs_commands": self.commands,
        }

    def discover(self, allowed: Iterable[str] | None = None) -> None:
        """Load the installed plugins, going on past those that are broken.

        Args:
            allowed: Names of the distributions to load besides deepobs-core; `None` for all.

        Raises:
            PluginError: A plugin failed and the registry is strict.
        """
        wanted = None if allowed is None else {normalized(name) for name in allowed}
        installed = installed_plugins()
        for plugin, load in installed:
            if wanted is None or plugin.is_core or normalized(plugin.distribution) in wanted:
                self._take_in(plugin, load)
            else:
                self.plugins.append(replace(plugin, state="left out"))
        met = {normalized(plugin.distribution) for plugin, _ in installed}
        for name in sorted((wanted or set()) - met):
            self._set_aside(
                Plugin(name=name, distribution=name, version="", target=""),
                PluginError("DEEPOBS_PLUGINS allows it, but no plugin of this name is installed."),
            )

    def add(self, implementation: object, plugin: Plugin) -> None:
        """Take in one plugin.

        Args:
            implementation: The module or object that holds the hook implementations.
            plugin: Where it comes from.

        Raises:
            PluginError: It was written for another interface, implements a hook that is none, or
                offers something that is not a description.
        """
        if plugin.name in self._managers:
            raise PluginError(f"There is a plugin {plugin.name} already. Add each once.")
        manager = accepted(implementation, plugin.name)
        offers = [
            (catalog, Offer(spec, plugin.distribution, plugin.version))
            for hook, catalog in self._catalog_of.items()
            for spec in described(manager, hook, catalog.spec_type)
        ]
        for catalog, offer in offers:
            if catalog.has(offer):
                raise PluginError(
                    f"Its distribution offers {offer.spec.name!r} twice. Give each its own name."
                )
        # Only now, when nothing can fail any more, does the registry change.
        for catalog, offer in offers:
            catalog.add(offer)
        self._managers[plugin.name] = manager
        self.plugins.append(plugin)

    def failures(self) -> list[Plugin]:
        """The plugins that could not be loaded, and those that failed while they observed a run."""
        return [plugin for plugin in self.plugins if plugin.error]

    def notify(self, hook: str, **arguments: object) -> None:
        """Tell the observers of runs; one that raises is warned about and not told more.

        Args:
            hook: Name of the hook.
            **arguments: What it tells.

        Raises:
            PluginError: An observer failed and the registry is strict.
        """
        for name, manager in list(self._managers.items()):
            tell = getattr(manager.hook, hook)
            try:
                tell(**arguments)
            except (Exception, SystemExit) as error:  # a stranger's code must not end the run
                self._silence(name, hook, error)

    def catalogs(self) -> list[Catalog[Any]]:
        """All that is on offer, a catalogue for each kind."""
        return list(self._catalog_of.values())

    def hint(self, name: str) -> str:
        """What somebody who asks for an unknown test problem or data set should know.

        Args:
            name: What was asked for.
        """
        return self._hint_at(self.first_party_owner(name)) or self._hint_at_plugins(name)

    def first_party_owner(self, name: str) -> str:
        """Our package that offers a test problem or data set, installed or not; empty for none."""
        return DISTRIBUTION_OF.get(name.rpartition(":")[2], "")

    def hint_about_command(self, name: str) -> str:
        """What somebody who gives an unknown command should know, if there is anything.

        Args:
            name: The command that was given.
        """
        failed = ", ".join(plugin.name for plugin in self.failures())
        return self._hint_at(DISTRIBUTION_OF_COMMAND.get(name, "")) or (
            failed and f"A plugin that failed to load may have it: {failed}."
        )

    def _hint_at(self, distribution: str) -> str:
        """Why what a package of ours brings is not there; nothing where it should be there."""
        if not distribution:
            return ""
        plugins = [one for one in self.plugins if normalized(one.distribution) == distribution]
        if not plugins:
            return f"It comes with {distribution}: pip install {distribution}."
        for plugin in plugins:
            if plugin.state == "failed":
                return f"It comes with {plugin}, which failed to load: {plugin.error}."
            if plugin.state == "left out":
                return f"It comes with {plugin}, which DEEPOBS_PLUGINS leaves out."
        return ""

    def _hint_at_plugins(self, name: str) -> str:
        del name
        failed = [f"{plugin} ({plugin.error})" for plugin in self._in_state("failed")]
        if failed:
            return f"It may be in a plugin that failed to load: {'; '.join(failed)}."
        left_out = [str(plugin) for plugin in self._in_state("left out")]
        if left_out:
            return f"DEEPOBS_PLUGINS leaves out {', '.join(left_out)}."
        return "`deepobs list` shows all that there is."

    def _in_state(self, state: str) -> list[Plugin]:
        return [plugin for plugin in self.plugins if plugin.state == state]

    def _take_in(self, plugin: Plugin, load: Callable[[], object]) -> None:
        try:
            with undisturbed():
                implementation = load()
                plugin = replace(plugin, file=getattr(implementation, "__file__", None) or "")
                self.add(implementation, plugin)
        # A stranger's module may raise anything, or call sys.exit, when it is imported.
        except (Exception, SystemExit) as error:
            self._set_aside(plugin, error)

    def _set_aside(self, plugin: Plugin, error: BaseException) -> None:
        failed = replace(plugin, state="failed", error=_reason(error))
        self.plugins.append(failed)
        self._complain(f"The plugin {plugin} is left out: {failed.error}.", error)

    def _silence(self, name: str, hook: str, error: BaseException) -> None:
        del self._managers[name]
        reason = f"{hook}: {_reason(error)}"
        self.plugins = [
            replace(plugin, state="silenced", error=reason) if plugin.name == name else plugin
            for plugin in self.plugins
        ]
        self._complain(f"The plugin {name} failed and is told no more of runs: {reason}.", error)

    def _complain(self, message: str, error: BaseException) -> None:
        if self.strict:
            raise PluginError(f"{message} (DEEPOBS_STRICT_PLUGINS makes this fatal.)") from error
        warnings.warn(f"{message} `deepobs plugins` shows more.", PluginWarning, stacklevel=4)


_discovery = threading.RLock()


def registry() -> Registry:
    """The registry of this process, discovered on first use.

    `DEEPOBS_PLUGINS`, a comma-separated list of distributions, limits what is loaded besides
    deepobs-core; `DEEPOBS_STRICT_PLUGINS=1` makes every failure an error.

    Raises:
        PluginError: A plugin failed and `DEEPOBS_STRICT_PLUGINS` is set.
    """
    with _discovery:  # two threads that both made one would hold different classes of one name
        return _discovered()


_is_discovering = False


@functools.cache
def _discovered() -> Registry:
    global _is_discovering
    if _is_discovering:  # in this thread, as others wait: a plugin asks in its own import
        raise PluginError(
            "It asked for the registry while plugins are loaded. Describe what the plugin offers "
            "in its hooks, and ask for the registry in the code that they name."
        )
    found = Registry(strict=os.environ.get("DEEPOBS_STRICT_PLUGINS", "") not in ("", "0"))
    allowed = os.environ.get("DEEPOBS_PLUGINS")
    _is_discovering = True
    try:
        found.discover(None if allowed is None else [n for n in allowed.split(",") if n.strip()])
    finally:
        _is_discovering = False
    return found


def _reason(error: BaseException) -> str:
    """What went wrong on one line, whatever a stranger's exception is like."""
    return " ".join(message_of(error).split()).rstrip(":. ")
