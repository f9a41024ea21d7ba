"""pluggy's wrappers, order of calls and tracing work across plugins, and a failure stays alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from plugin_sources import PREAMBLE, offering

from deepobs.errors import ArgumentError, PluginError, PluginWarning, UnknownNameError
from deepobs.plugins import Registry

if TYPE_CHECKING:
    from plugin_sources import Install

OBSERVER = """
import sys
calls = sys.modules.setdefault("calls_of_a_test", [])

@hookimpl{options}
def deepobs_epoch_ended(epoch):
    calls.append("{name}")
"""

WRAPPER = """
import sys
calls = sys.modules.setdefault("calls_of_a_test", [])

@hookimpl(wrapper=True)
def deepobs_epoch_ended(epoch):
    calls.append("before")
    {before}
    results = yield
    calls.append("after")
    {after}
    return results
"""

PROBLEMS_WRAPPER = """
@hookimpl(wrapper=True)
def deepobs_problems():
    {before}
    answers = yield
    return {returned}
"""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the observers of this module append to."""
    made: list[str] = []
    monkeypatch.setitem(sys.modules, "calls_of_a_test", made)  # type: ignore[arg-type]
    return made


def discovered(*, strict: bool = False) -> Registry:
    """A registry of what is installed."""
    registry = Registry(strict=strict)
    registry.discover()
    return registry


def end_an_epoch(registry: Registry) -> None:
    """Call an observer hook."""
    registry.notify(
        "deepobs_epoch_ended", specification=None, epoch=0, metrics={}, steps=0, lr=None
    )


def test_a_wrapper_of_one_plugin_is_around_the_observers_of_another(
    install: Install, calls: list[str]
) -> None:
    install("acme-obs", PREAMBLE + OBSERVER.format(options="", name="acme"))
    install("beta-obs", PREAMBLE + WRAPPER.format(before="pass", after="pass"))
    install("zeta-obs", PREAMBLE + OBSERVER.format(options="", name="zeta"))
    end_an_epoch(discovered(strict=True))
    assert calls == ["before", "zeta", "acme", "after"]


@pytest.mark.parametrize(
    ("of_acme", "of_zeta", "expected"),
    [
        ("", "", ["zeta", "acme"]),
        ("(tryfirst=True)", "", ["acme", "zeta"]),
        ("", "(trylast=True)", ["acme", "zeta"]),
        ("(tryfirst=True)", "(tryfirst=True)", ["zeta", "acme"]),
    ],
)
def test_the_order_of_calls_holds_across_plugins(
    install: Install, calls: list[str], of_acme: str, of_zeta: str, expected: list[str]
) -> None:
    install("acme-obs", PREAMBLE + OBSERVER.format(options=of_acme, name="acme"))
    install("zeta-obs", PREAMBLE + OBSERVER.format(options=of_zeta, name="zeta"))
    end_an_epoch(discovered(strict=True))
    assert calls == expected


def test_tracing_shows_the_calls_of_all_plugins(install: Install, calls: list[str]) -> None:
    install("acme-obs", PREAMBLE + OBSERVER.format(options="", name="acme"))
    install("zeta-obs", PREAMBLE + WRAPPER.format(before="pass", after="pass"))
    registry = discovered()
    lines: list[str] = []
    registry.manager.trace.root.setwriter(lines.append)
    stop = registry.manager.enable_tracing()
    end_an_epoch(registry)
    stop()
    assert "deepobs_epoch_ended [hook]" in lines[0]
    assert "epoch: 0" in "".join(lines)
    assert "finish deepobs_epoch_ended" in lines[-1]
    assert calls == ["before", "acme", "after"]
    assert {"acme-obs:acme", "zeta-obs:acme"} <= {
        name for name, _ in registry.manager.list_name_plugin()
    }


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("raise RuntimeError('rusty')", "pass", ["before", "acme"]),
        ("return", "pass", ["before", "acme"]),
        ("pass", "raise RuntimeError('rusty')", ["before", "acme", "after"]),
        ("pass", "yield", ["before", "acme", "after"]),
    ],
)
def test_a_wrapper_that_fails_is_disabled_and_what_it_wraps_is_called(
    install: Install, calls: list[str], before: str, after: str, expected: list[str]
) -> None:
    install("acme-obs", PREAMBLE + OBSERVER.format(options="", name="acme"))
    install("beta-obs", offering("beta_bowl") + WRAPPER.format(before=before, after=after))
    registry = discovered()
    with pytest.warns(PluginWarning, match="beta-obs:acme 1.0 raised in an observer hook") as told:
        end_an_epoch(registry)
    assert len(told) == 1
    assert calls == expected
    assert [(one.name, one.state) for one in registry.failures()] == [("beta-obs:acme", "disabled")]
    assert "beta_bowl" in registry.problems.names()
    del calls[:]
    end_an_epoch(registry)
    assert calls == ["acme"]


def test_an_observer_that_fails_leaves_the_wrappers_of_other_plugins(
    install: Install, calls: list[str]
) -> None:
    source = OBSERVER.format(options="", name="acme") + "    raise RuntimeError('rusty')\n"
    install("acme-obs", PREAMBLE + source)
    install("zeta-obs", PREAMBLE + WRAPPER.format(before="pass", after="pass"))
    registry = discovered()
    with pytest.warns(PluginWarning, match="acme-obs"):
        end_an_epoch(registry)
    end_an_epoch(registry)
    assert calls == ["before", "acme", "after", "before", "after"]


def test_a_failing_wrapper_is_fatal_where_plugins_must_not_fail(
    install: Install, calls: list[str]
) -> None:
    install("acme-obs", PREAMBLE + WRAPPER.format(before="raise OSError(5)", after="pass"))
    registry = discovered(strict=True)
    with pytest.raises(PluginError, match=r"acme-obs:acme 1\.0 .*OSError: 5"):
        end_an_epoch(registry)
    assert calls == ["before"]


@pytest.mark.parametrize("wrapping", ["acme-obs", "zeta-obs"])
def test_a_wrapper_may_change_what_other_plugins_offer(install: Install, wrapping: str) -> None:
    returned = "[[spec for spec in each if spec.name != 'beta_bowl'] for each in answers]"
    install("beta-obs", offering("beta_bowl", "beta_rest"))
    install(wrapping, PREAMBLE + PROBLEMS_WRAPPER.format(before="pass", returned=returned))
    registry = discovered(strict=True)
    assert "beta_bowl" not in registry.problems.names()
    assert registry.problems.offer("beta_rest").distribution == "beta-obs"
    assert registry.problems.offer("quadratic_deep").distribution == "deepobs-core"


@pytest.mark.parametrize(
    ("before", "returned"),
    [
        ("raise RuntimeError('rusty')", "answers"),
        ("pass", "answers.nothing"),
        ("pass", "None"),
        ("pass", "[7]"),
        ("pass", "[['quadratic_deep']]"),
    ],
)
@pytest.mark.parametrize("wrapping", ["acme-obs", "zeta-obs"])
def test_a_wrapper_that_breaks_offers_is_unregistered_whole(
    install: Install, wrapping: str, before: str, returned: str
) -> None:
    source = PROBLEMS_WRAPPER.format(before=before, returned=returned)
    source += (
        "\n@hookimpl\ndef deepobs_suites():\n"
        "    return [SuiteSpec(name='acme', summary='', problems=['beta_bowl'])]\n"
    )
    install("beta-obs", offering("beta_bowl"))
    install(wrapping, PREAMBLE + source)
    with pytest.warns(PluginWarning, match=f"{wrapping}:acme 1.0 raised in a wrapper") as told:
        registry = discovered()
    assert len(told) == 1
    assert [plugin.distribution for plugin in registry.failures()] == [wrapping]
    assert {"beta_bowl", "quadratic_deep"} <= set(registry.problems.names())
    with pytest.raises(UnknownNameError):
        registry.suites.load("acme")


def test_the_old_form_of_wrappers_is_refused_with_the_new_one(install: Install) -> None:
    source = "@hookimpl(hookwrapper=True)\ndef deepobs_run_ended(record):\n    yield\n"
    install("acme-obs", PREAMBLE + source)
    with pytest.warns(PluginWarning, match=r"Write @hookimpl\(wrapper=True\) above it"):
        discovered()


def test_a_wrapper_that_does_not_yield_is_refused(install: Install) -> None:
    source = "@hookimpl(wrapper=True)\ndef deepobs_run_ended(record):\n    return record\n"
    install("acme-obs", PREAMBLE + source)
    with pytest.warns(PluginWarning, match="function is not a generator function"):
        registry = discovered()
    assert not registry.manager.has_plugin("acme-obs:acme")


def test_a_hook_may_be_implemented_under_another_name(install: Install, calls: list[str]) -> None:
    source = OBSERVER.format(options="(specname='deepobs_epoch_ended')", name="acme")
    install("acme-obs", PREAMBLE + source.replace("def deepobs_epoch_ended", "def watch"))
    end_an_epoch(discovered(strict=True))
    assert calls == ["acme"]


READER = """
from deepobs.errors import ArgumentError
from deepobs.records import ExperimentRuns

@hookimpl
def deepobs_experiment_runs(file):
    if file.suffix == ".wrong":
        raise ArgumentError("a mistake of the user's")
    return ExperimentRuns({"0123": ("mine",)}) if file.suffix == ".acme" else None
"""


def test_the_first_plugin_that_knows_an_experiment_says_its_runs(install: Install) -> None:
    install("acme-obs", PREAMBLE + READER)
    hook = discovered().manager.hook.deepobs_experiment_runs
    here = Path()
    assert hook(file=Path("a.acme"), output_dir=here).labels == {"0123": ("mine",)}
    assert hook(file=Path("a.other"), output_dir=here) is None


def test_a_mistake_in_an_experiment_disables_no_plugin(install: Install) -> None:
    install("acme-obs", PREAMBLE + READER)
    registry = discovered()
    with pytest.raises(ArgumentError, match="a mistake of the user's"):
        registry.manager.hook.deepobs_experiment_runs(file=Path("a.wrong"), output_dir=Path())
    assert registry.failures() == []
