"""The report in a browser, where there is one: tables sort, nothing is wider than a phone."""

from __future__ import annotations

import base64
import hashlib
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
# Sorts the first table by its column of performances, twice, and writes down what became of it.
SCRIPT = """
const table = document.querySelector("table.sortable");
const heading = table.tHead.rows[0].cells[2];
const told = [document.documentElement.scrollWidth <= window.innerWidth];
for (const time of [1, 2]) {
  heading.querySelector("button").click();
  told.push(heading.getAttribute("aria-sort"));
  told.push([...table.tBodies[0].rows].map((row) => row.cells[1].textContent).join(" "));
}
document.title = told.join("|");
"""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to open a page with")
def test_tables_sort_and_the_page_is_no_wider_than_a_phone(tmp_path):
    for optimizer, final in (("SGD", 9), ("Adam", 10), ("Momentum", 100)):
        write_result(tmp_path / "results", optimizer=optimizer, test_losses=[200, 150, final])
    # The policy of the page lets no script run but those whose hash it has.
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    page = report(load(tmp_path / "results"))
    page = page.replace("script-src ", f"script-src &#39;sha256-{digest}&#39; ", 1)
    page = page.replace("</body>", f"<script>{SCRIPT}</script></body>")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    command = [
        *(CHROMIUM, *OPTIONS, f"--user-data-dir={tmp_path / 'profile'}"),
        *("--window-size=360,800", "--dump-dom", (tmp_path / "page.html").as_uri()),
    ]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    (title,) = re.findall("<title>(.*?)</title>", process.stdout)
    assert title.split("|") == [
        "true",
        *("ascending", "SGD Adam Momentum"),
        *("descending", "Momentum Adam SGD"),
    ]
