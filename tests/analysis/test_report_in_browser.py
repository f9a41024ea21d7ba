"""The report in a browser, where there is one: what scripts do, and what fits which width."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess

import pytest
from result_files import write_result

from deepobs_analysis import load
from deepobs_analysis.report import report

CHROMIUM = shutil.which("chromium")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to open a page with")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    directory = tmp_path_factory.mktemp("results")
    for problem in ("one", "a_problem_with_a_long_name"):
        for optimizer, final in (("SGD", 9), ("Adam", 10), ("Momentum", 100)):
            for seed in (1, 2, 3):
                write_result(
                    directory,
                    problem=problem,
                    optimizer=optimizer,
                    seed=seed,
                    test_losses=[200, 150, final + seed / 10],
                    test_accuracies=None if problem == "one" else [0.1, 0.5, 1 - final / 200],
                )
    return report(load(directory))


@pytest.fixture
def told(page, tmp_path):
    """What a script tells of the page, in a window of some width."""

    def run(script, width=1280, page=page):
        whole = f"{{{script}\ndocument.title = JSON.stringify(told);}}"
        # The policy of the page lets no script run but those whose hash it has.
        digest = base64.b64encode(hashlib.sha256(whole.encode()).digest()).decode()
        allowed = page.replace("script-src ", f"script-src &#39;sha256-{digest}&#39; ", 1)
        allowed = allowed.replace("</body>", f"<script>{whole}</script></body>")
        (tmp_path / "page.html").write_text(allowed, encoding="utf-8")
        command = [
            *(CHROMIUM, *OPTIONS, f"--user-data-dir={tmp_path / 'profile'}"),
            *(f"--window-size={width},900", "--dump-dom", (tmp_path / "page.html").as_uri()),
        ]
        process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        (title,) = re.findall("<title>(.*?)</title>", process.stdout)
        return json.loads(html.unescape(title))

    return run


def test_tables_are_sorted_by_their_headings_and_filtered_by_words(told):
    assert told("""
      const table = document.querySelector("table.sortable");
      const heading = table.tHead.rows[0].cells[2];
      const names = () => [...table.tBodies[0].rows].filter((row) => row.checkVisibility())
        .map((row) => row.cells[1].textContent).join(" ");
      const filter = document.querySelector("input[type=search]");
      const told = [];
      for (const words of ["one ad", "<b>", "", "one"]) {
        filter.value = words;
        filter.dispatchEvent(new Event("input"));
        told.push(names());
      }
      for (const time of [1, 2]) {
        heading.querySelector("button").click();
        told.push(heading.getAttribute("aria-sort"), names());
      }
      told.push(getComputedStyle(heading).position);
    """) == [
        *("Adam", "", "Adam Momentum SGD Adam Momentum SGD", "Adam Momentum SGD"),
        *("ascending", "SGD Adam Momentum"),
        *("descending", "Momentum Adam SGD"),
        "sticky",
    ]


def test_a_click_hides_or_emphasizes_an_optimizer_in_all_figures(told):
    hidden, shown, emphasized, all_shown = told("""
      const key = [...document.querySelectorAll("button.key")]
        .find((each) => each.textContent.trim() === "Adam");
      const drawn = [...document.querySelectorAll(".panel [data-series]")];
      const state = () => {
        const own = drawn.filter((each) => each.dataset.series === key.dataset.series);
        const other = drawn.filter((each) => each.dataset.series !== key.dataset.series);
        const seen = (each) => getComputedStyle(each).display !== "none";
        const panels = new Set(own.map((each) => each.closest(".panel")));
        return [
          own.length > 10 && panels.size > 8, own.some(seen), other.every(seen),
          other.every((each) => each.matches(".faded")), own.some((each) => each.matches(".faded")),
          document.querySelector(".shown span").textContent,
        ];
      };
      const told = [];
      key.click();
      told.push(state());
      key.click();
      told.push(state());
      key.dispatchEvent(new MouseEvent("dblclick"));
      told.push(state());
      document.querySelector(".shown button").click();
      told.push(state());
    """)
    assert hidden == [True, False, True, False, False, "Hidden: Adam"]
    assert shown == all_shown == [True, True, True, False, False, ""]
    assert emphasized == [True, True, True, True, False, "Emphasized: Adam"]


def test_pointing_at_a_curve_shows_the_values_of_that_epoch(told):
    text, strong = told("""
      const panel = [...document.querySelectorAll(".panel")]
        .find((each) => JSON.parse(each.dataset.panel).y.label === "test loss");
      const svg = panel.querySelector("svg");
      const [left, top, width, height] = JSON.parse(panel.dataset.panel).box;
      const at = (x, y) => {
        const { x: clientX, y: clientY } = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
        return { clientX, clientY, bubbles: true };
      };
      svg.dispatchEvent(new PointerEvent("pointermove", at(left + width * 0.98, top + 5)));
      const tip = document.querySelector(".tip");
      const told = [[...tip.querySelectorAll("b, span")].map((each) => each.textContent)];
      const circle = panel.querySelector("circle");
      const place = at(+circle.getAttribute("cx"), +circle.getAttribute("cy"));
      svg.dispatchEvent(new PointerEvent("pointermove", place));
      svg.dispatchEvent(new MouseEvent("click", place));
      told.push(document.querySelector(".shown span").textContent);
    """)
    # Seeds end at 0.1, 0.2 and 0.3 above whole numbers: the population deviation is 0.0816.
    assert text == [
        *("epoch 2", "Momentum", "100.2 (100.1 to 100.3)"),
        *("Adam", "10.2 (10.12 to 10.28)", "SGD", "9.2 (9.118 to 9.282)"),
    ]
    assert strong == "Emphasized: Momentum"


def test_pointing_at_a_row_names_it_and_its_value(told):
    # The mark of an optimizer in the figure of times; the largest share of the figure of ranks.
    time, rank = told("""
      const pointedAt = (label, chosen) => {
        const panel = [...document.querySelectorAll(".panel")]
          .find((each) => JSON.parse(each.dataset.panel).x.label.startsWith(label));
        const svg = panel.querySelector("svg");
        const { box, x, y, series } = JSON.parse(panel.dataset.panel);
        const { at, row } = chosen(series);
        const [low, high] = x.limits;
        const place = new DOMPoint(
          box[0] + box[2] * (at - low) / (high - low),
          box[1] + box[3] * (row + 0.5) / y.names.length,
        ).matrixTransform(svg.getScreenCTM());
        const { x: clientX, y: clientY } = place;
        svg.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY }));
        return [...document.querySelectorAll(".tip b, .tip span")].map((each) => each.textContent);
      };
      const told = [
        pointedAt("epochs to target", (series) => {
          const own = series.find((each) => each.name === "SGD");
          return { at: own.x[0], row: own.y[0] };
        }),
        pointedAt("share of problems and", ([first]) => ({ at: first.x[0], row: 0 })),
      ];
    """)
    assert time == ["epochs to target 2", "SGD", ""]
    assert rank == ["SGD", "rank 1", "1.00"]


def test_pointing_at_a_cell_names_its_hyperparameters_and_its_value(told, tmp_path):
    for lr in (0.1, 1.0):
        for momentum in (0.0, 0.9):
            for seed in (1, 2, 3):
                write_result(
                    tmp_path / "results",
                    lr=lr,
                    hyperparameters={"momentum": momentum},
                    seed=seed,
                    test_losses=[200, 150, 10 * lr + momentum + seed / 10],
                )
    page = report(load(tmp_path / "results"))
    found = told(
        """
      const panel = [...document.querySelectorAll(".panel")]
        .find((each) => JSON.parse(each.dataset.panel).y.label === "momentum");
      const svg = panel.querySelector("svg");
      const [left, top, width, height] = JSON.parse(panel.dataset.panel).box;
      const place = new DOMPoint(left + width * 0.6, top + height * 0.2);
      const { x: clientX, y: clientY } = place.matrixTransform(svg.getScreenCTM());
      svg.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY }));
      const texts = [...document.querySelectorAll(".tip b, .tip span")];
      const told = [texts.map((each) => each.textContent), panel.querySelectorAll(".guide").length];
    """,
        page=page,
    )
    assert found == [["", "lr = 1, momentum = 0.9", "11.100 ± 0.082"], 0]


def test_light_and_dark_are_switched_for_the_page_and_its_figures(told):
    light, dark, again = told("""
      const button = document.querySelector(".tools button");
      const line = document.querySelector(".panel [data-series] path");
      const told = [1, 2, 3].map(() => {
        const colors = [document.body, line, document.querySelector(".panel text")]
          .map((each, place) => {
            return getComputedStyle(each)[["backgroundColor", "stroke", "fill"][place]];
          });
        button.click();
        return colors.join(" ");
      });
    """)
    assert light == again
    assert light.startswith("rgb(255, 255, 255)")
    assert not {*light.split(" rgb")} & {*dark.split(" rgb")}


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
def test_nothing_is_cut_off_and_figures_use_the_width(told, width):
    wide, cut, sizes, columns = told(
        """
        const cut = [];
        for (const panel of document.querySelectorAll(".panel")) {
          const outer = panel.querySelector("svg").getBoundingClientRect();
          const box = panel.getBoundingClientRect();
          for (const text of panel.querySelectorAll("text")) {
            const { left, right, top, bottom } = text.getBoundingClientRect();
            const isIn = left >= box.left - 2 && right <= box.right + 2
              && top >= outer.top - 2 && bottom <= outer.bottom + 2;
            if (!isIn) cut.push(text.textContent);
          }
        }
        for (const key of document.querySelectorAll(".key, figcaption, .notes, p, h2")) {
          if (key.getBoundingClientRect().right > innerWidth) cut.push(key.textContent);
        }
        const figure = document.querySelector("figure.panels-4");
        const panels = [...figure.querySelectorAll(".panel")].map((e) => e.getBoundingClientRect());
        const told = [
          document.documentElement.scrollWidth <= innerWidth, cut,
          panels.map((each) => Math.round(each.height)),
          panels.filter((each) => each.top === panels[0].top).length,
        ];
        """,
        width=width,
    )
    assert (wide, cut) == (True, [])
    assert min(sizes) > 140
    assert columns == {390: 1, 768: 2, 1280: 4, 1920: 4}[width]


def test_headings_of_tables_hold_long_names(told, tmp_path):
    for problem in ("one", "two"):
        for optimizer in ("SGD", "Momentum + CosineAnnealingWarmRestarts"):
            write_result(
                tmp_path / "results", problem=problem, optimizer=optimizer, label=optimizer
            )
    script = """
      const told = [...document.querySelectorAll("th")]
        .filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.textContent);
    """
    assert told(script, page=report(load(tmp_path / "results"))) == []
