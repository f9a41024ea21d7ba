"""Discovery of the installed plugins, each isolated from the others.

pluggy's own entry-point loader stops at the first plugin that raises, skips a second entry point of
the same name without a word, and its calls are all or nothing. So the loop is ours, and every
plugin gets a plugin manager of its own: a plugin is in the registry whole or not at all.
"""

from __future__ import annotations

import functools
import inspect
import os
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import pluggy
from importlib_metadata import entry_points

from deepobs.errors import PluginError, PluginWarning
from deepobs.plugins import hookspecs, specs
from deepobs.plugins.catalog import Catalog, Offer
from deepobs.plugins.first_party import DISTRIBUTION_OF

if TYPE_CHECKING:
    from collections.abc import Iterable

CORE_DISTRIBUTION = "deepobs-core"


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point of the group `deepobs`, and what became of it.

    Attributes:
        name: `distribution:entry point`.
        distribution: Name of the installed distribution.
        version: Its version.
        target: The module it names.
        file: Where that module is, empty where it could not be imported.
        state: `loaded`, `failed`, or `left out` by `DEEPOBS_PLUGINS`.
        error: Why it failed.
    """

    name: str
    distribution: str
    version: str
    target: str
    file: str = ""
    state: Literal["loaded", "failed", "left out"] = "loaded"
    error: str = ""


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
        hint = self._hint
        self.problems = Catalog("test problem", specs.ProblemSpec, hint)
        self.datasets = Catalog("data set", specs.DatasetSpec, hint)
        self.optimizers = Catalog("optimizer", specs.OptimizerSpec, hint)
        self.runners = Catalog("runner", specs.RunnerSpec, hint)
        self.suites = Catalog("suite", specs.SuiteSpec, hint)
        self.executors = Catalog("executor", specs.ExecutorSpec, hint)
        self.plots = Catalog("plot", specs.PlotSpec, hint)
        self.commands = Catalog("command", specs.CommandSpec, hint)
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
        wanted = None if allowed is None else {_normalized(name) for name in allowed}
        met = set()
        for entry in entry_points(group=hookspecs.PROJECT):
            distribution = entry.dist.name if entry.dist else "unknown"
            met.add(_normalized(distribution))
            plugin = Plugin(
                name=f"{distribution}:{entry.name}",
                distribution=distribution,
                version=entry.dist.version if entry.dist else "",
                target=entry.value,
            )
            if (
                wanted is not None
                and _normalized(distribution) not in wanted
                and distribution != CORE_DISTRIBUTION
            ):
                self.plugins.append(replace(plugin, state="left out"))
                continue
            try:
                self.add(entry.load(), plugin)
            # A stranger's module may raise anything, or call sys.exit, when it is imported.
            except (Exception, SystemExit) as error:
                self._set_aside(plugin, error)
        for name in sorted((wanted or set()) - met):
            missing = Plugin(name=name, distribution=name, version="", target="")
            self._set_aside(missing, PluginError("it is allowed, but not installed"))

    def add(self, implementation: object, plugin: Plugin) -> None:
        """Take in one plugin.

        Args:
            implementation: The module or object that holds the hook implementations.
            plugin: Where it comes from.

        Raises:
            PluginError: It was written for another interface, implements no known hook by that
                name, or offers something that is not a description.
        """
        _check_api_version(implementation)
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        _check_marks(implementation, manager)
        manager.register(implementation, name=plugin.name)
        manager.check_pending()
        offered = {
            hook: _collect(manager, hook, catalog.spec_type)
            for hook, catalog in self._catalog_of.items()
        }
        # Only now, when nothing can fail any more, does the registry change.
        for hook, described in offered.items():
            for spec in described:
                self._catalog_of[hook].add(Offer(spec, plugin.distribution, plugin.version))
        self._managers[plugin.name] = manager
        self.plugins.append(replace(plugin, file=getattr(implementation, "__file__", None) or ""))

    def failures(self) -> list[Plugin]:
        """The plugins that could not be loaded."""
        return [plugin for plugin in self.plugins if plugin.state == "failed"]

    def notify(self, hook: str, **arguments: object) -> None:
        """Tell the observers of runs; one that raises is warned about and not asked again."""
        for name, manager in list(self._managers.items()):
            try:
                getattr(manager.hook, hook)(**arguments)
            except Exception as error:  # an observer must not end the run it observes
                if self.strict:
                    raise
                del self._managers[name]
                warnings.warn(
                    f"The plugin {name} failed in {hook} and is not told more: "
                    f"{type(error).__name__}: {error}",
                    PluginWarning,
                    stacklevel=2,
                )

    def _set_aside(self, plugin: Plugin, error: BaseException) -> None:
        reason = f"{type(error).__name__}: {error}"
        if self.strict:
            raise PluginError(
                f"The plugin {plugin.name} {plugin.version} cannot be loaded: {reason}. "
                "(DEEPOBS_STRICT_PLUGINS makes this an error.)"
            ) from error
        self.plugins.append(replace(plugin, state="failed", error=reason))
        warnings.warn(
            f"The plugin {plugin.name} {plugin.version} is left out: {reason}. "
            "`deepobs plugins` shows more.",
            PluginWarning,
            stacklevel=3,
        )

    def _hint(self, name: str) -> str:
        """What a user who asks for an unknown name should know about what is installed."""
        distribution = DISTRIBUTION_OF.get(name)
        installed = {plugin.distribution for plugin in self.plugins}
        if distribution is not None and distribution not in installed:
            return f"It comes with {distribution}: pip install {distribution}."
        failed = "; ".join(f"{plugin.name} ({plugin.error})" for plugin in self.failures())
        left_out = ", ".join(
            plugin.distribution for plugin in self.plugins if plugin.state == "left out"
        )
        if failed:
            return f"It may be in a plugin that failed to load: {failed}."
        if left_out:
            return f"DEEPOBS_PLUGINS leaves out {left_out}."
        return "`deepobs list` shows all that there is."


@functools.cache
def registry() -> Registry:
    """The registry of this process, discovered on first use.

    `DEEPOBS_PLUGINS`, a comma-separated list of distributions, limits what is loaded besides
    deepobs-core; `DEEPOBS_STRICT_PLUGINS=1` makes every failure an error.
    """
    found = Registry(strict=os.environ.get("DEEPOBS_STRICT_PLUGINS", "") not in ("", "0"))
    allowed = os.environ.get("DEEPOBS_PLUGINS")
    found.discover(None if allowed is None else [n for n in allowed.split(",") if n.strip()])
    return found


def _normalized(distribution: str) -> str:
    """Distribution names compare as installers compare them: case and -_. do not matter."""
    return distribution.strip().lower().replace("_", "-").replace(".", "-")


def _check_api_version(implementation: object) -> None:
    version = getattr(implementation, "DEEPOBS_API_VERSION", None)
    if version is None:
        raise PluginError(
            "it does not state the plugin interface it was written for. "
            f"Add the line DEEPOBS_API_VERSION = {hookspecs.API_VERSION}"
        )
    if version != hookspecs.API_VERSION:
        raise PluginError(
            f"it was written for version {version!r} of the plugin interface, "
            f"but this deepobs-core has version {hookspecs.API_VERSION}"
        )


def _check_marks(implementation: object, manager: pluggy.PluginManager) -> None:
    """A hook without its mark would be passed over without a word."""
    for name in dir(implementation):
        if name.startswith(f"{hookspecs.PROJECT}_") and inspect.isroutine(
            getattr(implementation, name)
        ):
            if not hasattr(hookspecs, name):
                raise PluginError(f"there is no hook {name!r}")
            if manager.parse_hookimpl_opts(implementation, name) is None:
                raise PluginError(f"{name} is not marked with deepobs.plugins.hookimpl")


def _collect(manager: pluggy.PluginManager, hook: str, spec_type: type[specs.Spec]) -> list[Any]:
    """What one plugin offers through one hook, checked."""
    described = [spec for answer in getattr(manager.hook, hook)() for spec in answer]
    names = set()
    for spec in described:
        if not isinstance(spec, spec_type):
            raise PluginError(f"{hook} offers {spec!r}, which is no {spec_type.__name__}")
        if spec.name in names:
            raise PluginError(f"{hook} offers {spec.name!r} twice")
        names.add(spec.name)
    return described
