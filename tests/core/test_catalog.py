"""Finding and importing what is on offer."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from deepobs.errors import (
    AmbiguousNameError,
    ComponentLoadError,
    DeepOBSError,
    UnknownNameError,
)
from deepobs.plugins import Offer, OptimizerSpec, SuiteSpec
from deepobs.plugins.catalog import Catalog, import_target

if TYPE_CHECKING:
    from plugin_sources import Install


def catalog(*qualified_names: str, target: str = "fractions:Fraction") -> Catalog[OptimizerSpec]:
    """A catalog of optimizers of these names."""
    found: Catalog[OptimizerSpec] = Catalog(OptimizerSpec, lambda name: f"No {name}.")
    for qualified_name in qualified_names:
        distribution, _, name = qualified_name.partition(":")
        spec = OptimizerSpec(name=name, target=target, summary="")
        found.add(Offer(spec, distribution, "1.0"))
    return found


def test_names_are_sorted_and_a_name_offered_twice_is_listed_once() -> None:
    found = catalog("b:Sgd", "a:Sgd", "a:Adam")
    assert found.names() == ["Adam", "Sgd"]
    assert [offer.qualified_name for offer in found.offers()] == ["a:Adam", "b:Sgd", "a:Sgd"]


def test_an_unknown_name_is_answered_with_similar_ones_and_the_hint() -> None:
    with pytest.raises(UnknownNameError) as caught:
        catalog("a:Adam", "a:SGD").load("adamm")
    assert str(caught.value) == ("There is no optimizer 'adamm'. Did you mean 'Adam'? No adamm.")


def test_a_name_of_two_plugins_is_refused_unless_qualified() -> None:
    found = catalog("acme-obs:SGD", "zeta-obs:SGD", "zeta-obs:Adam")
    with pytest.raises(AmbiguousNameError) as caught:
        found.load("SGD")
    assert str(caught.value) == (
        "The optimizer 'SGD' is offered by acme-obs 1.0 and zeta-obs 1.0. "
        "Say which one you mean: 'acme-obs:SGD' or 'zeta-obs:SGD'."
    )
    assert found.offer("zeta-obs:SGD").distribution == "zeta-obs"
    assert found.offer("Adam").distribution == "zeta-obs"


def test_a_qualified_name_may_be_spelt_as_installers_allow() -> None:
    assert catalog("Acme.Obs:SGD").offer("acme_obs:SGD").distribution == "Acme.Obs"


@pytest.mark.parametrize("name", ["other:SGD", ":", "", "acme-obs:", "acme-obs:SGD:SGD"])
def test_a_qualified_name_that_matches_nothing_is_unknown(name: str) -> None:
    with pytest.raises(UnknownNameError, match="There is no optimizer"):
        catalog("acme-obs:SGD").load(name)


def test_what_has_no_target_cannot_be_imported() -> None:
    suites: Catalog[SuiteSpec] = Catalog(SuiteSpec, lambda name: "")
    suites.add(Offer(SuiteSpec(name="all", summary="", problems=("x",)), "acme-obs", "1.0"))
    with pytest.raises(ComponentLoadError, match=r"'all' of acme-obs 1\.0 has nothing to import"):
        suites.load("all")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import missing_module_of_acme", "ModuleNotFoundError: No module named 'missing_module"),
        ("raise AttributeError('no such name')", "AttributeError: no such name"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("Other = int", "AttributeError: module 'acme_broken' has no attribute 'Optimizer'"),
    ],
)
def test_a_target_that_cannot_be_imported_is_named_with_the_reason(
    install: Install, source: str, reason: str
) -> None:
    install("acme-broken", source, entry_points="")
    with pytest.raises(ComponentLoadError) as caught:
        catalog("acme-broken:Fast", target="acme_broken:Optimizer").load("Fast")
    message = str(caught.value)
    assert "'Fast' of acme-broken 1.0" in message
    assert "'acme_broken:Optimizer'" in message
    assert reason in message
    assert not isinstance(caught.value, AttributeError)


def test_a_bind_that_raises_does_not_look_like_a_missing_name(install: Install) -> None:
    source = "class Optimizer:\n    @classmethod\n    def bind(cls, spec): return spec.nonsense"
    install("acme-unbound", source, entry_points="")
    with pytest.raises(DeepOBSError, match=r"AttributeError: .* has no attribute 'nonsense'"):
        catalog("acme-unbound:Fast", target="acme_unbound:Optimizer").load("Fast")


def test_a_failed_import_is_tried_again(install: Install) -> None:
    found = catalog("acme-late:Fast", target="acme_late:Optimizer")
    with pytest.raises(ComponentLoadError):
        found.load("Fast")
    install("acme-late", "class Optimizer: pass", entry_points="")
    assert found.load("Fast").__name__ == "Optimizer"


def test_threads_that_ask_at_once_get_one_class(install: Install) -> None:
    source = (
        "import time\n"
        "class Optimizer:\n"
        "    @classmethod\n"
        "    def bind(cls, spec):\n"
        "        time.sleep(0.05)\n"
        "        return type(spec.name, (cls,), {})\n"
    )
    install("acme-slow", source, entry_points="")
    found = catalog("acme-slow:Fast", target="acme_slow:Optimizer")
    loaded: list[type] = []
    threads = [threading.Thread(target=lambda: loaded.append(found.load("Fast"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 4
    assert len(set(loaded)) == 1


def test_a_target_may_be_an_attribute_of_an_attribute() -> None:
    assert import_target("pathlib:Path.home", "The test") is not None
