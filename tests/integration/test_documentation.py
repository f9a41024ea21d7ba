"""The documentation does what it says, and nothing in it leads nowhere."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import TYPE_CHECKING

import documents
import pytest
from document_runs import Run, words_of_deepobs

if TYPE_CHECKING:
    from documents import Block

RUN_ELSEWHERE = {  # page -> what runs it
    "README.md": "tests/integration/test_readme.py",
    "docs/reference/gallery.md": "docs/extensions/gallery.py",
    "docs/tutorials/new_problem.md": "tests/integration/test_newcomer.py",
}
OWN_TEXT = "To be, or not to be.\n" * 600
GIVEN = {  # what pages take for granted, as blocks of a page
    "packages/deepobs-analysis/README.md": """
```bash
deepobs run digits_logreg SGD --lr 0.1 --epochs 2 --seed 1 --seed 2
```
""",
    "packages/deepobs-text/README.md": f"<!-- file: my.txt -->\n```text\n{OWN_TEXT}```\n",
}
MOST_NOT_RUN = {  # largest number of blocks for each reason
    "TensorFlow 1": 3,
    "installs packages": 16,
    "needs a network": 5,
    "needs a cluster": 2,
    "takes hours": 3,
    "opens an editor": 0,
}
LANGUAGES = {"bash", "python", "toml", "yaml", "json", "text", "latex"}
PAGES = documents.pages()
RUN_HERE = [page for page in PAGES if documents.name_of(page) not in RUN_ELSEWHERE]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def code_of(page: Path) -> list[Block]:
    """The blocks of a page, without the directives by which Sphinx builds parts of it."""
    return [one for one in documents.blocks(text_of(page)) if not one.language.startswith("{")]


# What the pages say


@pytest.mark.parametrize("page", RUN_HERE, ids=documents.name_of)
def test_the_code_of_a_page_runs_as_it_stands(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPOBS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("MPLBACKEND", "agg")  # nobody closes a window here
    directory = tmp_path / "page"
    directory.mkdir()
    name = documents.name_of(page)
    reader = Run(name, directory)
    reader.read(GIVEN.get(name, ""))
    reader.read(text_of(page))


def test_pages_that_are_run_elsewhere_are_run_there() -> None:
    for page, place in RUN_ELSEWHERE.items():
        assert documents.ROOT / page in PAGES
        assert Path(page).stem in text_of(documents.ROOT / place)


@pytest.mark.parametrize("page", PAGES, ids=documents.name_of)
def test_code_is_in_blocks_of_a_known_language(page: Path) -> None:
    for block in code_of(page):
        assert block.language in LANGUAGES, f"line {block.line}: {block.language!r}"
    assert documents.indented_code(text_of(page)) == [], "this code would not be run"


def test_little_code_is_not_run_and_all_of_it_for_a_known_reason() -> None:
    reasons = [
        (documents.name_of(page), block.reason)
        for page in PAGES
        for block in code_of(page)
        if block.reason is not None
    ]
    for page, reason in reasons:
        assert reason in documents.REASONS, f"{page}: {reason}"
    counted = collections.Counter(reason for _, reason in reasons)
    assert all(counted[reason] <= most for reason, most in MOST_NOT_RUN.items()), counted


# Where they lead


@pytest.mark.parametrize("page", PAGES, ids=documents.name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in documents.links(text_of(page)):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in documents.anchors(text_of(target)), link


def test_every_page_is_in_a_table_of_contents() -> None:
    listed = {documents.DOCS / "index.md"}
    for page in PAGES:
        for block in documents.blocks(text_of(page)):
            if block.language == "{toctree}":
                listed |= {entry_of(page, line) for line in entries(block)}
    written = {page for page in PAGES if page.is_relative_to(documents.DOCS)}
    assert listed == written


def entries(block: Block) -> list[str]:
    lines = (line.strip() for line in block.code.splitlines())
    return [line for line in lines if line and not line.startswith(":")]


def entry_of(page: Path, line: str) -> Path:
    name = line.rpartition("<")[2].rstrip(">")
    return (page.parent / name).with_suffix(".md").resolve()


# How pages are read


PAGE = """
# A page

<!-- file: settings.toml -->
```toml
lr = 0.1
```

Text with `[no](link)` and [a link](other.md#part-two).

```bash
deepobs list problems   # all
deepobs run two_d_beale SGD \\
    --lr 0.1 | tail -n 1
```

<!-- not run: takes hours -->
```bash
deepobs run imagenet_vgg16 SGD --lr 0.1
```

## Part `two`
"""


def test_a_page_is_taken_apart() -> None:
    saved, run, not_run = documents.blocks(PAGE)
    assert (saved.file, saved.code) == ("settings.toml", "lr = 0.1\n")
    assert (run.language, run.line, run.file, run.reason) == ("bash", 12, None, None)
    assert not_run.reason == "takes hours"
    assert documents.links(PAGE) == ["other.md#part-two"]
    assert documents.anchors(PAGE) == {"a-page", "part-two"}
    assert documents.indented_code("So:\n\n    deepobs list\n") == ["deepobs list"]
    assert documents.indented_code("- one\n\n    more of it\n") == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("deepobs list problems   # all", ["list", "problems"]),
        ('deepobs bench a.toml --only "seed=4*"', ["bench", "a.toml", "--only", "seed=4*"]),
        ("deepobs tune --space 'betas[0]=0.1,0.2'", ["tune", "--space", "betas[0]=0.1,0.2"]),
        ("deepobs list | head", None),
        ("deepobs table $RESULTS", None),
        ("deepobs table results*", None),
        ("python script.py", None),
    ],
)
def test_only_plain_commands_are_run_without_a_shell(line: str, words: list[str] | None) -> None:
    assert words_of_deepobs(line) == words


@pytest.mark.parametrize(
    "code",
    [
        "```bash\ndeepobs list nonsense\n```\n",
        "```bash\nfalse\n```\n",
        "```python\nassert 1 == 2\n```\n",
        "```toml\nlr = \n```\n",
    ],
)
def test_a_block_that_fails_is_named(tmp_path: Path, code: str) -> None:
    with pytest.raises(AssertionError, match=r"page\.md, the (bash|python|toml) in line 2"):
        Run("page.md", tmp_path).read(code)
