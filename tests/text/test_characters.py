"""Characters as numbers."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from deepobs_text.text_dataset import encode

if TYPE_CHECKING:
    from pathlib import Path


def test_the_more_frequent_character_has_the_smaller_id() -> None:
    ids, vocabulary = encode("abbccc")
    assert vocabulary == ("c", "b", "a")
    assert (ids.tolist(), ids.dtype) == ([2, 1, 1, 0, 0, 0], np.int64)


def test_equally_frequent_characters_are_numbered_as_they_appear() -> None:
    assert encode("zzaammb").vocabulary == ("z", "a", "m", "b")
    assert encode("bmmaazz").vocabulary == ("m", "a", "z", "b")


def test_characters_of_every_plane_are_one_each() -> None:
    text = "я😀é\U0010ffff\x00😀"
    ids, vocabulary = encode(text)
    assert vocabulary == ("😀", "я", "é", "\U0010ffff", "\x00")
    assert "".join(vocabulary[index] for index in ids) == text


def test_a_long_text_is_encoded_as_by_counting_in_python() -> None:
    random = np.random.RandomState(3)
    text = "".join(map(chr, random.geometric(0.02, 20000) + 300))
    ids, vocabulary = encode(text)
    counts = Counter(text)
    assert list(vocabulary) == sorted(counts, key=lambda symbol: -counts[symbol])
    assert "".join(vocabulary[index] for index in ids) == text


def test_ids_and_vocabulary_are_those_of_the_original(shared_dir: Path) -> None:
    recorded = np.load(shared_dir / "reference" / "data_tolstoi.npz")
    facts = json.loads((shared_dir / "reference" / "data.json").read_text(encoding="utf-8"))
    ids, vocabulary = encode(recorded["text_utf8"].tobytes().decode())
    assert list(vocabulary) == facts["tolstoi"]["vocab_in_id_order"]
    assert np.array_equal(ids, np.concatenate([recorded["train"], recorded["test"]]))
