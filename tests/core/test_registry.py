"""Discovery with really installed distributions: a broken plugin does not affect the others.

`install` writes a distribution as an installer does, so that everything from the entry point on is
what users have. Whether deepobs-vision is installed makes no difference to these tests.
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

import pytest
from bad_plugins import LEFT_OUT
from importlib_metadata import EntryPoint
from plugin_sources import PREAMBLE, offering

from deepobs.errors import PluginError, PluginWarning, UnknownNameError
from deepobs.plugins import Plugin, Registry
from deepobs.plugins._first_party import DISTRIBUTION_OF
from deepobs.plugins.installed import normalized

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from plugin_sources import Install

CORE_PROBLEMS = [
    *("deep_linear", "matrix_factorization", "plateau", "quadratic_deep", "rotated_ravine"),
    *("saddle_chain", "sparse_embedding", "two_d_beale", "two_d_branin", "two_d_rosenbrock"),
]

SOUND = offering("acme_bowl")


def discovered(*, strict: bool = False, allowed: list[str] | None = None) -> Registry:
    """A registry of what is installed, where nothing may fail."""
    registry = Registry(strict=strict)
    registry.discover(allowed)
    return registry


def with_warnings(discover: Callable[[], Registry]) -> tuple[Registry, list[str]]:
    """A registry and what was warned about while it was made."""
    with pytest.warns(PluginWarning) as told:
        registry = discover()
    return registry, [str(warning.message) for warning in told]


def names_on_offer(registry: Registry) -> dict[str, list[str]]:
    """Everything that is offered, by kind."""
    return {kind: found.names() for kind, found in vars(registry).items() if hasattr(found, "load")}


def assert_skipped(
    registry: Registry, told: list[str], reason: str, name: str = "acme-obs:acme"
) -> None:
    """The failure is kept, warned about once, and named in errors about missing names."""
    (failure,) = registry.failures()
    assert (failure.name, failure.distribution, failure.version) == (name, "acme-obs", "1.0")
    assert failure.state == "failed"
    assert reason in failure.error
    assert told == [
        f"Plugin {name} 1.0 failed to load and is skipped: {failure.error}. "
        "`deepobs plugins` shows more."
    ]
    with pytest.raises(UnknownNameError) as missing:
        registry.problems.load("acme_bowl")
    assert f"failed to load: {name} 1.0 ({failure.error})" in str(missing.value)


def malformed_entry_points_are_read() -> bool:
    """Whether a file with one is refused in part; importlib-metadata 9.0 refuses it whole."""
    try:
        EntryPoint("acme", "acme obs!", "deepobs")
    except ValueError:
        return False
    return True


def assert_core_is_usable(registry: Registry) -> None:
    """All of our own problems can be imported, and one evaluated."""
    for name in CORE_PROBLEMS:
        assert registry.problems.load(name).__name__ == name
    problem = registry.problems.load("quadratic_deep")(100, device="cpu")
    problem.set_up()
    loss, _ = problem.get_batch_loss_and_accuracy(
        next(iter(problem.dataset.test_loader)), reduction="mean"
    )
    assert 300 < loss.item() < 400


@pytest.mark.parametrize("kind", ["a hook raises", "its entry point is no import string"])
def test_a_broken_plugin_is_skipped_whole_and_harms_no_other(
    install: Install, fresh_registry: Callable[[], Registry], kind: str
) -> None:
    plugin = LEFT_OUT[kind]
    install("zeta-obs", offering("zeta_bowl"))
    offered = names_on_offer(discovered())
    install("acme-obs", plugin.source, entry_points=plugin.entry_points)
    registry, told = with_warnings(fresh_registry)
    is_read = kind == "a hook raises" or malformed_entry_points_are_read()
    name = "acme-obs:acme" if is_read else "acme-obs:entry_points.txt"
    assert_skipped(registry, told, plugin.says, name)
    assert names_on_offer(registry) == offered
    assert registry.problems.load("zeta_bowl").__name__ == "zeta_bowl"
    assert_core_is_usable(registry)


def test_an_entry_point_file_that_cannot_be_read_is_skipped(install: Install) -> None:
    offered = names_on_offer(discovered())
    install("acme-obs", SOUND, entry_points="[deepobs]\nacme acme_obs\n")
    registry, told = with_warnings(discovered)
    assert_skipped(registry, told, "entry points cannot be read", "acme-obs:entry_points.txt")
    assert names_on_offer(registry) == offered


@pytest.mark.parametrize("content", [b"[console_scripts]\nunreadable\n", b"\xff\xfe[deepobs]"])
def test_a_malformed_file_of_a_stranger_is_no_matter(install: Install, content: bytes) -> None:
    offered = names_on_offer(discovered())
    directory = install("foreign", "", entry_points="")
    (directory / "foreign-1.0.dist-info" / "entry_points.txt").write_bytes(content)
    registry = discovered()
    assert names_on_offer(registry) == offered
    assert not registry.failures()


def test_a_plugin_without_metadata_is_loaded_and_called_by_its_path(install: Install) -> None:
    directory = install("acme-obs", SOUND)
    (directory / "acme_obs-1.0.dist-info" / "METADATA").unlink()
    registry = discovered()
    assert "acme_obs-1.0.dist-info" in registry.problems.offer("acme_bowl").distribution


def test_the_file_of_a_plugin_that_fails_after_its_import_is_kept(install: Install) -> None:
    directory = install("acme-obs", SOUND.replace("DEEPOBS_API_VERSION = 1", ""))
    registry, _ = with_warnings(discovered)
    assert registry.failures()[0].file == str(directory / "acme_obs.py")


def test_a_sound_plugin_is_kept_with_its_origin(install: Install) -> None:
    directory = install("acme-obs", SOUND, version="3.1")
    registry = discovered()
    (plugin,) = [each for each in registry.plugins if each.distribution == "acme-obs"]
    assert plugin == Plugin(
        name="acme-obs:acme",
        distribution="acme-obs",
        version="3.1",
        target="acme_obs",
        file=str(directory / "acme_obs.py"),
    )
    assert registry.problems.offer("acme_bowl").version == "3.1"
    assert registry.plugins[0].name == "deepobs-core:core"


def test_an_object_can_be_a_plugin(install: Install) -> None:
    source = PREAMBLE + (
        "class Plugin:\n"
        "    DEEPOBS_API_VERSION = 1\n"
        "    @hookimpl\n"
        "    def deepobs_problems(self):\n"
        "        return [problem('acme_bowl')]\n"
        "plugin = Plugin()\n"
    )
    install("acme-obs", source, entry_points="[deepobs]\nacme = {module}:plugin\n")
    assert "acme_bowl" in discovered().problems.names()


def test_two_distributions_may_use_the_same_entry_point_name(install: Install) -> None:
    install("acme-obs", SOUND)
    install("zeta-obs", offering("zeta_bowl"))
    registry = discovered()
    assert {"acme_bowl", "zeta_bowl"} <= set(registry.problems.names())
    assert {"acme-obs:acme", "zeta-obs:acme"} <= {plugin.name for plugin in registry.plugins}


def test_a_name_of_two_plugins_stays_usable_by_its_qualified_form(install: Install) -> None:
    for distribution in ("acme-obs", "zeta-obs"):
        install(distribution, offering("quadratic_deep"))
    registry = discovered()
    with pytest.raises(LookupError) as caught:
        registry.problems.load("quadratic_deep")
    for distribution in ("deepobs-core", "acme-obs", "zeta-obs"):
        assert f"'{distribution}:quadratic_deep'" in str(caught.value)
        assert registry.problems.load(f"{distribution}:quadratic_deep").__name__ == "quadratic_deep"
    assert registry.problems.load("two_d_beale").__name__ == "two_d_beale"


def test_two_entry_points_of_one_distribution_cannot_offer_one_name(install: Install) -> None:
    entry_points = "[deepobs]\nacme = {module}\nbeta = {module}\n"
    install("acme-obs", SOUND, entry_points=entry_points)
    registry, told = with_warnings(discovered)
    assert registry.problems.load("acme_bowl").__name__ == "acme_bowl"
    assert [plugin.name for plugin in registry.failures()] == ["acme-obs:beta"]
    assert len(told) == 1


def test_of_two_copies_of_a_distribution_the_first_on_the_path_counts(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = install("acme-obs", SOUND, version="1.0")
    copy = directory.rename(tmp_path / "older")
    install("acme-obs", SOUND, version="2.0")
    monkeypatch.setattr(sys, "path", [*sys.path, str(copy)])
    registry = discovered()
    assert [plugin.version for plugin in registry.plugins if "acme" in plugin.name] == ["2.0"]


def test_an_unknown_name_without_any_failure_points_to_the_list() -> None:
    with pytest.raises(UnknownNameError) as caught:
        discovered().problems.load("quadratic_dep")
    assert str(caught.value) == (
        "There is no test problem 'quadratic_dep'. Did you mean 'quadratic_deep'? "
        "`deepobs list` shows what is installed."
    )


# Names of our own packages that are not installed, excluded, or broken


@pytest.fixture
def only_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which, of all plugins, deepobs-core alone is installed."""
    from importlib_metadata import distributions

    def those_of_core() -> list[object]:
        return [found for found in distributions() if normalized(found.name) == "deepobs-core"]

    monkeypatch.setattr("deepobs.plugins.installed.distributions", those_of_core)


@pytest.mark.usefixtures("only_core")
@pytest.mark.parametrize(("kind", "name"), [("problems", "mnist_mlp"), ("datasets", "fmnist")])
def test_the_error_says_which_package_to_install(kind: str, name: str) -> None:
    registry = discovered()
    assert registry.problems.names() == CORE_PROBLEMS
    with pytest.raises(UnknownNameError, match="pip install deepobs-vision"):
        getattr(registry, kind).load(name)
    with pytest.raises(UnknownNameError, match="pip install deepobs-vision"):
        registry.problems.load(f"deepobs-vision:{name}")


@pytest.mark.usefixtures("only_core")
def test_a_suite_that_does_not_need_all_consists_of_what_is_installed() -> None:
    registry = discovered()
    assert set(registry.problems_of_suite("embedded")) == set(CORE_PROBLEMS)
    missing = registry.missing_of_suite("embedded")
    assert "Not installed of embedded: digits_logreg, " in missing
    assert missing.count("pip install deepobs-vision") == 1


@pytest.mark.usefixtures("only_core")
@pytest.mark.parametrize("name", ["small", "modern"])
def test_a_suite_that_lacks_what_it_needs_says_what_to_install(name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"cannot be used.*pip install deepobs-vision"):
        discovered().problems_of_suite(name)


def test_a_suite_of_installed_problems_lacks_nothing() -> None:
    registry = discovered()
    assert registry.missing_of_suite("two_d") == ""
    assert len(registry.problems_of_suite("two_d")) == 3


@pytest.mark.usefixtures("only_core")
def test_other_kinds_are_not_sent_to_a_package_of_problems() -> None:
    with pytest.raises(UnknownNameError) as caught:
        discovered().optimizers.load("mnist")
    assert "pip install" not in str(caught.value)


def test_the_error_says_that_the_package_of_a_name_is_broken(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DISTRIBUTION_OF, "acme_bowl", "acme-obs")
    install("acme-obs", "raise RuntimeError('rusty')")
    registry, _ = with_warnings(discovered)
    with pytest.raises(UnknownNameError) as caught:
        registry.problems.load("acme_bowl")
    assert str(caught.value).endswith(
        "It comes with acme-obs:acme 1.0, which failed to load: RuntimeError: rusty."
    )


@pytest.mark.usefixtures("only_core")
def test_a_command_of_a_package_that_is_missing_is_known() -> None:
    registry = discovered()
    assert registry.hint_about_command("table") == (
        "It comes with deepobs-analysis: pip install deepobs-analysis."
    )
    assert registry.hint_about_command("tabel") == ""


# The allow list and strictness


def test_only_allowed_plugins_are_imported(install: Install) -> None:
    install("acme-obs", SOUND)
    install("zeta-obs", "raise RuntimeError('imported')")
    registry = discovered(allowed=["Acme_OBS"])
    assert registry.problems.names() == sorted([*CORE_PROBLEMS, "acme_bowl"])
    assert "zeta_obs" not in sys.modules
    (excluded,) = [plugin for plugin in registry.plugins if plugin.distribution == "zeta-obs"]
    assert excluded.state == "excluded"


def test_the_error_says_that_a_plugin_was_excluded(install: Install) -> None:
    install("acme-obs", SOUND)
    with pytest.raises(UnknownNameError, match=r"DEEPOBS_PLUGINS excludes acme-obs:acme 1\.0"):
        discovered(allowed=[]).problems.load("acme_bowl")


def test_an_allowed_plugin_that_is_not_installed_is_told() -> None:
    registry, told = with_warnings(lambda: discovered(allowed=["acme-obs"]))
    assert len(told) == 1
    assert "acme-obs" in told[0]
    assert "no plugin of this name is installed" in told[0]
    assert registry.problems.names() == CORE_PROBLEMS


def test_the_environment_chooses_the_plugins(
    install: Install, fresh_registry: Callable[[], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-obs", SOUND)
    monkeypatch.setenv("DEEPOBS_PLUGINS", "")
    assert fresh_registry().problems.names() == CORE_PROBLEMS


def test_the_environment_allows_several_plugins(
    install: Install, fresh_registry: Callable[[], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-obs", SOUND)
    install("zeta-obs", offering("zeta_bowl"))
    monkeypatch.setenv("DEEPOBS_PLUGINS", " zeta-obs, acme-obs ,")
    assert {"acme_bowl", "zeta_bowl"} <= set(fresh_registry().problems.names())


@pytest.mark.parametrize(("value", "is_strict"), [("1", True), ("0", False), ("", False)])
def test_the_environment_makes_failures_fatal(
    install: Install,
    fresh_registry: Callable[[], Registry],
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    is_strict: bool,
) -> None:
    install("acme-obs", "raise RuntimeError('rusty')")
    monkeypatch.setenv("DEEPOBS_STRICT_PLUGINS", value)
    if is_strict:
        with pytest.raises(PluginError, match=r"acme-obs:acme 1\.0 .* RuntimeError: rusty"):
            fresh_registry()
    else:
        with pytest.warns(PluginWarning):
            fresh_registry()


def test_a_strict_registry_refuses_an_allowed_plugin_that_is_missing() -> None:
    with pytest.raises(PluginError, match="no plugin of this name is installed"):
        discovered(strict=True, allowed=["acme-obs"])


def test_a_process_discovers_once_and_warns_once(
    install: Install, fresh_registry: Callable[[], Registry]
) -> None:
    install("acme-obs", "raise RuntimeError('rusty')")
    with pytest.warns(PluginWarning) as told:
        first = fresh_registry()
        second = fresh_registry()
    assert first is second
    assert len(told) == 1


# Observers of runs

OBSERVERS = """
told = []

@hookimpl
def deepobs_run_started(specification):
    told.append("started")

@hookimpl
def deepobs_epoch_ended(epoch, metrics):
    told.append(epoch)
    {trouble}

@hookimpl
def deepobs_run_ended(record):
    told.append("ended")
"""


@pytest.mark.parametrize("trouble", ["raise RuntimeError('disk full')", "raise SystemExit(1)"])
def test_an_observer_that_raises_ends_neither_the_run_nor_the_other_observers(
    install: Install, fresh_registry: Callable[[], Registry], trouble: str
) -> None:
    from deepobs.runs import run, specify

    install("acme-obs", PREAMBLE + OBSERVERS.format(trouble=trouble))
    install("zeta-obs", PREAMBLE + OBSERVERS.format(trouble="pass"))
    registry = fresh_registry()
    with pytest.warns(PluginWarning) as told:
        record = run(
            specify(
                "quadratic_deep", "SGD", {"lr": 0.01}, batch_size=500, num_epochs=2, device="cpu"
            )
        ).record
    assert len(record.test_losses) == 3
    assert sys.modules["acme_obs"].told == ["started", 0]
    assert sys.modules["zeta_obs"].told == ["started", 0, 1, 2, "ended"]
    (failure,) = registry.failures()
    assert (failure.name, failure.version, failure.state) == ("acme-obs:acme", "1.0", "disabled")
    assert failure.error.startswith("deepobs_epoch_ended: ")
    assert [str(warning.message) for warning in told] == [
        "Plugin acme-obs:acme 1.0 raised in an observer hook and is disabled for this process: "
        f"{failure.error}. "
        "`deepobs plugins` shows more."
    ]


def test_the_problems_of_a_disabled_plugin_stay(install: Install) -> None:
    install("acme-obs", SOUND + OBSERVERS.format(trouble="raise RuntimeError('disk full')"))
    registry = discovered()
    with pytest.warns(PluginWarning, match="disk full"):
        registry.notify(
            "deepobs_epoch_ended", specification=None, epoch=0, metrics={}, steps=0, lr=None
        )
    assert registry.problems.load("acme_bowl").__name__ == "acme_bowl"
    with pytest.raises(UnknownNameError) as caught:
        registry.problems.load("acme_hole")
    assert "failed" not in str(caught.value)


def test_a_failing_observer_is_fatal_where_plugins_must_not_fail(install: Install) -> None:
    install("acme-obs", PREAMBLE + OBSERVERS.format(trouble="raise RuntimeError('disk full')"))
    registry = discovered(strict=True)
    with pytest.raises(PluginError, match=r"acme-obs:acme .*RuntimeError: disk full"):
        registry.notify(
            "deepobs_epoch_ended", specification=None, epoch=0, metrics={}, steps=0, lr=None
        )


def test_our_own_slip_in_the_name_of_a_hook_is_not_blamed_on_plugins(install: Install) -> None:
    install("acme-obs", SOUND)
    with pytest.raises(AttributeError, match="deepobs_epoch_begun"):
        discovered().notify("deepobs_epoch_begun", epoch=0)


def test_discovery_warns_of_nothing_where_nothing_is_wrong(install: Install) -> None:
    install("acme-obs", SOUND)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        discovered(strict=True)
