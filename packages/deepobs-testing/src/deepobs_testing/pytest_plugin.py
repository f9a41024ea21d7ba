"""What pytest is offered: the marker `deepobs_checks` and the fixture `deepobs_check`.

pytest loads this in every project of an environment that deepobs-core is installed in: it imports
neither torch nor any plugin before a test asks for the fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from deepobs_testing.examination import Examination
    from deepobs_testing.tables import Check
    from deepobs_testing.things import Thing

MARKER = "deepobs_checks"

_KIND_OF = {"problems": "test problem", "datasets": "data set", "optimizers": "optimizer"}
_CHOICES = {"only", "leave_out"}
_SETTINGS = {"batch_size", "fake_data", "set_up_seconds", "check_seconds", "hyperparameters"}
_KNOWN = ("distribution", *_KIND_OF, *sorted(_CHOICES | _SETTINGS))


class _Case(NamedTuple):
    thing: Thing
    check: Check
    settings: dict[str, Any]


class _Latest(NamedTuple):
    """The examination of the latest test: those of a thing follow each other, and share it."""

    thing: Thing
    settings: dict[str, Any]
    examination: Examination


_latest = pytest.StashKey[_Latest]()
_was_called = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(distribution=None, problems=(), datasets=(), optimizers=(), ...): turn a test "
        "that takes the fixture deepobs_check into one for each conformance check of these things; "
        "further arguments are those of deepobs_testing.check_testproblem",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test for each check of each thing that the marker names."""
    if "deepobs_check" not in metafunc.fixturenames:
        return
    from deepobs.errors import DeepOBSError

    cases, mistake = [], ""
    try:
        cases = _cases(metafunc.definition.get_closest_marker(MARKER))
    except DeepOBSError as error:
        mistake = str(error)
    if mistake:  # outside of the handler, whose error pytest would show a second time
        pytest.fail(f"{metafunc.definition.nodeid}, marker {MARKER}: {mistake}", pytrace=False)
    ids = [f"{case.thing.name}-{case.check.name}" for case in cases]
    metafunc.parametrize("deepobs_check", cases, ids=ids, indirect=True)


@pytest.fixture
def deepobs_check(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Makes the check of this test when it is called: fails or skips, and says why."""
    case: _Case = request.param

    node = request.node
    node.stash[_was_called] = False

    def check() -> None:
        node.stash[_was_called] = True
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
    from deepobs_testing.examination import Examination

    latest: _Latest | None = config.stash.get(_latest, None)
    if latest is None or (latest.thing, latest.settings) != (case.thing, case.settings):
        latest = None
        if _latest in config.stash:
            del config.stash[_latest]  # lets go of its memory before the next is set up
        examination = Examination(case.thing, case.settings)
        latest = _Latest(case.thing, case.settings, examination)
        config.stash[_latest] = latest
    return latest.examination


def _cases(marker: pytest.Mark | None) -> list[_Case]:
    from deepobs.errors import ArgumentError, closest, sentences
    from deepobs_testing.examination import Examination, checks_of, names_for
    from deepobs_testing.things import thing, things_of

    usage = f'Write @pytest.mark.{MARKER}(problems=["my_problem"]) or (distribution="my-package").'
    if marker is None or not marker.kwargs or marker.args:
        raise ArgumentError(
            f"The fixture deepobs_check needs to know what to check, by keyword. {usage}"
        )
    for name in marker.kwargs.keys() - set(_KNOWN):
        raise ArgumentError(
            sentences(
                f"It has no argument {name!r}.",
                closest(name, _KNOWN),
                f"It has: {', '.join(_KNOWN)}.",
            )
        )
    distribution = marker.kwargs.get("distribution")
    things = [] if distribution is None else things_of(distribution)
    for argument, kind in _KIND_OF.items():
        given = marker.kwargs.get(argument, ())
        names = (given,) if isinstance(given, str) else given
        things += [thing(kind, name) for name in names]
    if not things:
        raise ArgumentError(f"It names nothing to check. {usage}")
    choices = {name: marker.kwargs[name] for name in _CHOICES & marker.kwargs.keys()}
    settings = {name: marker.kwargs[name] for name in _SETTINGS & marker.kwargs.keys()}
    for one in things:
        Examination(one, settings)  # refuses settings that make no sense
    return [
        _Case(one, check, settings)
        for one in things
        for check in checks_of(one, **{c: names_for(one, choices[c]) for c in choices})
    ]
