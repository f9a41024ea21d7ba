"""The report: whole, safe to open and to pass on, and outspoken about what misleads."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from result_files import write_failure, write_result

from deepobs.cli.main import main
from deepobs_analysis import load
from deepobs_analysis.report import report

EVIL = "<script>alert(1)</script>"
QUOTES = "\"'><img src=x onerror=alert(2)>&amp;"
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """What a browser makes of a page, as far as tests need it."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self):
        words = " ".join(self.texts).replace("\N{NO-BREAK SPACE}", " ").split()
        return " ".join(words)

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def write_grid(directory, problem, *, optimizers=("SGD", "Adam")):
    """Three learning rates with seed 42, the best of them with three seeds."""
    for place, optimizer in enumerate(optimizers):
        for lr, final in ((0.01, 3.0), (0.1, 1.0 + place), (1.0, 2.0 + place)):
            write_result(
                directory, problem=problem, optimizer=optimizer, lr=lr, test_losses=[9, 5, final]
            )
        for seed in (43, 44):
            losses = [9, 4, 1.0 + place + seed / 1000]
            write_result(
                directory,
                problem=problem,
                optimizer=optimizer,
                lr=0.1,
                seed=seed,
                test_losses=losses,
                command=f"deepobs run {problem} {optimizer} --lr 0.1 --seed {seed}",
            )


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    directory = tmp_path_factory.mktemp("results")
    for problem in ("one", "two"):
        write_grid(directory, problem)
    write_result(directory, problem="two", lr=10.0, layout="1.2", test_losses=[9, float("nan"), 1])
    write_failure(directory / "two" / "SGD" / "failed", message="ValueError: no such thing")
    return report(load(directory, cache=False), title="My results")


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_a_report_says_what_was_compared_and_who_wins(page):
    assert "Adam and SGD were compared on 2 test problems, in 21 runs." in page.text
    assert "SGD has the best mean test performance on 2 problems (one and two)." in page.text
    assert "On all problems, the lead is larger than seeds explain." in page.text
    assert (
        "Tests are corrected for 2 comparisons (all pairs of optimizers on all problems, by "
        "Holm's method): if optimizers are equally good, at most 5 % of such reports call any lead "
        "larger than seeds explain."
    ) in page.text
    assert "SGD has the best mean test loss, 1.029 ± 0.021, ahead of Adam by 1.0" in page.text


def test_every_problem_has_a_section_and_a_link_to_it(page):
    ids = {attributes["id"] for attributes in page.named("h2")}
    targets = {each["href"][1:] for each in page.named("a")}
    assert {"overview", "choice", "across", "problem-1", "problem-2", "environments"} <= targets
    assert targets - {"top"} <= ids


def test_ids_are_unique_and_what_figures_refer_to_is_there(page, html):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    referred = set(re.findall(r"url\(#([^)]+)\)", html))
    referred |= {each["href"][1:] for each in page.named("use")}
    assert referred
    assert referred <= set(ids)


def test_figures_are_in_the_page_with_their_text(page):
    panels = [each for each in page.named("svg") if each.get("aria-hidden") != "true"]
    assert len(panels) >= 12
    assert all(each["role"] == "img" and each["aria-label"] for each in panels)
    assert page.text.count("learning rate") >= 2


def test_nothing_is_loaded_from_anywhere(page, html):
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    (policy,) = (each["content"] for each in page.named("meta") if "http-equiv" in each)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline'" not in policy.replace("style-src 'unsafe-inline'", "")


def test_commands_failures_and_diverged_runs_are_told(page):
    assert "deepobs run two Adam --lr 0.1 --seed 44" in page.text
    assert "ValueError: no such thing" in page.text
    assert "1 run of 1 configuration diverged" in page.text
    assert "SGD, lr = 10" in page.text
    assert "torch 2.14.1" in page.text


def test_choosing_on_the_test_set_is_warned_about(page):
    assert (
        "Configurations were selected on the test set. 4 configurations, on one and two."
        in page.text
    )
    assert "were selected by the loss on the test set" in page.text


def test_a_configuration_that_fails_for_other_seeds_is_warned_about(tmp_path):
    for lr in (0.1, 0.2):
        write_result(tmp_path, problem="acme", lr=lr, seed=42, test_losses=[90, 10 * lr])
    for seed in range(1, 6):
        final = 1 + seed / 100 if seed < 4 else 49.4 + seed / 5
        write_result(tmp_path, problem="acme", lr=0.1, seed=seed, test_losses=[90, final])
    text = Page(report(load(tmp_path))).text
    # (1 + 1.01 + 1.02 + 1.03 + 50.2 + 50.4) / 6 = 17.44
    assert (
        "SGD on acme: 1.000 with seed 42, which selected among 2 configurations, but 2 of 6 seeds "
        "failed (33 %, 95 % interval 4 to 78 %); the other 4 end at 1.015 ± 0.011. Over all seeds "
        "it is 17 ± 23."
    ) in text
    assert "tune with several seeds" in text


def test_few_and_unequal_seeds_and_mixed_versions_are_warned_about(tmp_path):
    write_result(tmp_path, problem="acme", versions={"torch": "2.1"})
    for seed in (1, 2, 3):
        write_result(
            tmp_path,
            problem="acme",
            optimizer="Adam",
            seed=seed,
            device="cuda",
            test_losses=[2, 1, 0.4],
        )
    text = Page(report(load(tmp_path))).text
    assert "Fewer than 3 seeds. SGD on acme: 1." in text
    assert "Optimizers have different numbers of seeds. acme: Adam 3 and SGD 1." in text
    assert "On cpu and cuda. With torch 2.1 and 2.14.1." in text
    assert "On acme, there are fewer than 3 seeds: nothing can be said about the lead." in text


@pytest.mark.parametrize(
    ("changed", "warned"),
    [
        ({"bare_losses": True}, "for some optimizers only. acme: Adam (with) and SGD (without)."),
        ({"weight_decay": 0.1}, "with different regularizers. acme: Adam 0.0 and SGD 0.1."),
        ({"full_evaluation": True}, "on full splits. acme: Adam (cut off) and SGD (full)."),
        ({"dtype": "float64"}, "in different precision. acme: Adam float32 and SGD float64."),
        (
            {"training_params": {"validation_size": 10, "reshuffle": True}},
            "on different numbers of examples. acme: Adam 0 and SGD 10.",
        ),
        (
            {"training_params": {"validation_size": 0, "reshuffle": False}},
            "in every epoch. acme: Adam (new) and SGD (the same).",
        ),
        ({"hardware": {"torch_threads": 4}}, "With 1 and 4 threads."),
    ],
)
def test_what_measures_different_functions_is_warned_about(tmp_path, changed, warned):
    same = {"problem": "acme", "weight_decay": 0.0, "hardware": {"torch_threads": 1}}
    write_result(tmp_path, optimizer="Adam", **same)
    write_result(tmp_path, optimizer="SGD", **same | changed)
    assert warned in Page(report(load(tmp_path, across_protocols=True))).text


def test_nothing_is_warned_about_without_reason(tmp_path):
    for seed in (1, 2, 3, 4, 5, 6):
        write_result(tmp_path, problem="acme", seed=seed, test_losses=[9, 1 + seed / 1e6])
    html = report(load(tmp_path))
    assert "To know before reading on" not in html
    assert "Nothing was selected: " in html


CONTROL = "\x1b[31m\x00\u202e$x_1$\n%"


def test_a_learning_rate_at_the_border_is_warned_about(tmp_path):
    for lr, final in ((0.1, 3), (0.2, 2), (0.3, 1)):
        write_result(tmp_path, problem="acme", lr=lr, test_losses=[9, final])
    text = Page(report(load(tmp_path))).text
    assert "SGD on acme: 0.3 is the largest one tested. A better one may lie beyond." in text


def test_names_that_nothing_can_show_do_no_harm(tmp_path):
    for problem in ("one", f"two{CONTROL}"):
        for optimizer in ("SGD", f"A{CONTROL}"):
            place = tmp_path / f"{len(problem)}-{len(optimizer)}"
            write_result(
                place, problem="p", optimizer="o", testproblem=problem, optimizer_name=optimizer
            )
    target = tmp_path / "report.html"
    assert main(["report", str(tmp_path), "-o", str(target), "--title", "\udcff"]) == 0
    page = Page(target.read_text(encoding="utf-8"))
    assert "two" in page.text
    assert r"<title>\udcff</title>" in target.read_text(encoding="utf-8")


@pytest.mark.parametrize("evil", [EVIL, QUOTES])
def test_names_commands_and_reasons_are_shown_as_text(tmp_path, evil):
    for optimizer in (f"A{evil}", "SGD"):
        for problem in (f"p{evil}", "acme"):
            safe = optimizer.encode().hex()[:8] + problem.encode().hex()[:8]
            write_result(
                tmp_path / safe,
                problem=problem,
                optimizer=optimizer,
                command=f"deepobs run {evil}",
                device=evil,
                versions={evil: evil},
                hardware={"processor": evil},
                hyperparameters={evil: 1},
            )
    write_failure(tmp_path, message=f"ValueError: {evil}")
    html = report(load(tmp_path), title=f"T{evil}")
    page = Page(html)
    assert [attributes for tag, attributes in page.elements if tag == "script"] == [{}]
    assert page.named("img") == []
    assert not any(name.startswith("on") for _, each in page.elements for name in each)
    for shown in (f"T{evil}", f"p{evil}", f"A{evil}", f"deepobs run {evil}", f"Error: {evil}"):
        assert " ".join(shown.split()) in page.text


def test_characters_that_disguise_a_command_are_spelt_out(tmp_path):
    write_result(tmp_path, optimizer="SGD", command="deepobs run \u202emr\x1b[2J")
    html = report(load(tmp_path))
    assert not {"\u202e", "\x1b"} & set(html)
    assert r"deepobs run \u202emr\x1b[2J" in Page(html).text


def test_a_reference_set_is_named_as_such(tmp_path):
    write_grid(tmp_path / "own", "one", optimizers=("SGD",))
    write_grid(tmp_path / "theirs", "one", optimizers=("Adam",))
    target = tmp_path / "page" / "report.html"
    words = ["report", str(tmp_path / "own"), "--reference", str(tmp_path / "theirs")]
    assert main([*words, "-o", str(target)]) == 0
    text = Page(target.read_text(encoding="utf-8")).text
    assert "SGD and Adam (in theirs) were compared on 1 test problem" in text
    assert "Optimizers marked (in theirs) belong to a reference set." in text
    assert list(target.parent.iterdir()) == [target]


def test_the_command_says_where_the_report_is(tmp_path, capsys):
    write_grid(tmp_path / "own", "one", optimizers=("SGD",))
    target = tmp_path / "report.html"
    assert main(["report", str(tmp_path / "own"), "-o", str(target), "--title", "Mine"]) == 0
    assert capsys.readouterr().out == f"The report is in {target}.\n"
    assert "<title>Mine</title>" in target.read_text(encoding="utf-8")


def test_a_report_of_runs_that_never_measured_the_test_set_says_so(tmp_path):
    write_result(tmp_path, problem="acme", test_losses=[1, 1], test_accuracies=[0.1, 0.2])
    write_result(tmp_path, problem="acme", optimizer="Adam", test_losses=[1, 1])
    (tmp_path / "acme" / "SGD").rename(tmp_path / "elsewhere")
    results = load(tmp_path)
    alone = results.only(optimizers=["Adam"])
    assert "none measured the test set" in Page(report(alone)).text


def test_every_figure_is_well_formed(html):
    for svg in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL):
        assert ET.fromstring(svg).get("viewBox")  # noqa: S314 # our own
