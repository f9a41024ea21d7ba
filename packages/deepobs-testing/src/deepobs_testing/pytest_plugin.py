"""The pytest plugin: the marker `deepobs_checks` and the fixture `deepobs_check`.

pytest loads this module in every project of an environment with deepobs-testing. So it imports
neither torch nor any plugin before a test uses the fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from deepobs_testing._checks import Check
    from deepobs_testing._examination import Examination
    from deepobs_testing._targets import Target

MARKER = "deepobs_checks"

_KINDS = {"problems": "test problem", "datasets": "data set", "optimizers": "optimizer"}
_OPTIONS = {"batch_size", "fake_data", "set_up_seconds", "check_seconds", "hyperparameters"}
_KNOWN = ("distribution", *_KINDS, *sorted({"only", "skip"} | _OPTIONS))
_USAGE = f'Write @pytest.mark.{MARKER}(problems=["my_problem"]) or (distribution="my-package").'


class _Case(NamedTuple):
    target: Target
    check: Check
    options: dict[str, Any]


class _Latest(NamedTuple):
    """The examination of the latest test; tests of one target are consecutive and share it."""

    target: Target
    options: dict[str, Any]
    examination: Examination


_latest = pytest.StashKey[_Latest]()
_was_called = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(distribution=None, problems=(), datasets=(), optimizers=(), ...): turn a test "
        "that takes the fixture deepobs_check into one for each conformance check of these "
        "targets; further arguments are those of deepobs_testing.check_testproblem",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Create a test for each check of each target that the marker names."""
    if "deepobs_check" not in metafunc.fixturenames:
        return
    from deepobs.errors import DeepOBSError

    cases, mistake = [], ""
    try:
        cases = _cases(metafunc.definition.get_closest_marker(MARKER))
    except DeepOBSError as error:
        mistake = str(error)
    # Failing inside the handler would make pytest show the error a second time, as the context.
    if mistake:
        pytest.fail(f"{metafunc.definition.nodeid}, marker {MARKER}: {mistake}", pytrace=False)
    ids = [f"{case.target.name}-{case.check.name}" for case in cases]
    metafunc.parametrize("deepobs_check", cases, ids=ids, indirect=True)


@pytest.fixture
def deepobs_check(request: pytest.FixtureRequest) -> Callable[[], None]:
    """A function that executes the check of this test, and fails or skips it with the reason."""
    case: _Case = request.param
    stash = request.node.stash
    stash[_was_called] = False

    def check() -> None:
        stash[_was_called] = True
        result = _examination(request.config, case).result_of(case.check)
        if result.outcome == "failed":
            pytest.fail(f"{result.reason}\n{result.remedy}".rstrip(), pytrace=False)
        if result.outcome == "skipped":
            pytest.skip(result.reason)

    return check


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fail a test that takes the fixture and does not call it."""
    result = yield
    if not pyfuncitem.stash.get(_was_called, True):
        pytest.fail("Nothing was checked: the test must call deepobs_check().", pytrace=False)
    return result


def _examination(config: pytest.Config, case: _Case) -> Examination:
    from deepobs_testing._examination import Examination

    latest: _Latest | None = config.stash.get(_latest, None)
    if latest is None or (latest.target, latest.options) != (case.target, case.options):
        latest = None
        if _latest in config.stash:
            # Two large networks at once may not fit into memory.
            del config.stash[_latest]
        examination = Examination(case.target, case.options)
        latest = _Latest(case.target, case.options, examination)
        config.stash[_latest] = latest
    return latest.examination


def _cases(marker: pytest.Mark | None) -> list[_Case]:
    from deepobs.errors import ArgumentError, closest, sentences
    from deepobs_testing._checks import applicable, checks_of
    from deepobs_testing._examination import Examination

    if marker is None or not marker.kwargs or marker.args:
        raise ArgumentError(f"The marker needs keyword arguments that say what to check. {_USAGE}")
    given = marker.kwargs
    for name in given.keys() - set(_KNOWN):
        unknown = f"There is no argument {name!r}."
        known = f"Available arguments: {', '.join(_KNOWN)}."
        raise ArgumentError(sentences(unknown, closest(name, _KNOWN), known))
    targets = _targets(given)
    if not targets:
        raise ArgumentError(f"The marker names nothing to check. {_USAGE}")
    options = {name: given[name] for name in _OPTIONS & given.keys()}
    cases = []
    for target in targets:
        Examination(target, options)  # refuses invalid options while tests are collected
        only = applicable(target.kind, given["only"]) if "only" in given else None
        checks = checks_of(target, only, applicable(target.kind, given.get("skip", ())))
        cases += [_Case(target, check, options) for check in checks]
    return cases


def _targets(given: Mapping[str, Any]) -> list[Target]:
    from deepobs_testing._targets import find_target, targets_of

    distribution = given.get("distribution")
    targets = [] if distribution is None else targets_of(distribution)
    for argument, kind in _KINDS.items():
        names = given.get(argument, ())
        names = (names,) if isinstance(names, str) else names
        targets += [find_target(kind, name) for name in names]
    return targets
