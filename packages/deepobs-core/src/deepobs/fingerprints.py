"""Fingerprints of code that no release vouches for, such as an optimizer under development.

A fingerprint covers what a component refers to, however indirectly: its class, bases, helper
functions and constants. The rest of a script or notebook does not count: editing the lines that
start a run leaves its results valid. Comments, formatting and docstrings do not count either; where
there is no source, such as in `exec`, docstrings do.
"""

from __future__ import annotations

import ast
import builtins
import functools
import hashlib
import importlib.util
import inspect
import secrets
import sys
import sysconfig
import warnings
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from deepobs.definitions import (
    attributes_by_name,
    contains,
    definition_of_class,
    definition_of_code,
    global_names,
    imports_inside,
    scope_of,
    statements_that_set,
    text_of,
    text_of_code,
)
from deepobs.errors import PluginWarning, message_of

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
        components: Classes, functions or modules.

    Returns:
        Eight hexadecimal digits; empty if all of the code belongs to torch, to DeepOBS or to the
        standard library. Other installed packages count by name and version. Code that cannot be
        followed gets a new one in every process, with a warning: its results are never reused.
    """
    known = _known.get(components)
    # A helper may be redefined in a notebook while the class that calls it stays the same object.
    if known is None or not known.is_current():
        known = _known[components] = _Walk()
        try:
            for component in components:
                known.visit(component)
        except Exception as error:  # code of one's own may do anything, even to be looked at
            names = ", ".join(getattr(one, "__name__", repr(one)) for one in components)
            warnings.warn(
                f"The code of {names} cannot be followed ({message_of(error)}). Its "
                "results will not be reused: the next process executes its runs again.",
                PluginWarning,
                stacklevel=2,
            )
            known.parts = [secrets.token_hex(8)]
    if not known.parts:
        return ""
    return hashlib.sha256("\n".join(known.parts).encode()).hexdigest()[:8]


def releases(*components: object) -> dict[str, str]:
    """The versions of installed packages in the code of components, by distribution.

    Args:
        components: What `fingerprint` takes.
    """
    fingerprint(*components)
    words = [word for release in _known[components].releases for word in release.split()]
    return dict(word.split("==", 1) for word in words)


def is_installed(file: Path) -> bool:
    """Whether a file was put in place by an installer, wherever that installs."""
    return not _INSTALLED.isdisjoint(file.parts)


def is_released_module(name: str) -> bool:
    """Whether a module belongs to an installed release, of whatever package."""
    return _release_of(name) is not None


def is_released(function: Any) -> bool:
    """Whether a function belongs to an installed release, of whatever package."""
    function = inspect.unwrap(function)
    return _release_of(function.__module__, function) is not None


@dataclass
class _Walk:
    """What was found on the way from some components along the names in their code.

    Attributes:
        parts: Texts to hash, in the order in which the code refers to them.
        releases: Those parts that are names and versions of installed packages.
        bindings: The values that names had: the fingerprint is current while they still do.
    """

    parts: list[str] = field(default_factory=list)
    releases: list[str] = field(default_factory=list)
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
        if isinstance(value, ModuleType):
            self._visit_module(value, ())
            return
        if id(value) in self._visited:
            return
        self._visited[id(value)] = value  # kept alive, so that its id stays its own
        if isinstance(value, (type, FunctionType)):
            release = _release_of(value.__module__, value)
            if release is not None:
                self._add_release(release)
            elif isinstance(value, type):
                self._visit_class(value)
            else:
                self._visit_function(value)
        else:
            self._visit_object(value)

    def _visit_class(self, cls: type) -> None:
        bases = [one for one in cls.__mro__ if _release_of(one.__module__, one) is None]
        definitions = [(one, definition_of_class(one, _functions_of(one))) for one in bases]
        for base, node in definitions:
            self._visited[id(base)] = base
            # Without source, such as in `exec`: bases and members tell what there is.
            names = [one.__qualname__ for one in base.__bases__]
            self.parts.append(text_of(node) if node else f"class {base.__name__}({names})")
        for base, node in definitions:
            for above in base.__bases__:
                self.visit(above)
            functions = list(_functions_of(base))
            scope = scope_of(base, functions)
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
                if node is None or not contains(node, function.__code__):
                    self._visit_function(function)
                elif is_local:
                    self._visit_defaults(function)

    def _visit_function(self, function: FunctionType) -> None:
        node = definition_of_code(function.__code__)
        scope = scope_of(function, [function])
        if node is not None:
            self.parts.append(text_of(node))
            self._visit_names(node, scope)
        else:
            self.parts.append(f"{function.__qualname__}: {text_of_code(function.__code__)}")
            self._visit_names_of_code(function.__code__, scope)
        if node is None or "<locals>" in function.__qualname__:
            self._visit_defaults(function)

    def _visit_defaults(self, function: FunctionType) -> None:
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self.visit(default)

    def _visit_names(self, node: ast.AST, scope: Mapping[str, Any]) -> None:
        """Visit what the global names in some code stand for."""
        wanted = attributes_by_name(node)
        for name in sorted(global_names(ast.unparse(node))):
            self._visit_name(name, scope, wanted.get(name, {()}))
        package = str(scope.get("__package__") or "")
        for module, name in imports_inside(node, package):
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
            statements = statements_that_set(name, scope)
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
            self._add_release(release)
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
            self._add_once(text_of(ast.parse(content)))
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

    def _add_release(self, release: str) -> None:
        self._add_once(release)
        if release and release not in self.releases:
            self.releases.append(release)

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
    if not is_installed(path):
        return "" if path.is_relative_to(_STANDARD_LIBRARY) else None
    names = _distributions_with(package)  # none if it was copied there by hand
    return " ".join(f"{name}=={metadata.version(name)}" for name in names) or None


@functools.cache
def _distributions_with(package: str) -> list[str]:
    return sorted({each.name for each in metadata.distributions() if _has(each, package)})


def _has(distribution: metadata.Distribution, package: str) -> bool:
    # As `packages_distributions()` finds it, which parses the records of all installed files: a
    # second for each run where there are many.
    declared = (distribution.read_text("top_level.txt") or "").split()
    record = "\n" + (distribution.read_text("RECORD") or "")
    is_recorded = f"\n{package}/" in record or f"\n{package}." in record
    return package in declared if declared else is_recorded


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
