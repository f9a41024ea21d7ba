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
from deepobs_analysis.plots.comparisons import comparison, ranks
from deepobs_analysis.plots.curves import overview, performance
from deepobs_analysis.plots.looks import looks, same_looks
from deepobs_analysis.plots.style import shown
from deepobs_analysis.plots.times import profiles, time_to_target
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


def test_references_differ_in_their_looks_and_leave_the_first_places_to_ones_own():
    theirs = [f"{name} (published)" for name in "ABCDEFGHIJKLMNOPQRSTUVW"]
    of_all = looks([*theirs, "mine", "SGD (published)"])
    assert len({(look.color, str(look.line), look.marker) for look in of_all.values()}) == 25
    assert of_all["mine"].line == "-"
    assert of_all["mine"].depth > of_all["A (published)"].depth


def test_a_reference_has_the_color_of_ones_own_and_is_dashed():
    both = looks(["Adam", "Adam (published)", "Lion"])
    own, reference = both["Adam"], both["Adam (published)"]
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
    assert figure.axes[0].get_title(loc="left") == shown(name, 34)


def test_what_matplotlib_would_take_for_mathematics_is_escaped():
    assert shown("$x_1$") == r"\$x_1\$"
    assert shown("_hidden") == "\N{NO-BREAK SPACE}_hidden"
    assert shown("a\nb") == "a b"


def test_a_name_that_is_too_long_keeps_its_ends():
    assert shown("a" * 30 + "z" * 30, 20) == "aaaaaaaaaaaaa…zzzzzz"
    assert shown("x" * 90 + " (published)", 40) == "x" * 18 + "…" + "x" * 9 + " (published)"
    # Half of the room is that of the optimizer, however long the name of its set is.
    assert shown("x" * 90 + " (published)", 20) == "xxxxxx…xxx (published)"


@pytest.mark.parametrize("format_name", rendering.FORMATS)
def test_equal_results_give_equal_files(grid, format_name):
    first, second = (rendering.drawn(sensitivity(grid), format_name) for _ in range(2))
    assert first == second


def test_text_stays_text_in_svg(grid):
    svg = rendering.svg(sensitivity(grid))
    assert svg.startswith("<svg")
    assert ">quadratic_deep</text>" in svg
    assert "dc:date" not in svg


def test_what_the_user_set_counts_and_stays_as_it_is(grid):
    usual = rendering.svg(sensitivity(grid))
    with mpl.rc_context({"axes.labelsize": 13, "lines.linewidth": 9, "text.color": "#123456"}):
        before = dict(mpl.rcParams)
        figure = sensitivity(grid)
        assert figure.axes[0].xaxis.label.get_fontsize() == 13
        assert figure.legends[0].get_texts()[0].get_color() == "#123456"
        assert figure.axes[0].lines[0].get_linewidth() > 7
        assert dict(mpl.rcParams) == before
        changed = rendering.svg(figure)
    assert changed != usual
    # A figure keeps its style, wherever it is written later.
    assert rendering.svg(figure) == changed
    assert rendering.svg(sensitivity(grid)) == usual


def test_all_sizes_of_text_follow_the_font_of_the_user(grid):
    usual = sensitivity(grid)
    with mpl.rc_context({"font.size": 12}):
        large = sensitivity(grid)
    for part in (lambda each: each.axes[0].title, lambda each: each.legends[0].get_texts()[0]):
        assert part(large).get_fontsize() == pytest.approx(part(usual).get_fontsize() * 12 / 8)
    assert large.get_figheight() > usual.get_figheight()


def test_colors_are_those_of_the_users_cycle(two_problems):
    with mpl.rc_context({"axes.prop_cycle": mpl.cycler(color=["#111111", "#222222", "#333333"])}):
        drawn = dict(colors(overview(two_problems)))
    assert (drawn["SGD"], drawn["Adam"]) == ("#111111", "#333333")


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


def test_names_are_cut_only_where_there_is_no_room(tmp_path):
    name = "Momentum + CosineAnnealingLR"
    for problem in ("acme", "other"):
        for optimizer, final in ((name, 0.1), ("SGD", 0.2), ("Adam", 0.3)):
            write_result(
                tmp_path, problem=problem, optimizer=optimizer, label=optimizer,
                test_losses=[2, 1, final],
            )  # fmt: skip
    results = load(tmp_path)
    for draw in (overview, profiles):
        texts = [text.get_text() for text in draw(results).legends[0].get_texts()]
        assert any(text.startswith(name) for text in texts)
    for draw in (ranks, comparison, time_to_target):
        labels = [label.get_text() for label in draw(results).axes[0].get_yticklabels()]
        assert name in labels
    narrow = [text.get_text() for text in overview(results, width=1.6).legends[0].get_texts()]
    assert any("…" in text for text in narrow)


def test_columns_of_legends_are_as_wide_as_their_own_names(tmp_path):
    for optimizer in ("Adam", "AdamW", "Momentum", "SGD", "SGD + CosineAnnealingLR", "Sign"):
        for problem in ("acme", "other"):
            write_result(tmp_path, problem=problem, optimizer=optimizer, label=optimizer)
    (legend,) = overview(load(tmp_path)).legends
    assert len(legend.get_texts()) == 7
    assert legend._ncols == 4
