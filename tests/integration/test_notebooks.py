"""The notebook of the documentation and views of our objects, in a real kernel."""

from __future__ import annotations

import json
import sys

import pytest
from documents import DOCS

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))


@pytest.fixture(autouse=True)
def kernel(tmp_path, monkeypatch):
    """A kernel named python3 that is this very Python, whatever is installed elsewhere."""
    place = tmp_path / "jupyter" / "kernels" / "python3"
    place.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "Python 3", "language": "python"}
    (place / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def executed(notebook, directory):
    """Execute a notebook in a directory, and return its cells of code."""
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": directory}}
    )
    client.execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def cells_of(directory, *sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return executed(nbformat.v4.new_notebook(cells=cells), directory)


def kinds(cell):
    """The richest form of each output that a reader of the notebook sees."""
    found = []
    for output in cell.outputs:
        data = output.get("data", {})
        richest = [kind for kind in ("image/png", "text/html") if kind in data]
        found.append(richest[0] if richest else output.output_type)
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_of_the_documentation_runs_from_top_to_bottom(path, tmp_path):
    cells = executed(nbformat.read(path, as_version=4), tmp_path)
    assert not [each for cell in cells for each in cell.outputs if each.output_type == "stream"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_of_the_documentation_are_kept_without_outputs(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert cells
    assert not any(cell.outputs or cell.execution_count for cell in cells)


def test_a_run_shows_its_progress_and_its_result(tmp_path):
    (cell,) = cells_of(
        tmp_path,
        'import deepobs\ndeepobs.run("quadratic_deep", "SGD", {"lr": 0.01}, num_epochs=2)',
    )
    bar, result = cell.outputs
    assert "<progress" in bar["data"]["text/html"]
    assert "epoch 2 of 2" in bar["data"]["text/html"]
    assert "SGD on quadratic_deep, lr = 0.01, seed 42: completed" in result["data"]["text/html"]
    assert len(result["data"]["text/plain"]) < 400


@pytest.mark.parametrize(
    "setup",
    ["", "%matplotlib inline", "import matplotlib.pyplot as plt"],
    ids=("", "inline", "plt"),
)
def test_a_figure_is_shown_once(setup, tmp_path):
    *_, cell = cells_of(
        tmp_path,
        setup,
        "import deepobs\nfrom deepobs_analysis import load\n"
        "from deepobs_analysis.plots.curves import performance\n"
        'deepobs.run("quadratic_deep", "SGD", {"lr": 0.01}, num_epochs=1, output_dir="results")',
        'performance(load("results"))',
    )
    assert kinds(cell) == ["image/png"]


def test_results_and_tables_are_shown_as_html(tmp_path):
    *_, results, table = cells_of(
        tmp_path,
        "import deepobs\nfrom deepobs_analysis import load\n"
        'deepobs.run("quadratic_deep", "SGD", {"lr": 0.01}, num_epochs=1, output_dir="results")',
        'load("results")',
        'deepobs.table("results")',
    )
    assert kinds(results) == kinds(table) == ["text/html"]
    (output,) = results.outputs
    assert output["data"]["text/plain"] == "Results(1 run of SGD on quadratic_deep)"
    assert ">Optimizer</th>" in table.outputs[0]["data"]["text/html"]
