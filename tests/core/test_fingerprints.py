"""Fingerprints: what they follow, what they leave out, and where they are the same."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from deepobs import fingerprints
from deepobs.errors import PluginWarning
from deepobs.fingerprints import fingerprint

HELPERS = """
factor = 2
table = {"bias": 1}
def direction(gradient):
    return scaled(gradient)
def scaled(gradient):
    return gradient * factor + table["bias"]
def unused():
    return 1
"""

MINE = """
import torch
import own_helpers
from own_helpers import direction as rule

LIMIT = 3.0

class Base(torch.optim.Optimizer):
    pass

class Mine(Base):
    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(group["lr"] * rule(p.grad), alpha=own_helpers.scaled(LIMIT))

if __name__ == "__main__":
    from deepobs.fingerprints import fingerprint
    print(fingerprint(Mine))
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write two modules that nobody released into a new directory, and import the second."""
    directories = (tmp_path / str(number) for number in range(100))

    def forget() -> None:
        for name in ("mine", "own_helpers"):
            sys.modules.pop(name, None)

    def written(mine: str = MINE, edits: dict[str, str] | None = None) -> ModuleType:
        directory, helpers = next(directories), HELPERS
        for old, new in (edits or {}).items():
            assert (helpers + mine).count(old)
            helpers, mine = helpers.replace(old, new), mine.replace(old, new)
        directory.mkdir()
        (directory / "own_helpers.py").write_text(helpers)
        (directory / "mine.py").write_text(mine)
        monkeypatch.syspath_prepend(directory)
        forget()
        return importlib.import_module("mine")

    yield written
    forget()


@pytest.mark.parametrize(
    "edits",
    [
        {"LIMIT = 3.0": "LIMIT = 4.0"},
        {"factor = 2": "factor = 3"},
        {'table = {"bias": 1}': 'table = {"bias": 2}'},
        {"return scaled(gradient)": "return -scaled(gradient)"},
        {"gradient * factor": "gradient / factor"},
        {"lr=0.1": "lr=0.2"},
    ],
    ids=["constant", "helper's constant", "helper's table", "helper", "helper's helper", "class"],
)
def test_a_change_of_what_a_class_uses_changes_the_fingerprint(write, edits) -> None:
    assert fingerprint(write().Mine) != fingerprint(write(edits=edits).Mine)


@pytest.mark.parametrize(
    "edits",
    [
        {"factor = 2": "factor = 2  # doubles", "class Mine": "# The rule.\n\nclass Mine"},
        {"gradient * factor": "gradient*(factor)"},
        {
            "class Base(torch.optim.Optimizer):\n    pass": (
                'class Base(torch.optim.Optimizer):\n    """The base."""'
            ),
            "def scaled(gradient):": 'def scaled(gradient):\n    """Scale it."""',
        },
        {"return 1": "return 2"},
        {"print(fingerprint(Mine))": "print(1, fingerprint(Mine))"},
    ],
    ids=["comments", "formatting", "docstrings", "unused function", "the script around it"],
)
def test_a_change_of_anything_else_does_not(write, edits) -> None:
    assert fingerprint(write().Mine) == fingerprint(write(edits=edits).Mine) != ""


def test_docstrings_that_code_reads_count(write) -> None:
    reads = {"return scaled(gradient)": "'''Twice.'''; return len(direction.__doc__) * gradient"}
    other = {"return scaled(gradient)": "'''Thrice.'''; return len(direction.__doc__) * gradient"}
    assert fingerprint(write(edits=reads).Mine) != fingerprint(write(edits=other).Mine)


def test_scripts_modules_and_notebooks_agree(write, tmp_path: Path) -> None:
    expected = fingerprint(write().Mine)
    for arguments in (["mine.py"], ["-m", "mine"]):
        printed = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path / "0",
            capture_output=True,
            text=True,
            check=True,
        )
        assert printed.stdout.strip() == expected


def test_statements_that_a_notebook_compiles_one_by_one_count_as_written(
    write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ast
    import linecache

    expected = fingerprint(write().Mine)
    cell = (tmp_path / "0" / "mine.py").read_text().partition("if __name__")[0]
    # As IPython does it: the cell's text in linecache, its statements compiled one by one.
    linecache.cache["<cell 1>"] = (len(cell), None, cell.splitlines(keepends=True), "<cell 1>")
    notebook = {"__name__": "__main__", "_ih": ["", cell]}
    for statement in ast.parse(cell).body:
        exec(compile(ast.Module([statement], []), "<cell 1>", "exec"), notebook)  # noqa: S102
    assert fingerprint(notebook["Mine"]) == expected


def test_code_without_source_is_hashed_as_compiled() -> None:
    source = MINE.partition("if __name__")[0].replace("own_helpers", "math")
    source = source.replace("direction", "sqrt").replace("scaled", "exp")
    scopes = [
        {"__name__": "__main__"},
        {"__name__": "__main__"},
        {},
        {"__name__": "__main__"},
    ]
    for scope, text in zip(
        scopes, [source, "# same\n" + source, source, source.replace("3.0", "4.0")], strict=True
    ):
        exec(text, scope)  # noqa: S102
    first, same, nameless, changed = [fingerprint(scope["Mine"]) for scope in scopes]
    assert first == same == nameless
    assert first not in ("", changed)


def test_a_helper_that_a_notebook_redefines_changes_the_fingerprint_of_the_same_class() -> None:
    scope: dict[str, object] = {"__name__": "__main__"}
    exec(  # noqa: S102
        "import torch\n"
        "def rule(gradient): return gradient\n"
        "class Mine(torch.optim.SGD):\n"
        "    def step(self): return rule(1)\n",
        scope,
    )
    mine = scope["Mine"]
    before = fingerprint(mine)
    assert fingerprint(mine) == before
    exec("def rule(gradient): return -gradient", scope)  # noqa: S102
    assert fingerprint(mine) != before


def test_classes_made_by_a_function_differ_by_what_it_was_given(write) -> None:
    made = """
import torch
def make(factor, lr):
    class Made(torch.optim.SGD):
        scale = factor
        def __init__(self, params, lr=lr): super().__init__(params, lr)
        def step(self): return factor
    return Made
"""
    make = write(mine=made).make
    assert fingerprint(make(1, 0.1)) == fingerprint(make(1, 0.1))
    assert len({fingerprint(make(*given)) for given in [(1, 0.1), (2, 0.1), (1, 0.2)]}) == 3


def test_a_cache_that_fills_is_no_other_code(write) -> None:
    mine = """
import torch
cache = {}
class Mine(torch.optim.SGD):
    def step(self): cache[len(cache)] = 1
"""
    module = write(mine=mine)
    before = fingerprint(module.Mine)
    module.cache["x"] = torch.ones(2)
    assert fingerprint(module.Mine) == before


def test_a_method_that_was_replaced_counts(write) -> None:
    module = write()
    before = fingerprint(module.Mine)
    module.Mine.step = lambda self: None
    assert fingerprint(module.Mine) != before


def test_a_file_that_was_edited_after_its_import_is_not_taken_for_what_runs(
    write, tmp_path: Path
) -> None:
    module = write(edits={"LIMIT = 3.0": "LIMIT = 5.0"})
    edited = write(edits={"p.sub_": "p.add_", "LIMIT = 3.0": "LIMIT = 5.0"})
    (tmp_path / "0" / "mine.py").write_text((tmp_path / "1" / "mine.py").read_text())
    assert fingerprint(module.Mine) != fingerprint(edited.Mine)


def test_imports_inside_functions_are_followed(write) -> None:
    mine = """
import torch
class Mine(torch.optim.SGD):
    def step(self):
        from own_helpers import scaled
        return scaled(1)
"""
    before = fingerprint(write(mine=mine).Mine)
    edited = {"gradient * factor": "gradient / factor"}
    assert fingerprint(write(mine=mine, edits=edited).Mine) != before


def test_released_code_counts_by_version() -> None:
    assert fingerprint(torch.optim.Adam) == ""
    import pluggy

    class Mine(torch.optim.SGD):
        manager = pluggy.PluginManager

        def step(self) -> None:  # type: ignore[override]
            pluggy.PluginManager("x")

    fingerprint(Mine)
    assert f"pluggy=={importlib.metadata.version('pluggy')}" in fingerprints._known[(Mine,)].parts


def test_names_that_refer_to_each_other_end(write) -> None:
    mine = """
import torch
first = []
second = [first]
first += [second]
def even(n): return n == 0 or odd(n - 1)
def odd(n): return n != 0 and even(n - 1)
class Mine(torch.optim.SGD):
    def step(self): return even(4), second
"""
    assert fingerprint(write(mine=mine).Mine)


def test_code_that_cannot_be_followed_is_never_reused() -> None:
    class Unruly(type):
        @property
        def __mro__(cls) -> object:
            raise RuntimeError("not to be looked at")

    class Mine(metaclass=Unruly):
        pass

    with pytest.warns(PluginWarning, match="Mine cannot be followed .*not to be looked at"):
        first = fingerprint(Mine)
    assert fingerprint(Mine) == first  # in this process it is the same code
    fingerprints._known.clear()
    with pytest.warns(PluginWarning):
        assert fingerprint(Mine) != first
