"""What compares optimizers: times, profiles, ranks and probabilities."""

from __future__ import annotations

import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from result_files import write_result

from deepobs.errors import ArgumentError
from deepobs_analysis import load
from deepobs_analysis.plots.comparisons import comparison, ranks
from deepobs_analysis.plots.times import profiles, time_to_target


@pytest.fixture
def races(tmp_path):
    """The target is 88.047: Adam needs 1 epoch, SGD 2, and one of its seeds does not get there."""
    ends = {"Adam": ([99, 80, 80], [99, 80, 80]), "SGD": ([99, 98, 80], [99, 98, 97])}
    for optimizer, curves in ends.items():
        for seed, losses in enumerate(curves):
            write_result(tmp_path, optimizer=optimizer, seed=seed, test_losses=losses)
    return load(tmp_path)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_times_of_seeds_and_how_many_reach_the_target(races):
    figure = time_to_target(races)
    (axes,) = figure.axes
    assert texts(axes) == ["2/2", "1/2"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Adam", "SGD"]
    assert [line.get_xdata().tolist() for line in axes.lines[::2]] == [[1, 1], [2]]
    assert axes.get_xlabel() == "epochs to target"
    assert "published with the problem" in figure.get_supxlabel()


def test_steps_and_seconds_are_other_units(races):
    (axes,) = time_to_target(races, unit="steps").axes
    assert axes.lines[0].get_xdata().tolist() == [7, 7]
    (axes,) = time_to_target(races, unit="seconds").axes
    assert axes.lines[0].get_xdata().tolist() == [0.5, 0.5]
    with pytest.raises(ArgumentError, match=r"got 'epoch'.*mean 'epochs'"):
        time_to_target(races, unit="epoch")


def test_a_target_that_is_never_reached_says_so(tmp_path):
    write_result(tmp_path, test_losses=[99, 98])
    (axes,) = time_to_target(load(tmp_path)).axes
    assert texts(axes) == ["0/1", "never"]


def test_profiles_rise_where_a_ratio_is_reached(tmp_path):
    for problem, slow in (("a", 2), ("b", 4)):
        for optimizer, epoch in (("Adam", 1), ("SGD", slow)):
            losses = [9.0] * epoch + [1.0] * (6 - epoch)
            write_result(tmp_path, problem=problem, optimizer=optimizer, test_losses=losses)
    figure = profiles(load(tmp_path), largest_tau=5)
    (axes,) = figure.axes
    adam, sgd = axes.lines
    assert adam.get_xydata().tolist() == [[1, 1], [5, 1]]
    assert sgd.get_xydata().tolist() == [[1, 0], [2, 0.5], [4, 1], [5, 1]]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["Adam (1.00, 2 of 2)", "SGD (0.50, 2 of 2)"]


def test_profiles_that_coincide_are_drawn_side_by_side_and_say_what_is_reached(tmp_path):
    for problem, ends in (("a", (1, 1, 9)), ("b", (1, 1, 1))):
        for optimizer, end in zip(("Adam", "AdamW", "SGD"), ends, strict=True):
            losses = [9.0, end, end]
            write_result(tmp_path, problem=problem, optimizer=optimizer, test_losses=losses)
    figure = profiles(load(tmp_path))
    (axes,) = figure.axes
    adam, adamw, _ = axes.lines
    assert adam.get_xydata().tolist() == adamw.get_xydata().tolist()
    ends = [line.get_transform().transform((4, 1))[1] for line in (adam, adamw)]
    assert ends[0] - ends[1] > figure.dpi / 72
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["Adam (1.00, 2 of 2)", "AdamW (1.00, 2 of 2)", "SGD (0.50, 1 of 2)"]
    assert "how many targets are reached" in figure.notes


@pytest.mark.parametrize("plot", [profiles, ranks, comparison])
def test_one_optimizer_alone_is_no_comparison(tmp_path, plot):
    write_result(tmp_path)
    with pytest.raises(ArgumentError, match="there is only SGD"):
        plot(load(tmp_path))


@pytest.mark.parametrize("plot", [profiles, ranks, comparison])
def test_without_a_common_problem_nothing_is_compared(tmp_path, plot):
    write_result(tmp_path, problem="a", optimizer="Adam")
    write_result(tmp_path, problem="b", optimizer="SGD")
    with pytest.raises(ArgumentError, match="no problem on which all of Adam, SGD were run"):
        plot(load(tmp_path))


@pytest.mark.parametrize("largest_tau", [1, "many", float("inf")])
def test_a_largest_tau_that_is_none_is_refused(two_problems, largest_tau):
    with pytest.raises(ArgumentError, match="largest_tau must be a number above 1"):
        profiles(two_problems, largest_tau=largest_tau)


def test_ranks_are_shares_and_means(two_problems):
    left, right = ranks(two_problems).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["Adam", "SGD"]
    assert texts(left) == ["1", "2"]
    assert sum(patch.get_width() for patch in left.patches) == pytest.approx(2)
    assert [line.get_xdata().tolist() for line in right.lines[1::2]] == [[1], [2]]


def test_problems_that_not_all_were_run_on_are_named(two_problems, tmp_path):
    write_result(tmp_path / "results", problem="more", optimizer="Adam")
    figure = ranks(load(tmp_path / "results"))
    assert "2 problems: acme and quadratic_deep. Not run by all: more." in figure.get_supxlabel()


def test_cells_that_are_too_narrow_for_numbers_have_none(tmp_path):
    for name in "ABCDEFGHIJKLMNOPQRST":
        write_result(tmp_path, optimizer=f"An optimizer of a long name {name}")
    axes = comparison(load(tmp_path)).axes[0]
    assert texts(axes) == []
    assert all(label.get_rotation() == 90 for label in axes.get_xticklabels())


def test_probabilities_of_improvement_stand_in_the_cells(two_problems, tmp_path):
    figure = comparison(two_problems)
    axes = figure.axes[0]
    assert texts(axes) == ["1.00", "[0.38, 1.00]", "0.00", "[0.00, 0.62]"]
    assert "95 % interval over 2 seeds" in figure.get_supxlabel().replace("\n", " ")
    values = axes.images[0].get_array()
    assert values.tolist() == [[None, 1], [0, None]]
    assert axes.images[0].get_clim() == (0, 1)


@pytest.mark.parametrize("width", ["one", "two"])
def test_names_below_a_matrix_do_not_overlap(tmp_path, width):
    for optimizer in ("Adam", "AdamW", "Momentum", "RMSprop", "SGD"):
        write_result(tmp_path, optimizer=optimizer, test_losses=[9, 8])
    figure = comparison(load(tmp_path), width=width)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    labels = figure.axes[0].get_xticklabels()
    is_slanted = {label.get_rotation() > 0 for label in labels}
    assert is_slanted == {width == "one"}
    if width == "two":
        boxes = [label.get_window_extent(renderer) for label in labels]
        assert not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))


def test_of_single_seeds_no_interval_is_shown(tmp_path):
    for optimizer, loss in (("Adam", 1), ("SGD", 2)):
        write_result(tmp_path, optimizer=optimizer, test_losses=[9, loss])
    figure = comparison(load(tmp_path))
    assert texts(figure.axes[0]) == ["1.00", "0.00"]
    assert "interval" not in figure.get_supxlabel()
    right = ranks(load(tmp_path)).axes[1]
    assert [len(line.get_xdata()) for line in right.lines] == [1, 1]
    assert right.get_xlabel() == "mean rank"


def test_runs_that_diverged_lose_all_comparisons(tmp_path):
    write_result(tmp_path, optimizer="Adam", test_losses=[2, 1.9])
    write_result(tmp_path, test_losses=[1, 1], status="diverged", diverged_at_epoch=1)
    assert texts(comparison(load(tmp_path)).axes[0])[0] == "1.00"
