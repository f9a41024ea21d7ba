"""Book One of War and Peace, which comes with the package."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

import deepobs_text
from deepobs.errors import CorruptDataError
from deepobs.plugins import registry
from deepobs_text import tolstoi_excerpt

if TYPE_CHECKING:
    from types import ModuleType

PACKED = Path(deepobs_text.__file__).with_name(tolstoi_excerpt.FILE_NAME)
TOOL = Path(__file__).resolve().parents[2] / "tools/bundle_excerpt.py"


def excerpt() -> Any:
    """The class of the data set."""
    return registry().datasets.load("tolstoi_excerpt")


def bundling() -> ModuleType:
    """The script that writes the file of the package."""
    spec = importlib.util.spec_from_file_location("bundle_excerpt", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_there_without_a_download(data_dir: Path) -> None:
    assert excerpt().status(data_dir).state == "embedded"
    assert excerpt().verify(data_dir).detail == "comes with deepobs-text, nothing to download"
    dataset = excerpt()(12, device="cpu", sequence_length=64, validation_size=20000)
    assert not data_dir.exists()
    assert not dataset.is_fake
    assert dataset.num_symbols == len(dataset.vocabulary) == 76
    sizes = dataset.split_sizes
    assert (sizes["train"], sizes["valid"], sizes["test"]) == (197252, 20000, 54313)
    assert sizes["train_eval"] == 54313


def test_it_is_the_whole_first_book(data_dir: Path) -> None:
    splits = excerpt().load(data_dir)
    assert (len(splits.train[0]), len(splits.test[0])) == (217252, 54313)
    ids = torch.cat([*splits.train, *splits.test]).tolist()
    text = "".join(splits.vocabulary[number] for number in ids)
    assert text.startswith('CHAPTER I\n\n"Well, Prince, so Genoa and Lucca')
    assert text.endswith("and slammed\nthe door.\n")
    assert text.count("\nCHAPTER ") == 27
    assert "\r" not in text
    assert "Gutenberg" not in text
    counts = torch.tensor(ids).bincount()
    assert (counts.diff() <= 0).all()
    assert splits is excerpt().load(data_dir), "encoded once for all runs of a process"


def test_its_file_is_small() -> None:
    assert PACKED.stat().st_size < 110_000


def test_its_file_is_what_the_script_writes(shared_dir: Path) -> None:
    tool = bundling()
    text = tool.excerpt(shared_dir / "data/war-and-peace.txt.gz")
    content = tool.packed(text)
    assert content == tool.packed(text)
    assert content[4:8] == bytes(4), "no time of writing"
    # Not the compressed bytes, which differ between versions of zlib.
    assert gzip.decompress(content) == gzip.decompress(PACKED.read_bytes())


def test_another_text_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("It was a dark and stormy night.\n" * 9, encoding="utf-8")
    monkeypatch.setattr(tolstoi_excerpt, "_path", lambda: other)
    tolstoi_excerpt._book_one.cache_clear()
    try:
        with pytest.raises(CorruptDataError, match=r"other.txt is corrupt.*install deepobs-text"):
            excerpt().verify(tmp_path)
    finally:
        tolstoi_excerpt._book_one.cache_clear()


def test_it_has_a_synthetic_twin() -> None:
    splits = excerpt().make_fake(0.5)
    assert splits.num_symbols == 76
    assert (len(splits.train[0]), len(splits.test[0])) == (108626, 27156)
