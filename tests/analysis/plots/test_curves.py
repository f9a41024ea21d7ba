"""Curves over epochs: performance and overview."""

from __future__ import annotations

import numpy as np
import pytest
from result_files import write_result

from deepobs.errors import ArgumentError
from deepobs_analysis import load
from deepobs_analysis.plots.curves import gradient_norms, overview, performance
from deepobs_analysis.plots.limits import limits_around


def line(axes, name):
    """The values of the line of an optimizer."""
    (found,) = (each for each in axes.lines if each.get_label() == name)
    return found.get_xydata()


def band(axes):
    """The lowest and highest value of the only band in the last epoch."""
    (vertices,) = (path.vertices for each in axes.collections for path in each.get_paths())
    last = vertices[vertices[:, 0] == vertices[:, 0].max(), 1]
    return pytest.approx((last.min(), last.max()))


def note(figure):
    return figure.get_supxlabel().replace("\n", " ")


def test_one_problem_has_a_panel_for_each_curve_that_exists(two_problems):
    figure = performance(two_problems.only(problems=["acme"]))
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == ["training loss", "test loss", "training accuracy", "test accuracy"]
    assert figure.legends[0].get_title().get_text() == "acme"
    figure = performance(two_problems.only(problems=["quadratic_deep"]))
    assert [axes.get_ylabel() for axes in figure.axes] == ["training loss", "test loss"]


def test_several_problems_have_a_row_each(two_problems):
    figure = performance(two_problems)
    assert len(figure.axes) == 4 + 2
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["training loss", "test loss", "training accuracy", "test accuracy"]
    rows = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert rows == ["acme", "quadratic_deep"]


def test_columns_are_labeled_where_the_first_problem_has_no_panel_there(tmp_path):
    write_result(tmp_path, problem="acme")
    write_result(tmp_path, problem="digits_mlp", test_accuracies=[0.1, 0.5, 0.9])
    write_result(tmp_path, problem="quadratic_deep")
    figure = performance(load(tmp_path))
    labels = [(axes.get_title(), axes.get_xlabel()) for axes in figure.axes]
    accuracies = [labels[place] for place in (4, 5)]
    assert accuracies == [("training accuracy", "epoch"), ("test accuracy", "epoch")]
    assert labels[0] == ("training loss", "")
    assert labels[-1] == ("", "epoch")


def test_the_legend_names_optimizers_and_the_target(two_problems):
    (legend,) = overview(two_problems).legends
    assert [text.get_text() for text in legend.get_texts()] == ["Adam", "SGD", "target"]


def test_overview_has_the_accuracy_below_the_loss(two_problems):
    figure = overview(two_problems)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["acme", "quadratic_deep", ""]
    assert [axes.get_ylabel() for axes in figure.axes] == ["test loss", "", "test accuracy"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "epoch", "epoch"]


@pytest.mark.parametrize(
    ("show", "center", "low", "high"),
    [
        ("mean", 4.0, 4 - np.sqrt(14 / 3), 4 + np.sqrt(14 / 3)),
        ("median", 3.0, 2.5, 5.0),
        # 4.303 standard errors of 1.528; twice as many on the side of the long tail.
        ("interval", 4.0, 4 - 6.57241, 4 + 2 * 6.57241),
    ],
)
def test_lines_and_bands_are_what_the_note_says(tmp_path, show, center, low, high):
    for seed, final in enumerate((2, 3, 7)):
        write_result(tmp_path, seed=seed, test_losses=[14, 8, final])
    figure = performance(load(tmp_path), show=show)
    axes = figure.axes[1]
    assert line(axes, "SGD").tolist() == [[0, 14], [1, 8], [2, center]]
    assert band(axes) == (low, high)
    assert {"mean": "standard deviation", "median": "quartiles", "interval": "95 %"}[show] in note(
        figure
    )


@pytest.mark.parametrize("show", ["mean", "median", "interval"])
def test_a_single_seed_has_no_band(tmp_path, show):
    write_result(tmp_path)
    assert not performance(load(tmp_path), show=show).axes[0].collections


def test_intervals_say_their_seeds_and_there_is_none_where_seeds_fail(tmp_path):
    for optimizer, finals in (("Adam", (1, 8, 1.1)), ("SGD", (2, 2.1, 2.2))):
        for seed, final in enumerate(finals):
            write_result(tmp_path, optimizer=optimizer, seed=seed, test_losses=[9, 5, final])
    figure = performance(load(tmp_path), show="interval")
    assert len(figure.axes[1].collections) == 1
    assert "95 % confidence interval from 3 seeds." in note(figure)
    assert "No interval, as seeds fail: Adam on quadratic_deep (1 of 3 seeds)." in note(figure)


def test_losses_over_more_than_a_decade_have_a_logarithmic_axis(tmp_path):
    write_result(tmp_path, test_losses=[100, 10, 1, 0.1])
    write_result(tmp_path, problem="other", test_losses=[3, 2, 1, 0.5])
    write_result(tmp_path, problem="negative", test_losses=[100, 10, 1, -0.1])
    scales = [axes.get_yscale() for axes in overview(load(tmp_path)).axes]
    assert scales == ["linear", "linear", "log"]


def test_an_optimizer_far_behind_does_not_flatten_the_others(tmp_path):
    epochs = np.arange(101)
    for optimizer, end in (("A", 1.0), ("B", 1.1), ("C", 900.0)):
        losses = end + 2 * np.exp(-epochs / 10)
        write_result(tmp_path, problem="acme", optimizer=optimizer, test_losses=losses.tolist())
    figure = overview(load(tmp_path))
    _, high = figure.axes[0].get_ylim()
    assert high < 10
    assert "omit" in note(figure)
    assert "Outside at the end: C on acme." in note(figure)


def test_nothing_is_said_to_be_left_out_where_all_is_there():
    limits = limits_around([1.0, 1.2], [2.0, 2.2], higher_is_better=False)
    assert limits.holds(1.0)
    assert limits.holds(2.2)
    assert not limits.is_logarithmic


def test_curves_that_never_change_are_drawn(tmp_path):
    write_result(tmp_path, test_losses=[0, 0, 0])
    write_result(tmp_path, problem="zero", test_losses=[1, 1, 1], test_accuracies=[0, 0, 0])
    for axes in performance(load(tmp_path)).axes:
        low, high = axes.get_ylim()
        assert low < high


def test_diverged_seeds_are_named(tmp_path):
    write_result(tmp_path, seed=1)
    write_result(tmp_path, seed=2, test_losses=[2, 2, 2], status="diverged", diverged_at_epoch=1)
    assert "SGD on quadratic_deep (1 of 2 seeds)" in note(overview(load(tmp_path)))


def test_the_target_is_drawn_where_the_problem_is_judged(two_problems):
    figure = overview(two_problems)
    dashed = [[each for each in axes.lines if each.get_color() == "black"] for axes in figure.axes]
    assert [len(those) for those in dashed] == [0, 1, 1]
    assert dashed[1][0].get_ydata()[0] == pytest.approx(88.047, abs=1e-3)


def test_no_runs_and_unknown_words_are_refused(tmp_path, two_problems):
    with pytest.raises(ArgumentError, match="measured in no run"):
        performance(load(empty(tmp_path)))
    with pytest.raises(ArgumentError, match=r"got 'medan'.*mean 'median'"):
        overview(two_problems, show="medan")
    with pytest.raises(ArgumentError, match="got 'worst'"):
        overview(two_problems, mode="worst")


def empty(tmp_path):
    directory = tmp_path / "empty"
    directory.mkdir()
    return directory


def test_bands_on_a_logarithmic_axis_end_at_the_lowest_seed_instead_of_below_zero(tmp_path):
    for seed, final in enumerate((0.001, 0.002, 0.3)):
        write_result(tmp_path, problem="acme", seed=seed, test_losses=[9, 1, final])
    figure = performance(load(tmp_path))
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    (band,) = axes.collections
    assert band.get_paths()[0].vertices[:, 1].min() == pytest.approx(0.001)
    assert "Bands that would go below 0 end at the lowest seed" in figure.notes


def write_norms(directory, norms, *, clip_norm=None, interval=2, **changed):
    """A run of three steps in each of two epochs, of which every second was logged."""
    write_result(
        directory,
        schedule={"train_log_interval": interval} | ({"clip_norm": clip_norm} if clip_norm else {}),
        gradient_norms=norms,
        steps_per_epoch=3,
        **changed,
    )


def test_norms_of_gradients_are_medians_at_the_steps_of_the_run(tmp_path):
    for seed, norms in enumerate([[1.0, 2.0, 4.0, 8.0], [3.0, 4.0, 5.0, 6.0]]):
        write_norms(tmp_path, norms, seed=seed)
    write_result(tmp_path, optimizer="Adam")
    write_result(tmp_path, problem="two_d_beale")
    figure = gradient_norms(load(tmp_path))
    (axes,) = figure.axes
    expected = [[0, 2.0], [2 / 3, 3.0], [1, 4.5], [5 / 3, 7.0]]
    np.testing.assert_allclose(axes.lines[0].get_xydata(), expected)
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["SGD"]


def test_norms_of_gradients_end_where_a_seed_diverges(tmp_path):
    write_norms(tmp_path, [1.0, 2.0, None], clip_norm=0.5)
    write_norms(tmp_path, [1.0, 2.0, 4.0, 8.0], clip_norm=0.5, seed=2)
    figure = gradient_norms(load(tmp_path))
    line, limit = figure.axes[0].lines
    assert line.get_xdata().tolist() == [0, 2 / 3]
    assert set(limit.get_ydata()) == {0.5}
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["SGD + clip_norm", "clip norm"]


def test_norms_of_gradients_that_nobody_recorded_are_not_drawn(two_problems):
    with pytest.raises(ArgumentError, match="--log-gradient-norm"):
        gradient_norms(two_problems.only(problems=["acme"]))
