"""`deepobs plot`, called as a function."""

from __future__ import annotations

import pytest
from result_files import write_failure, write_result

from deepobs.cli.main import main
from deepobs.plugins import PlotSpec, registry
from deepobs.plugins.catalog import Offer


@pytest.fixture
def plot(two_problems, tmp_path, capsys, monkeypatch):
    del two_problems
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = main(["plot", *arguments])
        output = capsys.readouterr()
        return code, output.out, output.err

    return call


def test_a_figure_is_called_like_its_plot(plot, tmp_path):
    assert plot("profiles", "results") == (0, "Written to profiles.pdf\n", "")
    assert (tmp_path / "profiles.pdf").read_bytes().startswith(b"%PDF")


def test_the_suffix_tells_the_format_and_options_reach_the_plot(plot, tmp_path):
    code, _, err = plot(
        *("performance", "results", "-o", "out/a.svg", "--problem", "acme", "--optimizer", "SGD"),
        *("-p", "show=median", "--mode", "best"),
    )
    assert (code, err) == (0, "")
    svg = (tmp_path / "out" / "a.svg").read_text()
    assert "median over seeds" in svg
    assert ">SGD</text>" in svg
    assert "Adam" not in svg
    assert "quadratic_deep" not in svg


def test_a_reference_set_is_shown_beside(plot, tmp_path, monkeypatch):
    write_result(tmp_path / "paper", optimizer="AdamOptimizer", layout="1.1")
    options = ("--problem", "quadratic_deep")
    assert plot("overview", "results", *options, "-o", "a.svg", "--reference", "paper")[0] == 0
    assert ">Adam (in paper)</text>" in (tmp_path / "a.svg").read_text()
    monkeypatch.setenv("DEEPOBS_BASELINE_DIR", str(tmp_path / "paper"))
    options = (*options, "--optimizer", "SGD", "--reference")
    assert plot("overview", "results", "-o", "b.svg", *options)[0] == 0
    svg = (tmp_path / "b.svg").read_text()
    assert ">Adam (published)</text>" in svg
    assert ">Adam</text>" not in svg


def test_what_was_left_out_is_told_in_a_line(plot, tmp_path):
    write_failure(tmp_path / "results")
    code, _, err = plot("profiles", "results")
    assert code == 0
    assert err.count("\n") == 1
    assert err.startswith("Warning: 1 file in results skipped, ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rank", "results"), "There is no plot 'rank'. Did you mean 'ranks'? Known: compar"),
        (("ranks", "resluts"), "There are no results at resluts"),
        (("ranks", "none"), "There is no run in none. Give the directory"),
        (("ranks", "results", "-p", "moed=best"), "has no option 'moed'. Did you mean 'mode'?"),
        (("ranks", "results", "-p", "mode"), "'mode' is not NAME=VALUE"),
        (("ranks", "results", "-o", "a.gif"), "the format 'gif' is unknown"),
        (("ranks", "results", "--optimizer", "SDG"), "Did you mean 'SGD'? Known: Adam, SGD."),
        (("ranks", "results", "--problem", "acne"), "Did you mean 'acme'?"),
        (("overview", "results", "-p", "show=3"), "Curves show one of mean, median, interval"),
        (("ranks", "results", "-p", "widht=one"), "no option 'widht'. Did you mean 'width'?"),
        (("ranks", "results", "-p", "width=tow"), "got 'tow'. Did you mean 'two'?"),
        (("ranks", "results", "-p", "width=0.1"), "inches from 1.5 to 40; got 0.1"),
        (("ranks", "results", "-p", "font_size=big"), "in points, from 4 to 40; got 'big'"),
        (("ranks", "results", "-p", "highlight=Adma"), "no optimizer of these results. Did you"),
        (("ranks", "results", "-p", "order=3"), "'order' is a name or several; got 3"),
        (("ranks", "results", "-p", "names=SGD"), "NAME:VALUE for some optimizers"),
        (("ranks", "results", "-p", "colors=SGD:rad"), "'rad' is no color"),
        (("ranks", "results", "-p", "axis=lgo"), "got 'lgo'. Did you mean 'log'?"),
        (("ranks", "results", "-p", "notes=on"), "'notes' is one of figure, file, off"),
        (
            ("ranks", "results", "-p", "style=gplot"),
            "style sheet 'gplot'. Did you mean 'ggplot'",
        ),
        (("ranks", "results", "--mode", "worst"), "'worst' is not one of"),
    ],
)
def test_mistakes_are_explained_without_a_traceback(plot, tmp_path, arguments, message):
    (tmp_path / "none").mkdir()
    code, _, err = plot(*arguments)
    assert code == 2
    assert message in " ".join(err.split())
    assert "Traceback" not in err


def test_a_mode_is_refused_by_a_plot_without(plot, tmp_path, monkeypatch):
    module = tmp_path / "a_plot_of_a_test.py"
    module.write_text(
        "from matplotlib.figure import Figure\n"
        "def draw(results, *, title='x'):\n"
        "    figure = Figure()\n"
        "    figure.suptitle(f'{title} {len(results.runs)}')\n"
        "    return figure\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    plots = registry().plots
    monkeypatch.setattr(plots, "_offers", dict(plots._offers))
    spec = PlotSpec(name="acme_plot", summary="", target="a_plot_of_a_test:draw")
    plots.add(Offer(spec, "acme", "1.0"))
    assert plot("acme_plot", "results", "-p", "title=runs", "-o", "a.svg")[0] == 0
    assert ">runs 8</text>" in (tmp_path / "a.svg").read_text()
    code, _, err = plot("acme_plot", "results", "--mode", "best")
    assert code == 2
    assert "The plot acme_plot has no option 'mode'." in " ".join(err.split())
    assert "It has: title=x. All figures have: highlight," in " ".join(err.split())


def test_the_help_of_a_figure_lists_its_options_and_those_of_all(plot):
    code, out, err = plot("profiles", "--help")
    assert (code, err) == (0, "")
    own, _, common = out.partition("Options of all figures (-p NAME=VALUE), with defaults:")
    own = " ".join(own.partition("Options of profiles")[2].split())
    assert 'unit=epochs Unit of time: "epochs", "steps", "gradient evaluations"' in own
    assert "largest_tau=4.0 Up to where profiles are drawn" in own
    for option in ("highlight=none", "width=by the figure", "notes=figure", "style=none"):
        assert option in common
    assert "Options of" not in plot("--help")[1]


def test_every_figure_documents_its_options(plot):
    for name in registry().plots.names():
        _, out, _ = plot(name, "--help")
        listed = out.partition(f"Options of {name}")[2].partition("Options of all")[0]
        for line in listed.splitlines()[1:]:
            assert not line.strip() or len(line.split()) > 1 or line.startswith(" " * 8), line


def test_notes_go_to_a_file_beside_the_figure(plot, tmp_path):
    code, out, _ = plot("overview", "results", "-o", "a.svg", "-p", "notes=file")
    assert (code, out) == (0, "Written to a.svg\nNotes written to a.txt\n")
    assert "Lines: mean over seeds" not in (tmp_path / "a.svg").read_text()
    assert (tmp_path / "a.txt").read_text().startswith("Lines: mean over seeds; bands: standard")


def test_a_part_of_the_results_can_name_the_other_optimizers(plot):
    options = ("-p", "order=SGD,Adam", "-p", "names=SGD:baseline", "-p", "highlight=Adam")
    assert plot("overview", "results", "--optimizer", "Adam", "-o", "a.svg", *options)[0] == 0
