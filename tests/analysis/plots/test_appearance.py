"""The options that all figures share: what they change, in every figure."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from result_files import write_result

from deepobs.errors import ArgumentError, UnknownNameError
from deepobs.plugins import registry
from deepobs_analysis import load
from deepobs_analysis.plots.curves import overview, performance
from deepobs_analysis.plots.looks import looks
from deepobs_analysis.plots.times import profiles, time_to_target

PLOTS = sorted({*registry().plots.names()} - {"trajectories"})


@pytest.fixture
def cliff(tmp_path):
    """Losses that fall at once and then differ little, as those of fmnist_logreg do."""
    epochs = np.arange(51)
    for optimizer, end in (("SGD", 0.44), ("Momentum", 0.43), ("Adam", 0.45)):
        losses = end + 1.9 * np.exp(-2 * epochs) + 0.05 * np.exp(-epochs / 20)
        write_result(
            tmp_path,
            problem="acme",
            optimizer=optimizer,
            test_losses=losses.tolist(),
            test_accuracies=(1 - losses / 2.5).tolist(),
        )
    return load(tmp_path)


def lines(axes):
    return {line.get_label(): line for line in axes.lines if line.get_label() in ("SGD", "Adam")}


def test_lines_differ_in_marks_which_do_not_coincide(cliff):
    drawn = [line for line in overview(cliff).axes[0].lines if line.get_marker() != "None"]
    assert len({line.get_marker() for line in drawn}) == 3
    places = [place for line in drawn for place in line.get_markevery()]
    assert 3 * 3 <= len(places) == len(set(places))
    assert {line.get_label(): line.get_marker() for line in drawn} == {
        name: look.marker for name, look in looks(cliff.optimizers).items()
    }


def test_differences_at_the_end_take_much_of_a_panel_and_the_cut_is_marked(cliff):
    for axes in overview(cliff).axes:
        low, high = axes.get_ylim()
        late = [value for line in axes.lines for value in line.get_ydata()[-25:]]
        assert (max(late) - min(late)) / (high - low) > 0.35
        assert len(axes.patches) == 2  # the slashes
    assert "Two slashes on an axis" in overview(cliff).notes


def test_a_slow_optimizer_does_not_flatten_the_ends_of_the_others(cliff, tmp_path):
    slow = np.interp(np.arange(51), [0, 50], [0.1, 0.79]).tolist()
    write_result(
        tmp_path,
        problem="acme",
        optimizer="Slow",
        test_losses=[2.0] * 51,
        test_accuracies=slow,
    )
    (axes,) = (e for e in overview(load(tmp_path)).axes if e.get_ylabel() == "test accuracy")
    low, high = axes.get_ylim()
    assert 0.5 < low < 0.79
    ends = [line.get_ydata()[-1] for line in axes.lines if len(line.get_ydata()) == 51]
    assert min(ends) == 0.79
    assert (max(ends) - min(ends)) / (high - low) > 0.35


def test_the_protocol_of_a_problem_stands_in_a_second_line_of_its_title(tmp_path):
    for epochs in (2, 3):
        for problem in ("quadratic_deep", "acme"):
            losses = [9, 8, 7, 6][: epochs + 1]
            write_result(tmp_path, problem=problem, seed=epochs, test_losses=losses)
    for name in ("overview", "sensitivity", "tuning_rank"):
        figure = registry().plots.load(name)(load(tmp_path))
        titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
        assert titles[-2:] == ["quadratic_deep\n(epochs = 2)", "quadratic_deep\n(epochs = 3)"]
        assert_no_titles_overlap(figure)
    (wide,) = time_to_target(load(tmp_path).only(problems=["quadratic_deep (epochs = 2)"])).axes
    assert wide.get_title(loc="left") == "quadratic_deep\n(epochs = 2): loss 88"


def assert_no_titles_overlap(figure):
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    shown = [axes for axes in figure.axes if axes.get_title(loc="left")]
    boxes = [axes._left_title.get_window_extent(renderer) for axes in shown]
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:place])


def test_an_axis_can_be_full_linear_or_logarithmic(cliff):
    full = overview(cliff, axis="full")
    assert full.axes[0].get_ylim()[1] > 2.3
    assert not full.axes[0].patches
    assert overview(cliff, axis="log").axes[0].get_yscale() == "log"
    assert overview(cliff, axis="log").axes[1].get_yscale() == "linear"


def test_losses_over_decades_can_have_a_linear_axis(tmp_path):
    write_result(tmp_path, test_losses=[100, 10, 1, 0.1])
    assert overview(load(tmp_path)).axes[0].get_yscale() == "log"
    assert overview(load(tmp_path), axis="linear").axes[0].get_yscale() == "linear"


def test_a_highlighted_optimizer_is_thicker_on_top_and_bold_and_the_others_are_muted(two_problems):
    figure = overview(two_problems, highlight="Adam")
    own, other = (lines(figure.axes[0])[name] for name in ("Adam", "SGD"))
    assert own.get_linewidth() > 1.5 * other.get_linewidth()
    assert own.get_zorder() > other.get_zorder()
    assert own.get_alpha() == 1 > other.get_alpha()
    weights = {text.get_text(): text.get_weight() for text in figure.legends[0].get_texts()}
    assert (weights["Adam"], weights["SGD"]) == ("bold", "normal")


def test_order_names_and_colors_are_those_that_are_asked_for(two_problems):
    options = {"order": ["SGD"], "names": {"SGD": "a baseline"}, "colors": {"Adam": "red"}}
    figure = overview(two_problems, **options)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["a baseline", "Adam", "target"]
    assert lines(figure.axes[0])["Adam"].get_color() == "red"
    rows = time_to_target(two_problems, **options).axes[0].get_yticklabels()
    assert [label.get_text() for label in rows] == ["a baseline", "Adam"]
    (legend,) = profiles(two_problems, **options).legends
    assert legend.get_texts()[0].get_text().startswith("a baseline")


def test_names_with_commas_and_colons_can_be_named(tmp_path):
    names = ("Momentum, momentum = 0.9", "module:Class")
    for name in names:
        write_result(tmp_path, optimizer=name, layout="1.2")
    results = load(tmp_path)
    figure = overview(results, highlight=names[0], names=f"{names[1]}:Mine", order=[names[1]])
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["Mine", names[0]]


def test_notes_are_in_the_figure_or_only_beside_it(two_problems):
    with_notes = overview(two_problems)
    assert with_notes.notes.startswith("Lines: mean over seeds")
    assert with_notes.get_supxlabel().replace("\n", " ") == with_notes.notes
    for place in ("file", "off"):
        figure = overview(two_problems, notes=place)
        assert figure.get_supxlabel() == ""
        assert figure.notes == with_notes.notes
        assert figure.get_figheight() < with_notes.get_figheight()


def test_style_sheets_are_applied_to_one_figure_only(two_problems):
    before = dict(mpl.rcParams)
    figure = overview(two_problems, style="dark_background")
    assert dict(mpl.rcParams) == before
    assert figure.get_facecolor()[:3] == (0, 0, 0)
    assert figure.legends[0].get_texts()[0].get_color() == "white"
    dashed = [line for line in figure.axes[1].lines if line.get_linestyle() == "--"]
    assert {line.get_color() for line in dashed} == {"white"}
    # Also what a sheet sets to the default of Matplotlib, against the style of all figures.
    assert overview(two_problems, style="classic").axes[0].spines["top"].get_visible()


def test_a_style_sheet_may_be_a_file(two_problems, tmp_path):
    (tmp_path / "mine.mplstyle").write_text("axes.titlesize: 17\naxes.grid: False\n")
    figure = performance(two_problems, style=str(tmp_path / "mine.mplstyle"))
    axes = figure.axes[0]
    assert axes.title.get_fontsize() == 17
    assert not any(line.get_visible() for line in axes.get_xgridlines())


@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.parametrize(("width", "inches"), [("one", 3.3), (5, 5.0)])
def test_every_figure_fits_the_width_that_is_asked_for(grid, two_problems, name, width, inches):
    plot = registry().plots.load(name)
    figure = plot(
        grid if name == "sensitivity_2d" else two_problems,
        width=width,
        font_size=7,
        highlight="SGD",
    )
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box = figure.get_tightbbox(canvas.get_renderer())
    assert figure.get_figwidth() == inches
    assert -0.02 <= box.x0 <= box.x1 <= inches + 0.02
    assert -0.02 <= box.y0 <= box.y1 <= figure.get_figheight() + 0.02


def test_panels_stand_below_each_other_where_a_column_is_narrow(two_problems):
    wide, narrow = performance(two_problems), performance(two_problems, width="one")
    assert wide.axes[0].get_gridspec().ncols == 4
    assert narrow.axes[0].get_gridspec().ncols == 2
    labels = [axes.get_ylabel() for axes in narrow.axes]
    assert labels[:4] == ["training loss", "test loss", "training accuracy", "test accuracy"]
    assert [axes.get_title(loc="left") for axes in narrow.axes if axes.get_title(loc="left")] == [
        "acme",
        "quadratic_deep",
    ]


def test_rows_without_panels_take_no_room(two_problems):
    narrow = performance(two_problems, width="one", notes="off")
    canvas = FigureCanvasAgg(narrow)
    canvas.draw()
    assert narrow.axes[-1].get_position().y0 < 0.2
    assert [axes.get_xlabel() for axes in narrow.axes[-2:]] == ["epoch", "epoch"]


def test_python_gets_the_same_errors_as_the_command_line(two_problems):
    with pytest.raises(
        ArgumentError, match=r"overview has no option 'hilight'. Did you mean 'high"
    ):
        overview(two_problems, hilight="Adam")
    with pytest.raises(UnknownNameError, match="names 'Adma', which is no optimizer of these res"):
        overview(two_problems, highlight=["Adma"])
