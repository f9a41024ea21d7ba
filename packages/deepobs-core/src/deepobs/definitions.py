"""Definitions in source files and notebooks: the syntax trees of classes and functions, and names.

Used by `deepobs.fingerprints`. Source is believed only where it compiles to the code that runs.
"""

from __future__ import annotations

import ast
import collections
import contextlib
import functools
import importlib.util
import linecache
import symtable
import sys
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def scope_of(owner: Any, functions: list[FunctionType]) -> Mapping[str, Any]:
    """What names in the code of a class or function can refer to."""
    module = vars(sys.modules[owner.__module__]) if owner.__module__ in sys.modules else {}
    scope = functions[0].__globals__ if functions else module
    cells = {}
    for function in functions:
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            with contextlib.suppress(ValueError):  # still empty
                cells[name] = cell.cell_contents
    cells.pop("__class__", None)
    return collections.ChainMap(cells, scope) if cells else scope


@functools.lru_cache(maxsize=256)
def _parsed(source: str, file: str) -> tuple[ast.Module, frozenset[CodeType]] | None:
    """The syntax tree of a file and the code objects that it compiles to."""
    try:
        tree = ast.parse(source)
        # Notebooks compile each statement on its own, which gives other bytecode: the compiler does
        # not see then which names are modules.
        units = [tree, *(ast.Module([statement], []) for statement in tree.body)]
        compiled = [compile(unit, file, "exec", dont_inherit=True) for unit in units]
        codes = frozenset(code for unit in compiled for code in _nested(unit))
    except (SyntaxError, ValueError):
        return None
    return tree, codes


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _tree_of(code: CodeType) -> ast.Module | None:
    """The tree of the file that code comes from, if it still says what was compiled.

    A file that was edited after its import would describe other code than the run executes.
    """
    linecache.checkcache(code.co_filename)
    parsed = _parsed("".join(linecache.getlines(code.co_filename)), code.co_filename)
    return parsed[0] if parsed is not None and code in parsed[1] else None


def definition_of_code(code: CodeType) -> ast.AST | None:
    """The syntax tree of a function, given its code; `None` without source."""
    tree = _tree_of(code)
    found = [
        node
        for node in (ast.walk(tree) if tree is not None else ())
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        and _first_line(node) == code.co_firstlineno
        and getattr(node, "name", "<lambda>") == code.co_name
    ]
    return found[0] if len(found) == 1 else None  # two lambdas on one line cannot be told apart


def definition_of_class(cls: type, functions: Iterable[FunctionType]) -> ast.AST | None:
    """The syntax tree of a class, found by its functions; `None` without source or functions."""
    codes = [one.__code__ for one in functions]
    own = [code for code in codes if code.co_qualname == f"{cls.__qualname__}.{code.co_name}"]
    if not own:
        return None
    found = [
        node
        for node in ast.walk(_tree_of(own[0]) or ast.Module([], []))
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__ and contains(node, own[0])
    ]
    return found[-1] if found else None  # the innermost


def _first_line(node: Any) -> int:
    first: int = (getattr(node, "decorator_list", None) or [node])[0].lineno
    return first


def contains(node: Any, code: CodeType) -> bool:
    """Whether the code of a function is part of a definition."""
    is_inside = _first_line(node) <= code.co_firstlineno <= node.end_lineno
    return is_inside and definition_of_code(code) in list(ast.walk(node))


def text_of(node: ast.AST) -> str:
    """The text of code without comments, formatting and docstrings, unless it reads those."""
    text = ast.unparse(node)
    if "__doc__" in text:
        return text
    tree = ast.parse(text)  # a copy: the tree of a file is shared
    for one in ast.walk(tree):
        if isinstance(one, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Module)):
            first = one.body[0] if one.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                one.body = one.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def text_of_code(code: CodeType) -> str:
    """The code itself, where there is no source. It depends on the version of Python."""
    constants = [
        text_of_code(one)
        if isinstance(one, CodeType)
        else repr(sorted(map(repr, one)) if isinstance(one, frozenset) else one)
        for one in code.co_consts
    ]
    names = [code.co_names, code.co_varnames, code.co_freevars]
    return f"{code.co_code.hex()} {constants} {names}"


def global_names(source: str) -> set[str]:
    """The names in a definition that it does not define itself."""
    found: set[str] = set()
    try:
        tables = [symtable.symtable(source, "definition", "exec")]
    except SyntaxError:  # `nonlocal`, in a function that is parsed without the one around it
        return {one.id for one in ast.walk(ast.parse(source)) if isinstance(one, ast.Name)}
    is_outermost = True
    while tables:
        table = tables.pop()
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (is_outermost or symbol.is_global()):
                found.add(symbol.get_name())
        tables += table.get_children()
        is_outermost = False
    return found


def attributes_by_name(node: ast.AST) -> dict[str, set[tuple[str, ...]]]:
    """The attributes that code reads of each name, as chains; the empty chain is the name alone."""
    found: dict[str, set[tuple[str, ...]]] = {}
    inner = set()
    for one in ast.walk(node):  # outer nodes come first
        if one in inner:
            continue
        chain: list[str] = []
        while isinstance(one, ast.Attribute):
            chain.insert(0, one.attr)
            one = one.value
            inner.add(one)
        if isinstance(one, ast.Name):
            found.setdefault(one.id, set()).add(tuple(chain))
    return found


def imports_inside(node: ast.AST, package: str) -> Iterator[tuple[str, str]]:
    """The modules that code imports when it is executed, with what it takes from them, or ""."""
    for one in ast.walk(node):
        if isinstance(one, ast.Import):
            yield from ((alias.name, "") for alias in one.names)
        elif isinstance(one, ast.ImportFrom):
            relative = "." * one.level + (one.module or "")
            try:
                name = importlib.util.resolve_name(relative, package)
            except ImportError:
                continue
            yield from ((name, alias.name) for alias in one.names)


def statements_that_set(name: str, scope: Mapping[str, Any]) -> list[ast.stmt]:
    """The statements of a module, or the cells of a notebook, that assign a global name."""
    file = scope.get("__file__")
    cells = ["".join(linecache.getlines(str(file)))] if file else scope.get("_ih", [])
    parsed = [_parsed(str(cell), str(file or "<cell>")) for cell in cells]
    return [
        statement
        for one in parsed
        if one is not None
        for statement in one[0].body
        if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign))
        and any(
            isinstance(node, ast.Name) and node.id == name
            for target in _targets(statement)
            for node in ast.walk(target)
        )
    ]


def _targets(statement: Any) -> list[ast.expr]:
    return getattr(statement, "targets", None) or [statement.target]
