"""`deepobs info`: details of everything that has a name."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import click

from deepobs import config
from deepobs.cli._data_command import FAILED, outcome_of
from deepobs.console import screen
from deepobs.console.offers import KINDS, Kind, ambiguous_names, by_usable_name, described
from deepobs.console.options import as_json, completing
from deepobs.console.run_options import current_directory_importable
from deepobs.console.screen import Column
from deepobs.console.text import clean, counted, duration
from deepobs.errors import (
    ArgumentError,
    DeepOBSError,
    UnknownNameError,
    closest,
    sentences,
)
from deepobs.plugins import registry
from deepobs.plugins.catalog import import_target
from deepobs.plugins.own_classes import advice_on_name, is_importable, spec_type_of
from deepobs.plugins.specs import NEEDS, OWN_DATASET, is_target

if TYPE_CHECKING:
    from deepobs.plugins.catalog import Offer

    Facts = dict[str, Any]

_TITLES = {
    "dataset": "Data set",
    "parameters": "Parameters to train",
    "train_size": "Training examples",
    "test_size": "Test examples",
    "metric": "Compared by",
    "purpose": "Tells",
    "recommended_lr_scheduler": "Recommended schedule",
    "target": "Implementation",
    "target_performance_same_order": "Target, same order",
    "threads": "CPU threads",
    "detected": "Found",
}
_SHOWN_APART = {
    *("name", "kind", "summary", "distribution", "version", "qualified_name", "is_ambiguous"),
    *("hyperparameters", "time_per_epoch"),
}
_SHOWN_IF_KNOWN = {
    *("target_performance", "target_performance_same_order", "threads", "least_loss"),
    "recommended_lr_scheduler",
    *("train_size", "test_size", "classes", "parameters"),
}

# An epoch is timed by SGD with a learning rate at which no model diverges.
_FEW_EXAMPLES, _SECONDS, _TINY_RATE = 0.01, 2.0, 1e-8


def _summaries() -> dict[str, str]:
    return {name: summary for kind in KINDS.values() for name, summary in kind.summaries().items()}


@click.command("info")
@click.argument("name", shell_complete=completing(_summaries))
@click.option(
    "--time",
    "is_timed",
    is_flag=True,
    help="Measure how long an epoch of a problem takes on this machine. Takes seconds, or minutes "
    "for the largest models.",
)
@as_json
@click.pass_context
def command(context: click.Context, name: str, is_timed: bool, as_json: bool) -> None:
    """Show details of a problem, optimizer, data set or suite.

    NAME is a name from `deepobs list`, or package.module:Class for a class of your own. If several
    plugins offer the name, all are shown; distribution:name selects one.
    """
    found = [
        _facts_about(kind, offer) for kind in KINDS.values() for offer in kind.catalog.called(name)
    ]
    if not found and is_target(name):
        with current_directory_importable():
            found = _facts_about_class(name)
    if not found:
        names = {name for kind in KINDS.values() for name in by_usable_name(kind.catalog)}
        nothing = f"Nothing installed is called {name!r}."
        hint = advice_on_name(name) or registry().hint(name.rpartition(":")[2])
        raise UnknownNameError(sentences(nothing, closest(name, names), hint))
    for facts in found:
        if is_timed and facts.get("parameters") is not None:
            screen.show_progress(f"Measuring an epoch of {facts['name']} ...")
            facts["time_per_epoch"] = _time_per_epoch(facts)
    if as_json:
        screen.show_json(found)
    else:
        for number, facts in enumerate(found):
            if number:
                screen.show()
            _show(facts)
    if any("error" in facts for facts in found):
        context.exit(1)


def _facts_about_class(target: str) -> list[Facts]:
    """Facts about a class that no plugin offers; empty if it cannot be found."""
    if not is_importable(target):
        return []
    component = import_target(target, "The class")
    spec_type = spec_type_of(component)
    kinds = [kind for kind in KINDS.values() if kind.catalog.spec_type is spec_type]
    return [_facts_about(kind, kind.catalog.offer(component)) for kind in kinds]


def _facts_about(kind: Kind, offer: Offer[Any]) -> Facts:
    """The description of an offer and what follows from it; `error` if something failed."""
    is_ambiguous = offer.spec.name in ambiguous_names(kind.catalog)
    facts = {"kind": kind.catalog.kind, **described(offer, is_ambiguous=is_ambiguous)}
    if kind.name == "problems":
        suites = registry().suites.offers()
        names = [suite.spec.name for suite in suites if offer.spec.name in suite.spec.problems]
        return facts | _sizes_and_model(offer) | {"suites": names}
    if kind.name == "suites":
        installed = registry().problems.names()
        missing = [name for name in offer.spec.problems if name not in installed]
        return facts | {"not_installed": missing}
    if kind.name == "datasets":
        return facts | _data_set(offer)
    return facts | (_optimizer(offer) if kind.name == "optimizers" else {})


def _sizes_and_model(offer: Offer[Any]) -> Facts:
    """Examples, classes and parameters of a test problem; `None` for what it does not say."""
    facts: Facts = dict.fromkeys(("train_size", "test_size", "classes", "parameters"))
    # Synthetic data, as the model does not depend on them: nothing is downloaded. A problem of
    # another package may raise anything, and the rest of its description is still worth showing.
    with contextlib.suppress(Exception), config.temporary(fake_data=_FEW_EXAMPLES):
        # Nor does the model depend on the batch size, for which there may be too few of them.
        problem = registry().problems.load(offer)(min(offer.spec.batch_size, 8), device="cpu")
        problem.set_up()
        facts["classes"] = getattr(problem.dataset, "num_classes", None)
        trained = [each for each in problem.model.parameters() if each.requires_grad]
        facts["parameters"] = sum(each.numel() for each in trained)
    if offer.spec.dataset != OWN_DATASET:
        with contextlib.suppress(DeepOBSError):
            data_set = registry().datasets.offer(offer.spec.dataset).spec
            facts |= {"train_size": data_set.train_size, "test_size": data_set.test_size}
    return facts


def _time_per_epoch(facts: Facts) -> Facts:
    """How long an epoch and its evaluation take with SGD: on synthetic data if there are none."""
    from deepobs.runs import specify
    from deepobs.runs.estimate import estimate

    # Asked for first: loading would download what is missing, which takes longer than measuring.
    with contextlib.ExitStack() as stack:
        if _is_missing(facts["dataset"]):
            stack.enter_context(config.temporary(fake_data=_FEW_EXAMPLES))
        specification = specify(facts["qualified_name"], "SGD", {"lr": _TINY_RATE})
        measured = estimate(specification, seconds=_SECONDS)
    hardware = measured.hardware
    return {
        "seconds": measured.epoch_seconds,
        "device": specification.device,
        "processor": hardware.get("accelerator") or hardware["processor"],
        "threads": hardware["torch_threads"],
        "synthetic_data": measured.fake_data,
    }


def _is_missing(dataset: str) -> bool:
    if registry().datasets.find(dataset) is None:  # one of its own
        return False
    return outcome_of("status", dataset, config.get_data_dir()).state == "missing"


def _data_set(offer: Offer[Any]) -> Facts:
    problems = registry().problems.offers()
    users = [one.spec.name for one in problems if one.spec.dataset == offer.spec.name]
    outcome = outcome_of("status", offer.qualified_name, config.get_data_dir())
    if outcome.state == FAILED:
        return {"used_by": users, "error": outcome.detail}
    facts = {"used_by": users, "state": outcome.state, "detail": outcome.detail}
    return facts | ({"path": outcome.path} if outcome.path else {})


def _optimizer(offer: Offer[Any]) -> Facts:
    from deepobs.runs.constructors import is_required

    try:
        optimizer_class = registry().optimizers.load(offer.qualified_name)
        # The first parameter receives the tensors to optimize: it is no hyperparameter.
        _, *parameters = inspect.signature(optimizer_class).parameters.values()
    except (DeepOBSError, TypeError, ValueError) as error:
        return {"error": str(error)}
    rows = []
    for parameter in parameters:
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            # The defaults of the registered name win over those of the class: Momentum is SGD.
            name, defaults = parameter.name, offer.spec.defaults
            lacks_value = name not in defaults and is_required(parameter)
            default = None if lacks_value else defaults.get(name, parameter.default)
            rows.append({"name": name, "default": default, "is_required": lacks_value})
    return {**_needs(offer), "hyperparameters": rows}


def _needs(offer: Offer[Any]) -> Facts:
    """What an optimizer needs, declared or detected, and why it is thought so."""
    from deepobs.runs.optimizer_checks import resolve_optimizer
    from deepobs.runs.step_protocols import detect

    found, reasons = offer.spec.needs, ["its plugin declares it"]
    try:
        choice, chosen, _, groups, inferred = resolve_optimizer(offer.qualified_name)
        found, reasons = inferred or ("plain",), list(detect(choice, chosen, groups).reasons)
        if groups:
            reasons.append(f"groups {groups}: it refuses parameters without them")
    except ArgumentError as error:  # such as a hyperparameter without a default
        if found is None:
            reasons = [f"nothing, as its defaults do not suffice to try it: {error}"]
    words = [f"{word}: {NEEDS[word.partition(':')[0]]}" for word in found or ()]
    return {"needs": words, "detected": reasons}


def _show(facts: Facts) -> None:
    screen.show(clean(f"{facts['name']} ({facts['kind']})"), is_heading=True)
    screen.show_text(facts["summary"])
    screen.show()
    fields = {"From": f"{facts['distribution']} {facts['version']}"}
    if facts["is_ambiguous"]:
        fields["Full name"] = f"{facts['qualified_name']} (other plugins use the short one, too)"
    for name, value in facts.items():
        if name not in _SHOWN_APART and not (value is None and name in _SHOWN_IF_KNOWN):
            title = _TITLES.get(name) or name.replace("_", " ").capitalize()
            fields[title] = "; ".join(value) if name == "detected" else _in_words(value)
    if facts.get("recommended_lr_scheduler"):
        fields[_TITLES["recommended_lr_scheduler"]] = _schedule(facts["recommended_lr_scheduler"])
    if "time_per_epoch" in facts:
        fields["Time per epoch"] = _epoch_in_words(facts["time_per_epoch"])
    elif facts.get("parameters") is not None:
        fields["Time per epoch"] = "--time measures it here"
    screen.show_fields({title: text for title, text in fields.items() if text})
    if "hyperparameters" in facts:
        rows = [
            [row["name"], "none: required" if row["is_required"] else repr(row["default"])]
            for row in facts["hyperparameters"]
        ]
        screen.show()
        screen.show_table([Column("HYPERPARAMETER"), Column("DEFAULT")], rows)


def _epoch_in_words(time: Facts) -> str:
    data = ", estimated from synthetic data" if time["synthetic_data"] else ""
    return (
        f"{duration(time['seconds'])} with its evaluation, by SGD on {time['device']} "
        f"({time['processor']}), {counted(time['threads'], 'CPU thread')}{data}"
    )


def _schedule(described: Mapping[str, Any]) -> str:
    """A schedule as people write it, such as "cosine with warmup = 0.05"."""
    arguments = _in_words(described.get("arguments") or {})
    every = f"every {described['every']}" if "every" in described else ""
    return " ".join(filter(None, [described["name"], arguments and f"with {arguments}", every]))


def _in_words(value: object) -> str:
    """A value as people write it, empty if there is nothing to say."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {item}" for key, item in value.items())
    if isinstance(value, Set):
        return ", ".join(sorted(map(str, value)))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value)
