"""Figures taken apart: each panel says by itself what it shows."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

from result_files import write_result

from deepobs_analysis import load
from deepobs_analysis.plots.comparisons import comparison
from deepobs_analysis.plots.curves import overview
from deepobs_analysis.plots.heatmaps import sensitivity_2d
from deepobs_analysis.plots.times import time_to_target
from deepobs_analysis.report_panels import panels_of
from deepobs_analysis.report_series import Series


def test_every_panel_has_the_labels_of_its_own_problem(tmp_path):
    # Five problems take two rows of problems, each of losses and accuracies.
    problems = [f"problem{letter}" for letter in "abcde"]
    for place, problem in enumerate(problems):
        for optimizer, final in (("SGD", 1), ("Adam", 2)):
            losses = [9, 5, final + place]
            write_result(
                tmp_path,
                problem=problem,
                optimizer=optimizer,
                test_losses=losses,
                test_accuracies=[0.1, 0.5, 0.9 - final / 10],
            )
    results = load(tmp_path)
    series = Series(results.optimizers)
    panels = panels_of(overview(results), series, prefix="x-", label="Curves")
    assert len(panels) == 10
    for place, panel in enumerate(panels):
        assert problems[place // 2] in re.sub("<.*?>", " ", panel.svg)
        data = json.loads(panel.data)
        assert data["x"]["label"] == "epoch"
        assert data["y"]["label"] == ("test loss", "test accuracy")[place % 2]
        if place % 2 == 0:
            ends = {each["name"]: each["y"][-1] for each in data["series"]}
            assert ends == {"SGD": 1 + place // 2, "Adam": 2 + place // 2}


def test_seeds_belong_to_their_own_optimizer_where_others_share_its_color(tmp_path):
    # Only one of them reaches the target with all seeds; the others are dots without a mark.
    ends = {("own", "Adam"): 9, ("own", "SGD"): 1, ("other", "Adam"): 9, ("other", "SGD"): 9}
    for (directory, optimizer), final in ends.items():
        for seed, loss in enumerate((1, final)):
            losses = [9, 8, loss]
            write_result(tmp_path / directory, optimizer=optimizer, seed=seed, test_losses=losses)
    results = load(tmp_path / "own").beside(load(tmp_path / "other"))
    series = Series(results.optimizers)
    (panel,) = panels_of(time_to_target(results), series, prefix="x-", label="Times")
    data = json.loads(panel.data)
    rows = {row for each in data["series"] for row in each["y"]}
    assert rows == {0, 1, 2, 3}
    for each in data["series"]:
        assert {data["y"]["names"][int(row)] for row in each["y"]} == {each["name"]}
        assert series.names[each["owner"]] == each["name"]
    assert {f'data-series="{owner}"' in panel.svg for owner in range(4)} == {True}


def test_every_cell_of_two_hyperparameters_tells_its_value(tmp_path):
    for lr, momentum, finals in ((0.1, 0.0, (3, 5)), (0.1, 0.9, (2, 2)), (1.0, 0.9, (9, 9))):
        for seed, final in enumerate(finals):
            has_diverged = final == 9
            write_result(
                tmp_path,
                lr=lr,
                hyperparameters={"momentum": momentum},
                seed=seed,
                test_losses=[9, 8, final],
                status="diverged" if has_diverged else "completed",
                diverged_at_epoch=1 if has_diverged else None,
            )
    results = load(tmp_path)
    series = Series(results.optimizers)
    (panel,) = panels_of(sensitivity_2d(results), series, prefix="x-", label="Cells")
    told = {each["name"]: each for each in json.loads(panel.data)["series"]}
    assert {name: each["text"] for name, each in told.items()} == {
        "lr = 0.1, momentum = 0": ["4.0 ± 1.0"],
        "lr = 0.1, momentum = 0.9": ["2.000 ± 0"],
        "lr = 1, momentum = 0.9": ["diverged"],
    }
    cell = told["lr = 0.1, momentum = 0.9"]
    assert (cell["x"], cell["y"]) == ([0], [1])


def test_a_panel_has_room_for_its_labels_and_none_for_those_of_others(tmp_path):
    for optimizer in ("SGD", "An optimizer with a long name"):
        for seed in (1, 2, 3):
            losses = [9, 5, seed + len(optimizer)]
            write_result(tmp_path, optimizer=optimizer, seed=seed, test_losses=losses)
    results = load(tmp_path)
    series = Series(results.optimizers)
    for plot in (overview, time_to_target, comparison):
        for panel in panels_of(plot(results), series, prefix="x-", label="Some"):
            root = ET.fromstring(panel.svg)  # noqa: S314 # our own
            left, top, width, height = map(float, root.get("viewBox", "").split())
            assert width < 176 + 60 + 7 * len("An optimizer with a long name")
            texts = [each for each in root.iter("text") if "".join(each.itertext()).strip()]
            assert len(texts) > 4
            for text in texts:
                x, y = place_of(text)
                assert left < x < left + width
                assert top < y < top + height


def place_of(text: ET.Element) -> tuple[float, float]:
    """Where a line of text is aligned."""
    if text.get("x") is not None:
        return float(text.get("x", "")), float(text.get("y", ""))
    x, y = re.findall(r"translate\((\S+) (\S+)\)", text.get("transform", ""))[0]
    return float(x), float(y)


def test_a_matrix_of_optimizers_has_a_pixel_for_each_pair(tmp_path):
    for place, optimizer in enumerate("abcde"):
        for seed in (1, 2, 3):
            write_result(tmp_path, optimizer=optimizer, seed=seed, test_losses=[9, place + seed])
    results = load(tmp_path)
    series = Series(results.optimizers)
    (panel,) = panels_of(comparison(results), series, prefix="x-", label="Matrix")
    matrix = next(ET.fromstring(panel.svg).iter("image"))  # noqa: S314 # our own
    assert (matrix.get("width"), matrix.get("height")) == ("5", "5")
    assert "pixelated" in matrix.get("style", "")
