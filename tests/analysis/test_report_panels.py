"""Figures taken apart: each panel says by itself what it shows."""

from __future__ import annotations

import json
import re

from result_files import write_result

from deepobs_analysis import load
from deepobs_analysis.plots.curves import overview
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
