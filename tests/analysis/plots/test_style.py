"""Colors that stand for optimizers, and files that do not depend on the moment."""

from __future__ import annotations

import matplotlib as mpl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from result_files import write_result

from deepobs.errors import ArgumentError
from deepobs.plugins import registry
from deepobs_analysis import load
from deepobs_analysis.plots import rendering
from deepobs_analysis.plots.curves import overview, performance
from deepobs_analysis.plots.style import looks, same_looks, shown
from deepobs_analysis.plots.tuning_curves import sensitivity

HOSTILE = ("$x_1$ <b>&amp;", "_hidden", "a" * 200, r"100% \frac{1}{2}", "a\nb", "\N{SNOWMAN}\u4f18")


def colors(figure):
    """The colors of the lines of all panels by the name of the optimizer."""
    lines = (line for axes in figure.axes for line in axes.lines)
    return {(line.get_label(), line.get_color()) for line in lines if line.get_color() != "black"}


def test_well_known_optimizers_have_looks_of_their_own():
    few, many = looks(["SGD", "Adam"]), looks(["Aaa", "Adam", "Lion", "SGD", "Zzz"])
    assert {name: many[name] for name in few} == few


def test_up_to_eight_optimizers_differ_in_color_and_all_in_their_look():
    names = ["SGD", *"abcdefg"]
    assert len({look.color for look in looks(names).values()}) == 8
    names += [*"hijklmnopq"]
    assert len({(look.color, str(look.line)) for look in looks(names).values()}) == len(names)


def test_a_reference_has_the_color_of_ones_own_and_is_dashed():
    both = looks(["Adam", "Adam (reference)", "Lion"])
    own, reference = both["Adam"], both["Adam (reference)"]
    assert own.color == reference.color
    assert (own.line, own.marker) == ("-", reference.marker)
    assert reference.line != own.line
    assert reference.alpha < own.alpha


def test_a_part_of_results_keeps_the_colors_of_all_of_them(tmp_path):
    for optimizer in ("Apollo", "Lion", "Zephyr"):
        write_result(tmp_path, optimizer=optimizer)
    results = load(tmp_path)
    part = results.only(optimizers=["Zephyr"])
    assert colors(overview(part)) != {*colors(overview(results))} & {*colors(overview(part))}
    with same_looks(results.optimizers):
        assert colors(overview(part)) < colors(performance(results))
    assert colors(overview(results)) == colors(performance(results))


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_drawn_as_they_are_or_shortened(tmp_path, name):
    for optimizer in (name, "SGD"):
        write_result(
            tmp_path, problem="quadratic_deep", optimizer="x", moment=optimizer[:2].strip("$\n"),
            testproblem=name, optimizer_name=optimizer,
        )  # fmt: skip
    figure = overview(load(tmp_path))
    assert rendering.svg(figure)
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    assert legend == {shown(name), "SGD", "target"}
    assert figure.axes[0].get_title(loc="left") == shown(name, 26)


def test_what_matplotlib_would_take_for_mathematics_is_escaped():
    assert shown("$x_1$") == r"\$x_1\$"
    assert shown("_hidden") == "\N{NO-BREAK SPACE}_hidden"
    assert shown("a\nb") == "a b"


def test_a_name_that_is_too_long_keeps_its_ends():
    assert shown("a" * 30 + "z" * 30, 20) == "aaaaaaaaaaaaa…zzzzzz"
    assert shown("x" * 90 + " (reference)", 20).endswith("…xxxxxx (reference)")


@pytest.mark.parametrize("format_name", rendering.FORMATS)
def test_equal_results_give_equal_files(grid, format_name):
    first, second = (rendering.drawn(sensitivity(grid), format_name) for _ in range(2))
    assert first == second


def test_text_stays_text_in_svg(grid):
    svg = rendering.svg(sensitivity(grid))
    assert svg.startswith("<svg")
    assert ">quadratic_deep</text>" in svg
    assert "dc:date" not in svg


def test_the_users_own_style_neither_counts_nor_changes(grid):
    expected = rendering.svg(sensitivity(grid))
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "text.usetex": True}):
        before = dict(mpl.rcParams)
        assert rendering.svg(sensitivity(grid)) == expected
        assert dict(mpl.rcParams) == before


def test_a_format_that_is_not_written_is_refused(two_problems, tmp_path):
    with pytest.raises(ArgumentError, match=r"format 'pgn' is unknown.*'png'.*\.pdf, \.svg, \.png"):
        rendering.write(overview(two_problems), tmp_path / "a.pgn")


def test_a_figure_is_written_into_a_new_directory(two_problems, tmp_path):
    rendering.write(overview(two_problems), tmp_path / "new" / "a.PDF")
    assert (tmp_path / "new" / "a.PDF").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", sorted({*registry().plots.names()} - {"trajectories"}))
def test_every_label_of_every_plot_lies_within_the_figure(grid, two_problems, name):
    plot = registry().plots.load(name)
    figure = plot(grid if name == "sensitivity_2d" else two_problems)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box = figure.get_tightbbox(canvas.get_renderer())
    width, height = figure.get_size_inches()
    assert -0.02 <= box.x0 <= box.x1 <= width + 0.02
    assert -0.02 <= box.y0 <= box.y1 <= height + 0.02
