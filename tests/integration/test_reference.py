"""The generated reference in `docs` is up to date and complete."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from deepobs.errors import PluginError
from deepobs.plugins import registry
from deepobs.runs import run, specify

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs/reference"
WRITTEN_BY_HAND = {REFERENCE / "gallery.md", REFERENCE / "index.md"}


@pytest.fixture(scope="module")
def tools() -> Iterator[None]:
    """The tools of the repository can be imported."""
    sys.path.insert(0, str(ROOT / "tools"))
    yield
    sys.path.remove(str(ROOT / "tools"))


def text_of(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_the_generated_pages_are_up_to_date(tools: None) -> None:
    try:
        generated = importlib.import_module("generate_reference").generated()
    except PluginError as error:
        pytest.skip(f"not all packages of this repository are installed: {error}")
    for path, text in generated.items():
        written = (ROOT / path).read_text(encoding="utf-8")
        assert written == text, f"{path} is out of date: run `python tools/generate_reference.py`"
    for path in set(REFERENCE.rglob("*.*")) - WRITTEN_BY_HAND:
        assert path.relative_to(ROOT) in generated, f"{path} is no longer generated: remove it"


# What there is, and where it is found


def test_every_command_and_every_hook_is_in_the_reference(tools: None) -> None:
    from reference.hooks import hook_names

    from deepobs.cli.main import BUILT_IN

    commands = [*(spec.name for spec in BUILT_IN.values()), *registry().commands.names()]
    assert len(commands) > 15
    for name in commands:
        assert f"\n## deepobs {name}\n" in text_of("reference/command_line.md"), name
    assert len(hook_names()) == 15
    for name in hook_names():
        assert f"\n### {name}\n" in text_of("reference/hooks.md"), name


def test_every_environment_variable_is_in_the_reference(tools: None) -> None:
    from reference.command_line import VARIABLES

    from deepobs.cli import _doctor_command as doctor

    assert VARIABLES.keys() == doctor.VARIABLES.keys()


def test_examples_of_commands_fit_into_a_terminal(tools: None) -> None:
    from reference.command_line import command_line

    blocks = re.findall(r"```text\n(.*?)```", command_line(), re.DOTALL)
    assert len(blocks) > 5
    for line in "\n".join(blocks).splitlines():
        assert len(line) <= 80 - len("    "), line  # by which the help indents them


def test_everything_registered_is_in_the_reference() -> None:
    page = text_of("reference/problems.md")
    for catalog in ("problems", "datasets", "optimizers", "suites"):
        for name in getattr(registry(), catalog).names():
            assert f"\n| `{name}` |" in page, name


def test_every_plot_is_in_the_reference_and_in_the_gallery() -> None:
    assert len(registry().plots.names()) >= 11
    for name in registry().plots.names():
        assert f".{name}(results, ...)`" in text_of("API_REFERENCE.md")
        assert f"deepobs plot {name} " in text_of("reference/gallery.md")


def test_every_measure_is_in_the_reference_and_explained() -> None:
    from deepobs_analysis import measures

    functions = [name for name in measures.__all__ if name[0].islower()]
    assert len(functions) > 20
    for name in functions:
        assert f"| `{name}(" in text_of("API_REFERENCE.md")
        assert re.search(rf"\b{name}\b", text_of("explanation/measures.md")), name


# What is public


def test_what_a_module_exports_is_public(tools: None) -> None:
    from reference.api import public_names

    import deepobs.runs
    import deepobs.runs.trackers.tensorboard

    assert public_names(deepobs.runs) == deepobs.runs.__all__
    assert public_names(deepobs.runs.trackers.tensorboard) == ["TensorBoard"]


def test_what_documents_and_examples_import_is_in_the_reference(tools: None) -> None:
    from documents import pages
    from reference.groups import GROUPS

    known = {module for group in GROUPS for module in group.modules}
    known |= {"deepobs.pytorch.testproblems", "deepobs.pytorch.datasets", "deepobs.pytorch.runners"}
    texts = [*pages(), *(ROOT / "examples").glob("*.py")]
    named = re.compile(
        r"^ *from (deepobs(?:_(?:analysis|vision|text))?\.[\w.]+) import", re.MULTILINE
    )
    found = {name for path in texts for name in named.findall(path.read_text(encoding="utf-8"))}
    assert "deepobs.runs" in found
    assert {each for each in found if ".plots." not in each} <= known


def test_what_stands_before_a_colon_in_a_result_is_no_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs/extensions")
    readable_docstrings = importlib.import_module("readable_docstrings")
    lines = ["Read.", "", "Returns:", "    The runs, and why: no more.", ""]
    readable_docstrings._translate(lines)
    # An empty type, as Sphinx reads it.
    assert lines == ["Read.", "", "Returns:", "    : The runs, and why: no more.", ""]


# The schema of result files


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text_of("reference/schemas/result_file.schema.json"))
    jsonschema.Draft202012Validator.check_schema(found)
    return found


@pytest.mark.parametrize("lr", [0.01, 1e6], ids=["completed", "diverged"])
def test_a_result_file_follows_the_schema(
    tmp_path: Path, schema: dict[str, Any], lr: float
) -> None:
    specification = specify("quadratic_deep", "SGD", {"lr": lr}, num_epochs=2)
    run(specification, output_dir=tmp_path)
    (file,) = tmp_path.rglob("*.json")
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["status"] == ("completed" if lr < 1 else "diverged")
    jsonschema.validate(content, schema)
    assert content.keys() <= schema["properties"].keys()
    assert set(schema["required"]) <= content.keys()


def test_what_is_no_result_does_not_follow_the_schema(schema: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    assert not validator.is_valid({})
    assert not validator.is_valid({"testproblem": "quadratic_deep", "train_losses": "none"})


def test_keys_of_earlier_versions_are_those_of_their_files(tools: None, shared_dir: Path) -> None:
    import tarfile

    from reference.result_files import IN_1_1, IN_1_2

    with tarfile.open(shared_dir / "data/published-baselines-2019.tar.xz") as archive:
        names = (member for member in archive if member.name.endswith(".json"))
        published = json.load(archive.extractfile(next(names)))  # type: ignore[arg-type]
    others = {"optimizer", "hyperparams", "learning_rate", "train_log_interval"}
    others |= {"lr_sched_epochs", "lr_sched_factors"}
    assert published.keys() - others <= IN_1_1 <= IN_1_2
