"""The page of the hooks that plugins implement, and of their specifications."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING

from deepobs import plugins
from deepobs.plugins import API_VERSION, hookspecs, specs
from reference.markdown import code, entries, fenced, page, paragraphs, plain, sections, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_INTRODUCTION = f"""
A plugin is a module that an installed distribution names with an entry point in the group
`deepobs`. It declares the version of the plugin interface that it was written for, currently
{API_VERSION}, and implements some of the hooks below. It imports nothing heavy: import strings name
the components, which are imported when they are used.

```python
from deepobs.plugins import ProblemSpec, hookimpl

DEEPOBS_API_VERSION = {API_VERSION}


@hookimpl
def deepobs_problems():
    return [
        ProblemSpec(
            name="acme_mlp",
            target="acme.problems:AcmeMLP",
            summary="A perceptron on the data of Acme",
            dataset="acme",
            batch_size=128,
            epochs=10,
        )
    ]
```

A plugin that fails is skipped as a whole, without affecting the others; `deepobs plugins` shows the
reason. A hook may omit arguments that it does not need. If two plugins offer the same name,
`distribution:name` selects one. [Your own test problem](../guides/own_problem.md) is a full
example.
"""
_ABOUT_DESCRIPTIONS = """
All arguments are keyword-only. A plugin with an invalid specification is not loaded.
"""
_ABOUT_OBSERVERS = """
A plugin that raises in an observer hook is disabled with a warning; the run continues.

All plugins share one [pluggy](https://pluggy.readthedocs.io) manager: `@hookimpl(wrapper=True)`
wraps the hooks of the other plugins, too, `tryfirst` and `trylast` order the calls across plugins,
and `registry().manager.enable_tracing()` shows every call.
"""


def hooks() -> str:
    """The text of the page."""
    return page(
        "Hooks",
        _INTRODUCTION,
        "## Components",
        *_hooks(lambda name: not _observes(name)),
        "## Run observers",
        _ABOUT_OBSERVERS,
        *_hooks(_observes),
        "## Specifications",
        _ABOUT_DESCRIPTIONS,
        *_descriptions(),
        "## Needs of optimizers",
        table(
            ("word", "meaning"), [(code(word), plain(text)) for word, text in specs.NEEDS.items()]
        ),
    )


def hook_names() -> list[str]:
    """The names of all hooks, in the order of their definition."""
    return [name for name in vars(hookspecs) if name.startswith("deepobs_")]


def _observes(name: str) -> bool:
    return "_run_" in name or "_epoch_" in name


def _hooks(wanted: Callable[[str], bool]) -> Iterator[str]:
    for name in filter(wanted, hook_names()):
        hook = getattr(hookspecs, name)
        yield f"### {name}"
        yield fenced("text", _signature(name, hook))
        yield paragraphs(inspect.getdoc(hook) or "")


def _signature(name: str, hook: object) -> str:
    signature = inspect.signature(hook)  # type: ignore[arg-type]
    arguments = ", ".join(
        f"{each.name}: {each.annotation}" for each in signature.parameters.values()
    )
    return f"{name}({arguments}) -> {signature.return_annotation}"


def _descriptions() -> Iterator[str]:
    for name in filter(lambda name: name.endswith("Spec"), plugins.__all__):
        kind = getattr(plugins, name)
        yield f"### {name}"
        yield paragraphs(sections(kind.__doc__ or "")[""])
        yield table(("argument", "type", "default", "meaning"), _arguments(kind))


def _arguments(kind: type[specs.Spec]) -> Iterator[tuple[str, str, str, str]]:
    meanings = attributes_of(kind)
    for field in dataclasses.fields(kind):
        yield code(field.name), code(field.type), _default(field), plain(meanings[field.name])


def attributes_of(kind: type) -> dict[str, str]:
    """The documentation of each attribute of a class of ours and of its bases."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("deepobs"):
            found |= entries(sections(base.__doc__ or "").get("Attributes", ""))
    return found


def _default(field: dataclasses.Field[object]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return code(repr(field.default_factory()))
    return "required" if field.default is dataclasses.MISSING else code(repr(field.default))
