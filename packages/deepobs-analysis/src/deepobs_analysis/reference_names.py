"""What optimizers of a reference set are called: "Adam (published)", "Adam (in earlier)"."""

from __future__ import annotations

import re

PUBLISHED = "published"
"""What is said of the results that are published with the paper."""

# From the first of them on: the name of a directory may hold parentheses itself.
_SUFFIX = re.compile(rf" \((?:{PUBLISHED}|in .+)\)$")


def suffix_of(name: str) -> str:
    """The suffix of the name of an optimizer, by which it is one of a reference set, or ""."""
    found = _SUFFIX.search(name)
    return found[0] if found else ""


def bare(name: str) -> str:
    """The name of an optimizer without the suffix of a reference set."""
    return name.removesuffix(suffix_of(name))
