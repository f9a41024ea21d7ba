"""The page of registered components: test problems, data sets, optimizers and suites."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepobs.console.text import duration, memory
from reference.markdown import code, page, plain, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deepobs.plugins import ProblemSpec, Registry

_INTRODUCTION = """
All components of the DeepOBS packages, with their defaults. `deepobs list` shows the installed
ones, and `deepobs info NAME` describes one of them.
"""
_COSTS = """
What a run costs, estimated from some seconds of training with SGD on one thread of a CPU by
`benchmarks/problem_costs.py`: an epoch with its evaluation, a run of the default length, and the
peak memory of the process, of which Python and torch take 400 MiB or more. Large networks are
measured on smaller batches. `deepobs estimate` measures other machines and optimizers.
"""
_REACHED = """
`excerpt_lstm` ends at a test loss of at most 1.72 with AdamW, `lr=0.01` and the recommended
schedule: 1.670, 1.676 and 1.638 with the seeds 42, 43 and 44. `excerpt_gpt` ends at one of at most
1.85 with AdamW, `lr=0.003`, `betas=(0.9, 0.99)`, `weight_decay=0.1`, gradients clipped to a norm of
1 and the recommended schedule: 1.784, 1.786 and 1.784.
"""
_PROBLEMS = """
The metric ranks configurations and optimizers. The target, if one was published with the problem,
is the value on the test set that counts as solved; a second one is that of runs in which every
epoch repeats the order of the first (`same_order`). The weight decay is the factor of the
regularizer `0.5 * factor * ||w||^2`.
"""


def problems(registry: Registry) -> str:
    """The text of the page.

    Args:
        registry: What our own packages offer.
    """
    return page(
        "Test problems and more",
        _INTRODUCTION,
        "## Test problems",
        _PROBLEMS,
        table(
            (
                *("problem", "data set", "batch size", "epochs", "weight decay"),
                *("recommended schedule", "metric", "target"),
            ),
            _numbers(registry),
        ),
        table(("problem", "description", "package", "reference"), _words(registry)),
        "Some problems were made to show one property of an optimizer. The least loss is that on "
        "the test set, where it is known.",
        table(("problem", "tells", "least loss"), _purposes(registry)),
        *_costs(registry),
        _REACHED,
        "## Data sets",
        table(
            ("data set", "description", "training", "test", "no download", "reference"),
            _data_sets(registry),
        ),
        "## Optimizers",
        table(("optimizer", "description", "class", "reference"), _optimizers(registry)),
        "## Suites",
        table(("suite", "description", "problems", "reference"), _suites(registry)),
    )


def _numbers(registry: Registry) -> Iterator[tuple[str, ...]]:
    for offer in registry.problems.offers():
        spec = offer.spec
        yield (
            code(spec.name),
            code(spec.dataset),
            str(spec.batch_size),
            str(spec.epochs),
            "" if spec.weight_decay is None else f"{spec.weight_decay:g}",
            _schedule(spec),
            spec.metric,
            _targets(spec),
        )


def _schedule(spec: ProblemSpec) -> str:
    described: Mapping[str, Any] = spec.recommended_lr_scheduler or {}
    arguments = (f"{name}={value}" for name, value in described.get("arguments", {}).items())
    return " ".join([code(described["name"]), *arguments]) if described else ""


def _targets(spec: ProblemSpec) -> str:
    texts = [] if spec.target_performance is None else [f"{spec.target_performance:g}"]
    if spec.target_performance_same_order is not None:
        texts.append(f"{spec.target_performance_same_order:g} (same order)")
    return ", ".join(texts)


def _words(registry: Registry) -> Iterator[tuple[str, ...]]:
    for offer in registry.problems.offers():
        spec = offer.spec
        yield code(spec.name), plain(spec.summary), offer.distribution, _reference(spec.reference)


def _purposes(registry: Registry) -> Iterator[tuple[str, ...]]:
    for offer in registry.problems.offers():
        spec = offer.spec
        if spec.purpose:
            least = "" if spec.least_loss is None else f"{spec.least_loss:g}"
            yield code(spec.name), plain(spec.purpose), least


def _costs(registry: Registry) -> Iterator[str]:
    measured = json.loads(Path(__file__).with_name("problem_costs.json").read_text())
    costs = {name: measured[name] for name in registry.problems.names() if name in measured}
    rows = (
        (
            code(name),
            f"{cost['parameters']:,}",
            *(duration(cost[one]) for one in ("epoch_seconds", "run_seconds")),
            memory(cost["memory"]),
        )
        for name, cost in costs.items()
    )
    if costs:
        yield _COSTS
        yield table(("problem", "parameters", "an epoch", "a run", "memory"), rows)


def _data_sets(registry: Registry) -> Iterator[tuple[str, ...]]:
    for offer in registry.datasets.offers():
        spec = offer.spec
        what = plain(f"{spec.summary}. {spec.example}" if spec.example else spec.summary)
        embedded = "yes" if spec.embedded else ""
        sizes = str(spec.train_size), str(spec.test_size)
        yield code(spec.name), what, *sizes, embedded, _reference(spec.reference)


def _optimizers(registry: Registry) -> Iterator[tuple[str, ...]]:
    for offer in registry.optimizers.offers():
        spec = offer.spec
        yield code(spec.name), plain(spec.summary), code(spec.target), _reference(spec.reference)


def _suites(registry: Registry) -> Iterator[tuple[str, ...]]:
    for offer in registry.suites.offers():
        spec = offer.spec
        names = ", ".join(map(code, spec.problems))
        yield code(spec.name), plain(spec.summary), names, _reference(spec.reference)


def _reference(text: str) -> str:
    """A reference, with its addresses as links."""
    linked = re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
    return re.sub(r"(?<!\()(https?://[^\s,;)]*[^\s,;:.)])", r"<\1>", linked)
