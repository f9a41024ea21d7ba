"""What configurations do: sensitivity, tuning rank and the expected best."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from result_files import write_result

from deepobs.errors import ArgumentError
from deepobs_analysis import load
from deepobs_analysis.plots.heatmaps import sensitivity_2d
from deepobs_analysis.plots.tuning_curves import expected_best, sensitivity, tuning_rank


def crosses(axes):
    """Where on the x axis something diverged."""
    return [x for each in axes.lines if each.get_marker() == "x" for x in each.get_xdata()]


def rings(axes):
    hollow = [each for each in axes.lines if each.get_markerfacecolor() == "none"]
    return {tuple(each.get_xydata()[0].tolist()) for each in hollow}


def curve(axes):
    return axes.lines[0].get_xydata().tolist()


def test_sensitivity_draws_the_best_configuration_of_each_learning_rate(grid):
    (axes,) = sensitivity(grid).axes
    assert curve(axes) == [[0.01, 4], [0.1, 2]]
    assert axes.get_xscale() == "log"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("learning rate", "test loss")
    assert crosses(axes) == [10]
    assert rings(axes) == {(0.1, 2)}


def test_sensitivity_shows_the_spread_of_seeds(tmp_path):
    for seed, final in enumerate((2, 4)):
        write_result(tmp_path, lr=0.1, seed=seed, test_losses=[9, 1, final])
    (axes,) = sensitivity(load(tmp_path)).axes
    assert curve(axes) == [[0.1, 3]]
    (bar,) = axes.collections[0].get_segments()
    assert bar[:, 1].tolist() == [2, 4]
    (axes,) = sensitivity(load(tmp_path), mode="best").axes
    assert curve(axes) == [[0.1, 1]]


def test_sensitivity_needs_a_learning_rate(tmp_path):
    write_result(tmp_path, lr=None)
    with pytest.raises(ArgumentError, match="no run has a learning rate"):
        sensitivity(load(tmp_path))


def test_only_diverged_configurations_are_drawn_as_such(tmp_path):
    write_result(tmp_path, lr=1.0, test_losses=[9, 9], status="diverged", diverged_at_epoch=1)
    results = load(tmp_path)
    assert crosses(sensitivity(results).axes[0]) == [1]
    assert crosses(tuning_rank(results).axes[0]) == [1]


def test_two_hyperparameters_of_a_grid_make_a_heat_map(grid):
    axes = sensitivity_2d(grid).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("lr", "momentum")
    assert len(axes.patches) == 4
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.01", "0.1", "10"]
    assert rings(axes) == {(1, 1)}
    assert crosses(axes) == [2, 2]
    assert sensitivity_2d(grid).axes[-1].get_ylabel() == "test loss"


def test_a_random_search_makes_points_on_logarithmic_axes(tmp_path):
    for lr, decay in ((0.1, 1e-4), (0.01, 1e-2), (0.5, 1e-3), (0.05, 1e-5), (1.0, 1e-1)):
        write_result(tmp_path, lr=lr, hyperparameters={"weight_decay": decay}, test_losses=[9, lr])
    axes = sensitivity_2d(load(tmp_path), x="weight_decay").axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("weight_decay", "lr")
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert not axes.patches


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"x": "moment"},
            "'moment' does not vary between configurations. Did you mean 'momentum'.*lr, momentum",
        ),
        ({"x": "lr", "y": "lr"}, "the same hyperparameter, 'lr'"),
    ],
)
def test_hyperparameters_that_do_not_vary_are_refused(grid, options, message):
    with pytest.raises(ArgumentError, match=message):
        sensitivity_2d(grid, **options)


def test_two_hyperparameters_must_vary(tmp_path):
    write_result(tmp_path, lr=0.1)
    write_result(tmp_path, lr=0.2)
    with pytest.raises(ArgumentError, match="no optimizer has two hyperparameters that vary"):
        sensitivity_2d(load(tmp_path))


def test_configurations_are_ranked_and_those_that_diverged_come_last(grid):
    (axes,) = tuning_rank(grid).axes
    assert curve(axes) == [[1, 2], [2, 3], [3, 4], [4, 5]]
    assert crosses(axes) == [5, 6]


def test_the_expected_best_goes_from_the_mean_to_the_best(grid):
    figure = expected_best(grid)
    (axes,) = figure.axes
    values = np.array(curve(axes))[:, 1]
    assert values[0] == pytest.approx((2 + 3 + 4 + 5 + 9 + 9) / 6)
    assert values[1] == pytest.approx((5 * 2 + 4 * 3 + 3 * 4 + 2 * 5 + 9) / 15)
    assert values[-1] == 2
    assert "seed 42" in figure.get_supxlabel()


def test_the_expected_best_is_that_of_one_seed(tmp_path):
    for lr in (0.1, 0.2):
        write_result(tmp_path, lr=lr, seed=42, test_losses=[9, lr])
    write_result(tmp_path, lr=0.1, seed=43, test_losses=[9, 8])
    (axes,) = expected_best(load(tmp_path)).axes
    assert [y for _, y in curve(axes)] == pytest.approx([0.15, 0.1])


def style_of(axes, name):
    """The dashes of the line that joins the points of an optimizer: "None" for none."""
    (line,) = (each for each in axes.lines if each.get_label() == name and len(each.get_xdata()))
    return line.get_linestyle()


def test_points_between_which_other_hyperparameters_vary_are_not_joined(tmp_path):
    for lr, decay in ((0.1, 1e-4), (0.01, 1e-2), (0.5, 1e-3)):
        write_result(tmp_path, optimizer="Adam", lr=lr, test_losses=[9, lr])
        write_result(
            tmp_path,
            optimizer="AdamW",
            lr=lr,
            hyperparameters={"weight_decay": decay},
            test_losses=[9, lr],
        )
        for momentum in (0.5, 0.9):
            write_result(
                tmp_path,
                optimizer="Momentum",
                lr=lr,
                hyperparameters={"momentum": momentum},
                test_losses=[9, lr + momentum],
            )
    figure = sensitivity(load(tmp_path))
    (axes,) = figure.axes
    assert [style_of(axes, name) for name in ("Adam", "AdamW", "Momentum")] == ["-", "None", "-"]
    assert "not joined where other hyperparameters vary between them: weight_decay of AdamW." in (
        figure.notes
    )
    assert (
        "the best of other hyperparameters at each learning rate: momentum of Momentum."
        in figure.notes
    )


@pytest.fixture
def again(tmp_path):
    """Four learning rates with seed 42, and the best with three further seeds, which are worse."""
    for lr, final in ((0.01, 4), (0.1, 2), (1.0, 3), (10.0, 5)):
        write_result(tmp_path, lr=lr, test_losses=[9, 5, final])
    for seed in (43, 44, 45):
        write_result(tmp_path, lr=0.1, seed=seed, test_losses=[9, 5, 2.75])
    return load(tmp_path)


def test_figures_say_which_seeds_selected_configurations_are_drawn_with(again):
    figure = sensitivity(again)
    assert rings(figure.axes[0]) == {(0.1, 2.5625)}
    assert (
        "Rings are means over seeds 42 to 45, of which seed 42 selected them; other points are "
        "over seed 42."
    ) in figure.notes
    everything = sensitivity(replace(again, runs=again.runs[again.runs["seed"] == 42]))
    assert "All are means over seed 42." in everything.notes


def test_a_tuned_optimizer_is_ringed_at_what_tables_show(again):
    roles = again.runs["seed"].map(lambda seed: "selection" if seed == 42 else "report")
    is_chosen = again.runs["configuration"] == "lr = 0.1"
    figure = sensitivity(replace(again, runs=again.runs.assign(role=roles.where(is_chosen, ""))))
    assert rings(figure.axes[0]) == {(0.1, 2.75)}
    assert "Rings are means over seeds 43 to 45; other points are over seed 42." in figure.notes


def test_configurations_are_ranked_by_seeds_that_all_have(again):
    figure = tuning_rank(again)
    assert curve(figure.axes[0]) == [[1, 2], [2, 3], [3, 4], [4, 5]]
    assert "Mean over seed 42 after the last epoch." in figure.notes
