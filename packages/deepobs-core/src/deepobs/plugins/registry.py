"""Everything the installed plugins offer, and the calls of their hooks.

One `pluggy.PluginManager` holds all plugins, so that wrappers, `tryfirst` and tracing work across
them. What it lacks is isolation: its entry-point loader and its calls stop at the first plugin that
raises. Each import and each hook implementation is therefore guarded, and a plugin that fails is
unregistered whole while the others stay.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import random
import sys
import threading
import types
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

from deepobs.errors import (
    PluginError,
    PluginWarning,
    UnknownNameError,
    closest,
    message_of,
    sentences,
)
from deepobs.plugins import hookspecs, specs
from deepobs.plugins._first_party import DISTRIBUTION_OF, DISTRIBUTION_OF_COMMAND
from deepobs.plugins.catalog import Catalog, Offer
from deepobs.plugins.installed import CORE_DISTRIBUTION, Plugin, installed_plugins, normalized

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    Hook = Callable[..., Any]

__all__ = ["Plugin", "Registry", "registry"]

_PREFIX = f"{hookspecs.PROJECT}_"
_HOOKS = [name for name in dir(hookspecs) if name.startswith(_PREFIX)]
# A module may call sys.exit when it is imported; an interruption by the user must get through.
_FAILURES = (Exception, SystemExit)


class Registry:
    """Everything the installed plugins offer.

    Args:
        strict: Raise at the first plugin that fails, instead of warning and continuing without it.

    Attributes:
        manager: The plugin manager, for tracing: `registry().manager.enable_tracing()`.
        problems: The catalog of test problems. Each of the other kinds has one, too.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self._plugins: dict[str, Plugin] = {}
        self.problems = Catalog(specs.ProblemSpec, self.hint)
        self.datasets = Catalog(specs.DatasetSpec, self.hint)
        self.optimizers = Catalog(specs.OptimizerSpec, self._hint_at_plugins)
        self.runners = Catalog(specs.RunnerSpec, self._hint_at_plugins)
        self.suites = Catalog(specs.SuiteSpec, self._hint_at_plugins)
        self.executors = Catalog(specs.ExecutorSpec, self._hint_at_engines)
        self.plots = Catalog(specs.PlotSpec, self._hint_at_plugins)
        self.trackers = Catalog(specs.TrackerSpec, self._hint_at_plugins)
        self.commands = Catalog(specs.CommandSpec, self._hint_at_plugins)
        self._catalog_of: dict[str, Catalog[Any]] = {
            _PREFIX + kind: found for kind, found in vars(self).items() if type(found) is Catalog
        }

    @property
    def plugins(self) -> list[Plugin]:
        """Every plugin found, whatever became of it, in the order of discovery."""
        return list(self._plugins.values())

    def discover(self, allowed: Iterable[str] | None = None) -> None:
        """Load the installed plugins, skipping those that fail.

        Args:
            allowed: Names of the distributions to load besides deepobs-core; `None` for all.

        Raises:
            PluginError: A plugin failed and the registry is strict.
        """
        wanted = None if allowed is None else {CORE_DISTRIBUTION, *map(normalized, allowed)}
        installed = installed_plugins()
        registered = []
        for plugin, load in installed:
            if wanted is not None and normalized(plugin.distribution) not in wanted:
                plugin.state = "excluded"
                self._plugins[plugin.name] = plugin
                continue
            with self._skipping(plugin):
                implementation = load()
                plugin.file = getattr(implementation, "__file__", None) or ""
                self._register(implementation, plugin)
                registered.append(plugin)
        # Offers are collected once all plugins are registered, so that a wrapper sees those of
        # plugins that were loaded before it, too, and kept once no wrapper can fail any more.
        collected = []
        for plugin in registered:
            with self._skipping(plugin):
                collected.append((plugin, self._offers_of(plugin)))
        for plugin, offers in collected:
            if self.manager.has_plugin(plugin.name):
                with self._skipping(plugin):
                    self._keep(offers)
        met = {normalized(plugin.distribution) for plugin, _ in installed}
        for name in sorted((wanted or set()) - met - {CORE_DISTRIBUTION}):
            with self._skipping(Plugin(name=name, distribution=name, version="", target="")):
                raise PluginError(
                    "DEEPOBS_PLUGINS names it, but no plugin of this name is installed"
                )

    def add(self, implementation: object, plugin: Plugin) -> None:
        """Register one plugin and keep what it offers.

        Args:
            implementation: The module or object with its hook implementations.
            plugin: Where it comes from.

        Raises:
            PluginError: It does not fit the plugin interface.
        """
        self._register(implementation, plugin)
        try:
            self._keep(self._offers_of(plugin))
        except BaseException:
            self.manager.unregister(name=plugin.name)
            del self._plugins[plugin.name]
            raise

    def failures(self) -> list[Plugin]:
        """The plugins that failed to load, and those disabled because they raised in a hook."""
        return [plugin for plugin in self.plugins if plugin.error]

    def notify(self, hook: str, **arguments: object) -> None:
        """Call an observer hook; a plugin that raises in it is disabled with a warning.

        Raises:
            PluginError: An observer failed and the registry is strict.
        """
        getattr(self.manager.hook, hook)(**arguments)

    def catalogs(self) -> list[Catalog[Any]]:
        """The catalog of each kind."""
        return list(self._catalog_of.values())

    def first_party_owner(self, name: str) -> str:
        """Our package that offers a test problem or data set, installed or not; empty for none."""
        return DISTRIBUTION_OF.get(name.rpartition(":")[2], "")

    def problems_of_suite(self, name: str) -> tuple[str, ...]:
        """The names of the problems of a suite: the installed ones, unless it needs all.

        Raises:
            UnknownNameError: There is no such suite, or it cannot be used without what is missing.
        """
        suite = self.suites.offer(name)
        installed = tuple(one for one in suite.spec.problems if self.problems.called(one))
        if not installed or (suite.spec.needs_all and installed != suite.spec.problems):
            missing = self.missing_of_suite(name)
            raise UnknownNameError(f"{suite} cannot be used. {missing}")
        return installed

    def missing_of_suite(self, name: str) -> str:
        """Which problems of a suite are not installed, and what to do; empty if all are."""
        missing = [
            one for one in self.suites.offer(name).spec.problems if not self.problems.called(one)
        ]
        if not missing:
            return ""
        hints = dict.fromkeys(self.hint(one) for one in missing)
        return sentences(f"Not installed of {name}: {', '.join(missing)}.", *hints)

    def hint(self, name: str) -> str:
        """What to do about the unknown name of a test problem or data set."""
        return self._hint_at(self.first_party_owner(name)) or self._hint_at_plugins(name)

    def hint_about_command(self, name: str) -> str:
        """What to do about an unknown command; empty if nothing is known."""
        failed = ", ".join(plugin.name for plugin in self.failures())
        return self._hint_at(DISTRIBUTION_OF_COMMAND.get(name, "")) or (
            failed and f"It may be in a plugin that failed to load: {failed}."
        )

    def _hint_at(self, distribution: str) -> str:
        """Why what a package of ours offers is unknown; empty if it should be known."""
        plugins = [one for one in self.plugins if normalized(one.distribution) == distribution]
        if distribution and not plugins:
            return f"It comes with {distribution}: pip install {distribution}."
        for plugin in plugins:
            if plugin.state == "failed":
                return f"It comes with {plugin}, which failed to load: {plugin.error}."
            if plugin.state == "excluded":
                return f"It comes with {plugin}, which DEEPOBS_PLUGINS excludes."
        return ""

    def _hint_at_engines(self, name: str) -> str:
        # Their names look as if they were built in.
        return (
            f"{self._hint_at_plugins(name)} Engines of other packages, such as loky or parsl, are "
            "given as a function of your own that makes their executor: module:function."
        )

    def _hint_at_plugins(self, _name: str) -> str:
        failed = [f"{one} ({one.error})" for one in self.plugins if one.state == "failed"]
        if failed:
            return f"It may be in a plugin that failed to load: {'; '.join(failed)}."
        excluded = [str(plugin) for plugin in self.plugins if plugin.state == "excluded"]
        if excluded:
            return f"DEEPOBS_PLUGINS excludes {', '.join(excluded)}."
        return "`deepobs list` shows what is installed."

    def _register(self, implementation: object, plugin: Plugin) -> None:
        if self.manager.has_plugin(plugin.name):
            raise PluginError(f"A plugin {plugin.name} exists already. Add each plugin once.")
        # pluggy finds hooks by the attributes of an object. Those of the plugin itself must stay as
        # they are, since the plugin may call its own functions.
        guarded = types.ModuleType(plugin.name)
        for name, options in _hooks_of(implementation, self.manager).items():
            guard = self._guarded_wrapper if options["wrapper"] else self._guarded
            hook = options["specname"] or name
            function = guard(plugin.name, hook, getattr(implementation, name))
            setattr(guarded, name, hookspecs.hookimpl(**options)(function))
        try:
            self.manager.register(guarded, name=plugin.name)
        except BaseException:
            # pluggy before 1.7 leaves those hooks registered that came before the invalid one.
            self.manager.unregister(name=plugin.name)
            raise
        self._plugins[plugin.name] = plugin

    def _guarded(self, plugin: str, hook: str, function: Hook) -> Hook:
        """Check what an implementation offers; disable the plugin of an observer that raises."""
        catalog = self._catalog_of.get(hook)

        @functools.wraps(function)
        def call(*arguments: object, **more: object) -> object:
            if catalog:
                return _checked(function(*arguments, **more), hook, catalog.spec_type)
            try:
                return function(*arguments, **more)
            except _FAILURES as error:
                # What a user wrote is wrong, or code of the user's that it names.
                if hook in hookspecs.QUESTION_HOOKS:
                    raise
                self._disable(plugin, hook, error)
                return None

        return call

    def _guarded_wrapper(self, plugin: str, hook: str, function: Hook) -> Hook:
        """Pass on the results of the wrapped hooks unchanged if the wrapper itself raises."""
        catalog = self._catalog_of.get(hook)

        @functools.wraps(function)
        def wrap(*arguments: object, **more: object) -> Generator[None, list[Any], list[Any]]:
            steps = function(*arguments, **more)
            try:
                next(steps)
            except _FAILURES as error:
                self._disable(plugin, hook, error)
                return (yield)
            results = yield
            try:
                changed: list[Any] = _returned(steps, results)
                if catalog:
                    changed = [_checked(answer, hook, catalog.spec_type) for answer in changed]
            except _FAILURES as error:
                self._disable(plugin, hook, error)
                return results
            return changed

        return wrap if inspect.isgeneratorfunction(function) else function

    def _offers_of(self, plugin: Plugin) -> list[tuple[Catalog[Any], Offer[Any]]]:
        found: list[tuple[Catalog[Any], Offer[Any]]] = []
        for hook, catalog in self._catalog_of.items():
            # The answers of a common call do not say whose they are. So each plugin is called
            # alone, but with the wrappers of all.
            others = [
                implementation.plugin
                for implementation in getattr(self.manager.hook, hook).get_hookimpls()
                if not implementation.wrapper and implementation.plugin_name != plugin.name
            ]
            found += [
                (catalog, Offer(spec, plugin.distribution, plugin.version))
                for answer in self.manager.subset_hook_caller(hook, others)()
                for spec in answer
            ]
        return found

    def _keep(self, offers: list[tuple[Catalog[Any], Offer[Any]]]) -> None:
        # All are checked before the first is added, so that a plugin that fails leaves none.
        for catalog, offer in offers:
            if any(
                one.distribution == offer.distribution for one in catalog.called(offer.spec.name)
            ):
                raise PluginError(
                    f"Its distribution offers {offer.spec.name!r} twice. Give each its own name."
                )
        for catalog, offer in offers:
            catalog.add(offer)

    @contextlib.contextmanager
    def _skipping(self, plugin: Plugin) -> Iterator[None]:
        """Skip a plugin that raises, and undo what it does to the whole process.

        What it prints goes to standard error, as standard output may be read by a program.
        """
        # Random numbers of the user must not depend on which plugins are installed, and a filter
        # that turns warnings into errors would make the next plugin fail.
        random_state = random.getstate()
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
                yield
        except _FAILURES as error:
            plugin.state, plugin.error = "failed", _reason(error)
            self._plugins[plugin.name] = plugin
            self.manager.unregister(name=plugin.name)
            self._complain(f"Plugin {plugin} failed to load and is skipped: {plugin.error}.", error)
        finally:
            random.setstate(random_state)

    def _disable(self, name: str, hook: str, error: BaseException) -> None:
        """Unregister a plugin that raised in a hook; what it offers stays usable."""
        # A wrapper and an observer of the same plugin may both fail in one call.
        if not self.manager.has_plugin(name):
            return
        # Safe in the middle of a call, because pluggy iterates over a copy of its list.
        self.manager.unregister(name=name)
        plugin = self._plugins[name]
        plugin.state, plugin.error = "disabled", f"{hook}: {_reason(error)}"
        place = "a wrapper" if hook in self._catalog_of else "an observer hook"
        self._complain(
            f"Plugin {plugin} raised in {place} and is disabled for this process: {plugin.error}.",
            error,
        )

    def _complain(self, message: str, error: BaseException) -> None:
        if self.strict:
            raise PluginError(f"{message} (DEEPOBS_STRICT_PLUGINS makes this fatal.)") from error
        warnings.warn(f"{message} `deepobs plugins` shows more.", PluginWarning, stacklevel=4)


def _hooks_of(
    implementation: object, manager: pluggy.PluginManager
) -> dict[str, pluggy.HookimplOpts]:
    """The options of each hook implementation of a plugin, by its name."""
    version = getattr(implementation, "DEEPOBS_API_VERSION", None)
    if version is None:
        raise PluginError(
            "It does not state the plugin interface it was written for. "
            f"Add the line DEEPOBS_API_VERSION = {hookspecs.API_VERSION}."
        )
    if version != hookspecs.API_VERSION:
        raise PluginError(
            f"It was written for version {version!r} of the plugin interface, but the installed "
            f"deepobs-core has version {hookspecs.API_VERSION}. Install compatible releases."
        )
    found = {}
    for name in dir(implementation):
        options = manager.parse_hookimpl_opts(implementation, name)
        is_unmarked = options is None and name.startswith(_PREFIX)
        # pluggy ignores functions without the mark and hooks that nobody calls: they are slips.
        if is_unmarked and not inspect.isroutine(getattr(implementation, name)):
            continue
        hook = (options and options["specname"]) or name
        if (options or is_unmarked) and hook not in _HOOKS:
            known = f"There are: {', '.join(_HOOKS)}."
            raise PluginError(
                sentences(f"There is no hook {hook!r}.", closest(hook, _HOOKS), known)
            )
        if is_unmarked:
            raise PluginError(
                f"{name} is not marked with deepobs.plugins.hookimpl. Write @hookimpl above it."
            )
        if options and options["hookwrapper"]:
            raise PluginError(
                f"{name} is marked with hookwrapper=True, pluggy's old form of wrappers. "
                "Write @hookimpl(wrapper=True) above it, and let it return the results."
            )
        if options:
            found[name] = options
    return found


def _checked(answer: object, hook: str, spec_type: type[specs.Spec]) -> list[specs.Spec]:
    """The specifications that a hook returned, all of one type and with different names."""
    if not isinstance(answer, Iterable):
        raise PluginError(
            f"{hook} returns {answer!r}. It must return a list of {spec_type.__name__}."
        )
    found: dict[str, specs.Spec] = {}
    for spec in answer:
        if not isinstance(spec, spec_type):
            raise PluginError(
                f"{hook} offers {spec!r}, which is no {spec_type.__name__}. It must return a "
                f"list of {spec_type.__name__}."
            )
        if not spec.name or not getattr(spec, "target", spec.name):
            raise PluginError(f"{hook} offers {spec!r}, which needs a name and a target.")
        if spec.name in found:
            raise PluginError(f"{hook} offers {spec.name!r} twice. Give each its own name.")
        found[spec.name] = spec
    return list(found.values())


def _returned(steps: Generator[None, object, Any], results: object) -> Any:
    """What a wrapper returns once it is given the results of the hooks that it wraps."""
    try:
        steps.send(results)
    except StopIteration as end:
        return end.value
    raise PluginError("A wrapper must yield once.")


_lock = threading.RLock()
_registry: Registry | None = None
_is_discovering = False


def registry() -> Registry:
    """The registry of this process, discovered on first use.

    `DEEPOBS_PLUGINS`, a comma-separated list of distributions, limits what is loaded besides
    deepobs-core; `DEEPOBS_STRICT_PLUGINS=1` makes every failure an error.

    Raises:
        PluginError: A plugin failed and `DEEPOBS_STRICT_PLUGINS` is set.
    """
    global _registry, _is_discovering
    # Two threads that both made a registry would hold different classes of the same name.
    with _lock:
        # Only this thread can get here meanwhile, since others wait for the lock.
        if _is_discovering:
            raise PluginError(
                "It asked for the registry while plugins are loaded. Describe what the plugin "
                "offers in its hooks, and ask for the registry in the code that they name."
            )
        if _registry is None:
            found = Registry(strict=os.environ.get("DEEPOBS_STRICT_PLUGINS", "") not in ("", "0"))
            allowed = os.environ.get("DEEPOBS_PLUGINS")
            names = None if allowed is None else [n for n in allowed.split(",") if n.strip()]
            _is_discovering = True
            try:
                found.discover(names)
            finally:
                _is_discovering = False
            _registry = found
        return _registry


def _reason(error: BaseException) -> str:
    """What went wrong, on one line."""
    return " ".join(message_of(error).split()).rstrip(":. ")
