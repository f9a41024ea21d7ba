"""Values in commands: read from the VALUE of NAME=VALUE, and written so that they read the same."""

from __future__ import annotations

import ast
import math
from typing import Any

# Spelled as in TOML and JSON: as text, "false" would count as true.
_BOOLEANS = {"true": True, "false": False}


def read_literal(text: str) -> Any:
    """Read a Python literal, in which `inf` is infinity; anything else is a text."""
    # Literals only, never eval: commands are copied from result files and reports of others.
    try:
        tree = ast.parse(text.lstrip(" \t"), mode="eval")
        return ast.literal_eval(_WithInfinity().visit(tree))
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return _BOOLEANS.get(text.lower(), text)


def written_literal(value: object) -> str:
    """Write a value of JSON as `read_literal` reads it."""
    if not isinstance(value, str):
        return repr(value)
    # Texts stay as they are unless they read as something else, such as "1" or "None".
    is_read_as_itself = isinstance(read_literal(value), str) and read_literal(value) == value
    return value if is_read_as_itself else repr(value)


class _WithInfinity(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.expr:  # the name that ast calls
        return ast.copy_location(ast.Constant(math.inf), node) if node.id == "inf" else node
