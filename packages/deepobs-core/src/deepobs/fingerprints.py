"""Fingerprints of code that no release vouches for, such as an optimizer under development.

A fingerprint covers what a component refers to, however indirectly: its class, bases, helper
functions and constants. The rest of a script or notebook does not count: editing the lines that
start a run leaves its results valid. Comments and formatting do not count either.
"""

from __future__ import annotations

import ast
import builtins
import collections
import contextlib
import functools
import hashlib
import importlib.util
import inspect
import linecache
import symtable
import sys
import sysconfig
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Their versions are in every record, but in no identity: a run is not repeated for a new torch.
_RECORDED_ANYWAY = {"torch", "numpy", "deepobs"} | {
    f"deepobs_{name}" for name in ("analysis", "bench", "testing", "text", "vision")
}
_SCALARS = (type(None), bool, int, float, complex, str, bytes, type(...))
_STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))
_INSTALLED = {"site-packages", "dist-packages"}


def fingerprint(*components: object) -> str:
    """Hash the code that components execute and no release vouches for.

    Args:
        components: Classes or functions.

    Returns:
        Eight hexadecimal digits; empty if all of the code belongs to torch, to DeepOBS or to the
        standard library. Other installed packages count by name and version.
    """
    known = _known.get(components)
    # A helper may be redefined in a notebook while the class that calls it stays the same object.
    if known is None or not known.is_current():
        known = _known[components] = _Walk()
        for component in components:
            known.visit(component)
    if not known.parts:
        return ""
    return hashlib.sha256("\n".join(known.parts).encode()).hexdigest()[:8]


def is_released(function: Any) -> bool:
    """Whether a function belongs to an installed release, of whatever package."""
    function = inspect.unwrap(function)
    return _release_of(function.__module__, function) is not None


@dataclass
class _Walk:
    """What was found on the way from some components along the names in their code.

    Attributes:
        parts: Texts to hash, in the order in which the code refers to them.
        bindings: The values that names had: the fingerprint is current while they still do.
    """

    parts: list[str] = field(default_factory=list)
    bindings: list[tuple[Mapping[str, Any], str, object]] = field(default_factory=list)
    _visited: dict[int, object] = field(default_factory=dict)

    def is_current(self) -> bool:
        """Whether every name still stands for what it stood for."""
        return all(scope.get(name) is value for scope, name, value in self.bindings)

    def visit(self, value: Any) -> None:
        """Add the code of a class, function or method, or a constant."""
        value = inspect.unwrap(value) if isinstance(value, FunctionType) else value
        # Scalars are compared by value: two equal ones may or may not be one object.
        if isinstance(value, _SCALARS):
            self.parts.append(repr(value))
            return
        if id(value) in self._visited:
            return
        self._visited[id(value)] = value  # kept alive, so that its id stays its own
        if isinstance(value, (type, FunctionType)):
            release = _release_of(value.__module__, value)
            if release is not None:
                self._add_once(release)
            elif isinstance(value, type):
                self._visit_class(value)
            else:
                self._visit_function(value)
        else:
            self._visit_object(value)

    def _visit_class(self, cls: type) -> None:
        bases = [one for one in cls.__mro__ if _release_of(one.__module__, one) is None]
        definitions = [(one, _definition_of_class(one)) for one in bases]
        for base, node in definitions:
            self._visited[id(base)] = base
            # Without source, such as in `exec`: bases and members tell what there is.
            names = [one.__qualname__ for one in base.__bases__]
            self.parts.append(ast.unparse(node) if node else f"class {base.__name__}({names})")
        for base, node in definitions:
            for above in base.__bases__:
                self.visit(above)
            functions = list(_functions_of(base))
            scope = _scope_of(base, functions)
            if node is not None:
                self._visit_names(node, scope)
            is_local = "<locals>" in base.__qualname__
            for name, member in vars(base).items():
                self.bindings.append((vars(base), name, member))
                # What an enclosing function puts into a class is not in the text of the class.
                if (node is None or is_local) and not _is_part_of_any_class(name, member):
                    self.parts.append(f"{name}:")
                    self.visit(member)
            for function in functions:
                if node is None or not _contains(node, function.__code__):
                    self._visit_function(function)
                elif is_local:
                    self._visit_defaults(function)

    def _visit_function(self, function: FunctionType) -> None:
        node = _definition_of_code(function.__code__)
        scope = _scope_of(function, [function])
        if node is not None:
            self.parts.append(ast.unparse(node))
            self._visit_names(node, scope)
        else:
            self.parts.append(f"{function.__qualname__}: {_text_of_code(function.__code__)}")
            self._visit_names_of_code(function.__code__, scope)
        if node is None or "<locals>" in function.__qualname__:
            self._visit_defaults(function)

    def _visit_defaults(self, function: FunctionType) -> None:
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self.visit(default)

    def _visit_names(self, node: ast.AST, scope: Mapping[str, Any]) -> None:
        """Visit what the global names in some code stand for."""
        wanted = _attributes_by_name(node)
        for name in sorted(_global_names(ast.unparse(node))):
            self._visit_name(name, scope, wanted.get(name, {()}))
        package = str(scope.get("__package__") or "")
        for module, name in _imports_inside(node, package):
            self._visit_import(module, name)

    def _visit_names_of_code(self, code: CodeType, scope: Mapping[str, Any]) -> None:
        names = set(code.co_names) | set(code.co_freevars)
        for name in sorted(names & scope.keys()):
            value = scope[name]
            chains: set[tuple[str, ...]] = {()}
            if isinstance(value, ModuleType):
                chains = {(one,) for one in names if one in vars(value)} or chains
            self._visit_name(name, scope, chains)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._visit_names_of_code(constant, scope)

    def _visit_name(
        self, name: str, scope: Mapping[str, Any], chains: set[tuple[str, ...]]
    ) -> None:
        if name not in scope:
            return  # a builtin, or a name that only annotations use
        value = scope[name]
        self.bindings.append((scope, name, value))
        if isinstance(value, ModuleType):
            for chain in sorted(chains):
                self._visit_module(value, chain)
        elif isinstance(value, (type, FunctionType)):
            if value.__name__ != name:
                self.parts.append(f"{name} is {value.__qualname__}")
            self.visit(value)
        elif _is_plain(value):
            self.parts.append(f"{name} = {value!r}")
        else:
            if id(value) in self._visited:
                return
            statements = _statements_that_set(name, scope)
            if statements:
                self._visited[id(value)] = value
            # Code as written, rather than the value: a dictionary may be a cache that fills.
            self.parts += map(ast.unparse, statements)
            for statement in statements:
                self._visit_names(statement, scope)
            if not statements:
                self.parts.append(f"{name}:")
                self.visit(value)

    def _visit_module(self, module: ModuleType, chain: tuple[str, ...]) -> None:
        release = _release_of(module.__name__)
        if release is not None:
            self._add_once(release)
        elif chain and chain[0] in vars(module):
            self._visit_name(chain[0], vars(module), {chain[1:]})
        elif id(module) not in self._visited:
            self._visited[id(module)] = module
            self._visit_file(getattr(module, "__file__", None))
            for name, value in sorted(vars(module).items()):
                if isinstance(value, (type, FunctionType, ModuleType)):
                    self._visit_name(name, vars(module), {()})

    def _visit_import(self, name: str, attribute: str) -> None:
        """Visit what a function imports when it is called."""
        module = sys.modules.get(name)
        if module is not None:
            self._visit_module(module, (attribute,) if attribute else ())
            return
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return
        if spec is not None and spec.origin and _release_of_file(name, spec.origin) is None:
            self._visit_file(spec.origin)

    def _visit_file(self, file: str | None) -> None:
        if file is None:
            return
        try:
            content = Path(file).read_bytes()
        except OSError:
            return
        try:
            self._add_once(ast.unparse(ast.parse(content)))
        except (SyntaxError, ValueError):  # compiled
            self._add_once(hashlib.sha256(content).hexdigest())

    def _visit_object(self, value: Any) -> None:
        if isinstance(value, MethodType):
            self.visit(value.__func__)
            self.visit(value.__self__)
        elif isinstance(value, functools.partial):
            for one in (value.func, value.args, value.keywords):
                self.visit(one)
        elif isinstance(value, (list, tuple)):
            for one in value:
                self.visit(one)
        elif isinstance(value, dict):
            for key, one in value.items():
                self.visit(key)
                self.visit(one)
        elif isinstance(value, (set, frozenset)):
            self.parts += sorted(map(repr, value))
        elif hasattr(value, "tolist"):  # of arrays and tensors
            self.parts.append(repr(value.tolist()))
        else:
            self.parts.append(f"{type(value).__module__}.{type(value).__qualname__}")
            self.visit(type(value))
            if _release_of(type(value).__module__) is None:
                self.visit(dict(getattr(value, "__dict__", {})))

    def _add_once(self, part: str) -> None:
        if part and part not in self.parts:
            self.parts.append(part)


_known: dict[tuple[object, ...], _Walk] = {}


def _is_plain(value: object) -> bool:
    """Whether a value is a number, a text or a tuple of those."""
    if isinstance(value, (tuple, frozenset)):
        return all(map(_is_plain, value))
    return isinstance(value, _SCALARS)


def _is_part_of_any_class(name: str, member: object) -> bool:
    is_dunder = name.startswith("__") and name.endswith("__")
    return is_dunder or not (_is_plain(member) or isinstance(member, (list, dict, set)))


def _release_of(module: str | None, value: object = None) -> str | None:
    """What vouches for a module: `name==version` or nothing to record; `None` for own code."""
    if module in (None, "__main__"):  # `None` in `exec`
        return None
    # The module of a class that `exec` makes without a name for its scope.
    if module == "builtins" and value is not None:
        return "" if getattr(builtins, getattr(value, "__name__", ""), None) is value else None
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return "" if module.partition(".")[0] in sys.stdlib_module_names else None
    return _release_of_file(module, file)


@functools.cache
def _release_of_file(module: str, file: str) -> str | None:
    package = module.partition(".")[0]
    if package in _RECORDED_ANYWAY:
        return ""
    path = Path(file)
    if _INSTALLED.isdisjoint(path.parts):
        return "" if path.is_relative_to(_STANDARD_LIBRARY) else None
    names = metadata.packages_distributions().get(package)
    if not names:
        return None  # copied there by hand
    return " ".join(f"{name}=={metadata.version(name)}" for name in sorted(set(names)))


def _functions_of(cls: type) -> Iterator[FunctionType]:
    for member in vars(cls).values():
        parts = [member.fget, member.fset] if isinstance(member, property) else [member]
        for part in parts:
            function = getattr(part, "__func__", part)  # of class and static methods
            function = getattr(function, "func", function)  # of cached properties
            if isinstance(function, FunctionType):
                function = inspect.unwrap(function)
            if (
                isinstance(function, FunctionType)
                and _release_of(function.__module__, function) is None
            ):
                yield function


def _scope_of(owner: Any, functions: list[FunctionType]) -> Mapping[str, Any]:
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


def _definition_of_code(code: CodeType) -> ast.AST | None:
    tree = _tree_of(code)
    found = [
        node
        for node in (ast.walk(tree) if tree is not None else ())
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        and _first_line(node) == code.co_firstlineno
        and getattr(node, "name", "<lambda>") == code.co_name
    ]
    return found[0] if len(found) == 1 else None  # two lambdas on one line cannot be told apart


def _definition_of_class(cls: type) -> ast.AST | None:
    codes = [one.__code__ for one in _functions_of(cls)]
    own = [code for code in codes if code.co_qualname == f"{cls.__qualname__}.{code.co_name}"]
    if not own:
        return None
    found = [
        node
        for node in ast.walk(_tree_of(own[0]) or ast.Module([], []))
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__ and _contains(node, own[0])
    ]
    return found[-1] if found else None  # the innermost


def _first_line(node: Any) -> int:
    first: int = (getattr(node, "decorator_list", None) or [node])[0].lineno
    return first


def _contains(node: Any, code: CodeType) -> bool:
    is_inside = _first_line(node) <= code.co_firstlineno <= node.end_lineno
    return is_inside and _definition_of_code(code) in list(ast.walk(node))


def _text_of_code(code: CodeType) -> str:
    """The code itself, where there is no source. It depends on the version of Python."""
    constants = [
        _text_of_code(one)
        if isinstance(one, CodeType)
        else repr(sorted(map(repr, one)) if isinstance(one, frozenset) else one)
        for one in code.co_consts
    ]
    names = [code.co_names, code.co_varnames, code.co_freevars]
    return f"{code.co_code.hex()} {constants} {names}"


def _global_names(source: str) -> set[str]:
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


def _attributes_by_name(node: ast.AST) -> dict[str, set[tuple[str, ...]]]:
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


def _imports_inside(node: ast.AST, package: str) -> Iterator[tuple[str, str]]:
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


def _statements_that_set(name: str, scope: Mapping[str, Any]) -> list[ast.stmt]:
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
