"""Try the optimizers of other packages, and write the page of the documentation that lists them.

Outside of CI, since it takes what package indexes offer on the day. In an environment with
deepobs-core, deepobs-vision and the packages of optimizers_in_the_wild.toml (or some of them):

    pip install schedulefree pytorch_optimizer timm heavyball torch_optimizer lion-pytorch
    python tools/optimizers_in_the_wild.py schedulefree timm --json tried.json
    python tools/optimizers_in_the_wild.py --json tried.json --page optimizer_packages.md

Every run is a process of its own, a fork of one that imported the package but took no step: as in
a new process, nothing is left over from another run. With `--json`, classes and columns that were
tried before are not tried again, and the page contains them. optimizers_in_the_wild.toml says
which options a class needs. torch.compile is turned off: it takes minutes and proves nothing here.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib
import importlib.metadata
import inspect
import json
import multiprocessing
import os
import re
import shlex
import sys
import tempfile
import tomllib
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")  # before torch is imported

import torch
from forks import Failure, in_a_fork

from deepobs.cli._run_command import command as run_command
from deepobs.console.run_options import RunOptions
from deepobs.runs import RunObserver, run, specify
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.checkpoints import CheckpointPlan
from deepobs.runs.environment import reproducible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from deepobs.run_specifications import RunSpecification

KNOWN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
PROBLEM = "digits_logreg"
OF_MATRICES = "--group head --group others:optimizer=AdamW"
WAYS = (
    ("", PROBLEM, ""),
    (r"\blr\b|learning rate", PROBLEM, "--lr 0.001"),
    (r"--group|2-?D|matri|dimension", PROBLEM, OF_MATRICES),
)
"""What the latest failure says, and the problem and the options to try then beside the earlier."""


@dataclass
class Case:
    """A class to try.

    Attributes:
        target: Its import string.
        words: The options that it needs.
        specification: A run of it; `None` before it was accepted.
        found: Results of runs, by the name of the function that executed them.
    """

    target: str
    words: str = ""
    specification: RunSpecification | None = None
    found: dict[str, Any] = field(default_factory=dict)

    def result_of(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function returns for the specification in a process of its own, once."""
        if function.__name__ not in self.found:
            result = in_a_fork(function, self.specification, *arguments)
            self.found[function.__name__] = result
        return self.found[function.__name__]


def accepted(target: str) -> Case | Failure:
    """Find the options with which a class runs.

    Returns:
        The case, whose run was executed, or why the last attempt failed.
    """
    given = KNOWN["options"].get(target)
    attempts = WAYS if given is None else [("", PROBLEM, given)]
    words, failure = "", Failure("")
    for pattern, problem, further in attempts:
        if not re.search(pattern, failure.reason, re.IGNORECASE):
            continue
        words = f"{words} {further}".strip()
        specification = in_a_fork(specified, target, problem, words)
        if isinstance(specification, Failure):
            failure = specification
            continue
        case = Case(target, words if problem == PROBLEM else f"{problem}: {words}", specification)
        result = case.result_of(executed)
        if not isinstance(result, Failure):
            return case
        failure = result
    return failure


def specified(target: str, problem: str, words: str) -> RunSpecification:
    """Describe a short run of a class with options of `deepobs run`."""
    name = target.removeprefix("torch.optim:")
    arguments = [problem, name, *shlex.split(words), "--epochs", "3", "--batch-size", "256"]
    values = run_command.make_context("deepobs run", arguments).params
    options = RunOptions.taken_from(values)
    return specify(
        options.problem,
        options.optimizer,
        options.hyperparameters,
        **options.arguments,
        train_log_interval=1,
    )


class Stop(RunObserver):
    """Interrupts a run after its first epoch."""

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Interrupt it."""
        del metrics
        if epoch == 1:
            raise KeyboardInterrupt


def numbers(record: Any) -> dict[str, Any]:
    """The numbers of a run that do not depend on the time it took."""
    names = {"minibatch_train_losses", "train_losses", "test_losses", "steps", "status"}
    found: dict[str, Any] = record.model_dump(include={*names, "gradient_evaluations"})
    return found


def executed(specification: RunSpecification) -> Any:
    """The numbers of an uninterrupted run."""
    return numbers(run(specification).record)


def again(specification: RunSpecification) -> Any:
    """The numbers of a second uninterrupted run."""
    return executed(specification)


def interrupted(specification: RunSpecification, place: str) -> list[str]:
    """Interrupt a run after an epoch, and return what it warned of."""
    plan = CheckpointPlan(every_epochs=1)
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        with contextlib.suppress(KeyboardInterrupt):
            run(specification, output_dir=place, observers=[Stop()], checkpoints=plan)
    return [str(one.message) for one in raised if "resume" in str(one.message)]


def resumed(specification: RunSpecification, place: str) -> Any:
    """Resume it: its numbers, whether it was continued, and what it warned of."""
    plan = CheckpointPlan(every_epochs=1, resume=True)
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        record = run(specification, output_dir=place, checkpoints=plan).record
    said = [str(one.message) for one in raised if "checkpoint" in str(one.message)]
    return numbers(record), record.resumed_at_steps, said


def in_a_plain_loop(specification: RunSpecification) -> list[float]:
    """The objective of every step of a loop as users write it, without the Trainer."""
    needs = set(specification.optimizer_needs)
    objectives = []
    with reproducible(specification):
        problem: Any = set_up_problem(specification)
        optimizer: Any = built_plainly(specification, problem)
        for _ in range(specification.num_epochs):
            problem.model.train()
            if "mode" in needs:
                optimizer.train()
            for batch in problem.dataset.train_loader:
                objectives.append(plain_step(problem, optimizer, batch, needs))
                call_hooks(optimizer, needs, len(objectives))
            if "mode" in needs:
                optimizer.eval()
    return objectives


def built_plainly(specification: RunSpecification, problem: Any) -> Any:
    """The optimizer, as users build it where parameters and numbers are enough."""
    needs, values = set(specification.optimizer_needs), specification.hyperparameters
    module, _, name = specification.optimizer_target.partition(":")
    optimizer_class = getattr(importlib.import_module(module), name)
    arguments = inspect.signature(optimizer_class).parameters.values()
    required = {each.name for each in arguments if each.default is each.empty and each.kind < 2}
    is_more = any(isinstance(value, str) for value in values.values())  # another optimizer
    is_more = is_more or len(required - values.keys()) > 1  # several lists of parameters
    if specification.parameter_groups or {"model", "named_parameters"} & needs or is_more:
        return build_optimizer(specification, problem)
    return optimizer_class(list(problem.model.parameters()), **values)


def call_hooks(optimizer: Any, needs: set[str], steps: int) -> None:
    """Call what is to be called after some steps."""
    for name, period in (need.split(":")[1:] for need in needs if need.startswith("hook:")):
        if steps % int(period) == 0:
            getattr(optimizer, name)()


@contextlib.contextmanager
def contexts(optimizer: Any, needs: set[str]) -> Iterator[None]:
    """The contexts of forward and backward pass."""
    with contextlib.ExitStack() as stack:
        for name in (need.split(":")[1] for need in needs if need.startswith("context:")):
            method = getattr(optimizer, name)
            flags = {"train"} & set(inspect.signature(method).parameters)
            stack.enter_context(method(**dict.fromkeys(flags, True)))
        yield


def plain_step(problem: Any, optimizer: Any, batch: Any, needs: set[str]) -> float:
    """Take a step as the documentation of such optimizers says; the objective before it."""
    first: list[float] = []

    def closure(*, backward: bool = True) -> torch.Tensor:
        optimizer.zero_grad()
        reduction = "none" if "per_example_losses" in needs else "mean"
        with contexts(optimizer, needs):
            loss: torch.Tensor = problem.get_batch_loss_and_accuracy(batch, reduction=reduction)[0]
            loss = loss + problem.get_regularization_loss()
            if backward and not {"backward", "per_example_losses"} & needs:
                torch.autograd.backward(loss, create_graph="create_graph" in needs)
        first.append(float(loss.detach().mean()))
        return loss

    if "closure" in needs:
        if "gradients" in needs:
            closure()
        optimizer.step(torch.enable_grad()(closure))
    elif {"loss", "per_example_losses"} & needs:
        arguments = inspect.signature(optimizer.step).parameters
        name = next((name for name in ("loss", "losses") if name in arguments), None)
        loss = closure()
        optimizer.step(**{name: loss}) if name else optimizer.step(loss)
    else:
        closure()
        optimizer.step()
    return first[0]


def numbers_column(case: Case) -> str:
    """Whether a run has the numbers of a plain loop."""
    ours, plain = case.result_of(executed), case.result_of(in_a_plain_loop)
    if isinstance(plain, Failure):
        return f"only the plain loop fails: {plain.reason}"
    recorded = ours["minibatch_train_losses"]
    pairs = enumerate(zip(recorded, plain, strict=False), start=1)
    different = [step for step, (one, other) in pairs if repr(one) != repr(other)]
    if not different:
        return "equal"
    if repr(case.result_of(again)) != repr(ours):
        return "not repeatable: two runs with the same seed differ"
    return f"DIFFERENT: from step {different[0]} on"


def resume_column(case: Case) -> str:
    """Whether an interrupted run is resumed to the bit, or a warning came before."""
    with tempfile.TemporaryDirectory() as place:
        before, after = case.result_of(interrupted, place), case.result_of(resumed, place)
    for result in (before, after):
        if isinstance(result, Failure):
            return f"FAILS: {result.reason}"
    found, steps, said = after
    if repr(found) != repr(case.found["executed"]):
        is_repeatable = repr(case.result_of(again)) == repr(case.found["executed"])
        return "DIFFERENT" if is_repeatable else "not repeatable"
    if before:
        return f"warning: {before[0].partition('beginning: ')[2] or before[0]}"
    return "to the bit" if steps else f"STARTS OVER: {said[:1]}"


COLUMNS: dict[str, Callable[[Case], str]] = {"numbers": numbers_column, "resume": resume_column}
"""The columns of the table: each says what comes of a class. Add yours here."""


def classes_of(module_name: str) -> list[str]:
    """The import strings of the optimizers that a module offers."""
    module = importlib.import_module(module_name)
    if module_name == "heavyball":  # compiling takes minutes
        module.utils.compile_mode = module.utils.compile_mode_recommended_to_none = None
    found: dict[type, str] = {}
    for name, value in sorted(vars(module).items()):
        if (
            not inspect.isclass(value)
            or value is torch.optim.Optimizer
            or inspect.isabstract(value)
        ):
            continue
        is_others = value.__module__.startswith("torch.") and module_name != "torch.optim"
        has_methods = callable(getattr(value, "step", None)) and hasattr(value, "zero_grad")
        target = f"{module_name}:{name}"
        is_helper = name.startswith("_") or target in KNOWN["classes"]["not_optimizers"]
        if has_methods and not is_others and not is_helper:
            found.setdefault(value, target)  # one of several names
    return list(found.values())


def tried(target: str, columns: list[str]) -> dict[str, str]:
    """Try a class; the cells of its row."""
    case = accepted(target)
    if isinstance(case, Failure):
        nothing = dict.fromkeys(columns, "")
        return {"options": "", "needs": "", **nothing, columns[0]: f"no: {case.reason}"}
    needs = " ".join(case.specification.optimizer_needs) if case.specification else ""
    return {
        "options": case.words,
        "needs": needs,
        **{name: COLUMNS[name](case) for name in columns},
    }


def modules_of(distribution: str) -> list[str]:
    """The modules of a package that offer optimizers."""
    modules: str | list[str] = KNOWN["packages"][distribution]
    return [modules] if isinstance(modules, str) else modules


def try_package(name: str, columns: list[str], path: Path) -> None:
    """Try what was not tried yet of a package, and add it to a file of results.

    Args:
        name: Its distribution, or `module:Class`.
        columns: Names of columns.
        path: The file.
    """
    module, _, chosen = name.partition(":")
    owners = {module: package for package in KNOWN["packages"] for module in modules_of(package)}
    distribution = owners.get(module, module) if chosen else name
    results: dict[str, dict[str, str]] = json.loads(path.read_text()) if path.exists() else {}
    package = distribution
    try:
        package += f" {importlib.metadata.version(distribution)}"
        modules = [module] if chosen else modules_of(distribution)
        targets = [target for module in modules for target in classes_of(module)]
    except BaseException as error:  # others' code raises anything
        reason = f"no import: {type(error).__name__}: {error}"
        results[f"{distribution}:"] = {"package": package, "numbers": reason}
        path.write_text(json.dumps(results, indent=1))
        return
    if not targets:
        results[f"{distribution}:"] = {"package": package, "numbers": "no class"}
        path.write_text(json.dumps(results, indent=1))
    for target in [name] if chosen else targets:
        row = results.setdefault(target, {})
        asked = KNOWN["options"].get(target, "")
        if row.get("asked", "") != asked or row.get("package") != package:
            row.clear()
        missing = [column for column in columns if column not in row]
        if missing:
            row |= {"package": package, "asked": asked, **tried(target, missing)}
            print(target, *(row[column] for column in missing), sep="\t", file=sys.stderr)
            path.write_text(json.dumps(results, indent=1))


def table(results: Mapping[str, Mapping[str, str]], columns: list[str]) -> str:
    """The table as Markdown: a line for each class, by packages."""
    lines = [
        f"| package | class | options | step | {' | '.join(columns)} | remark |",
        "|---" * (5 + len(columns)) + "|",
    ]
    untried = {f"{name}:": {"package": name, "numbers": "not tried"} for name in KNOWN["untried"]}
    rows = {**results, **untried}
    for target in sorted(rows, key=lambda target: (rows[target]["package"].split(" ")[0], target)):
        row = rows[target]
        parts = [row.get(column, "").partition(": ") for column in columns]
        reasons = list(dict.fromkeys(short(part[2]) for part in parts if part[2]))
        remark = KNOWN["remarks"].get(target) or KNOWN["untried"].get(target.rstrip(":"))
        cells = [
            row["package"],
            f"`{target}`" if not target.endswith(":") else "",
            f"`{row['options']}`" if row.get("options") else "",
            row.get("needs", ""),
            *(part[0] for part in parts),
            remark or "; ".join(reasons),
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def short(reason: str) -> str:
    """A reason that fits a cell, without what Markdown would interpret."""
    text = re.sub(r"^(ArgumentError|ProtocolError): ", "", " ".join(reason.split()))
    text = re.sub(r"[<>*`\[\]]|\b_|_\b", lambda match: "\\" + match[0], text)
    return text if len(text) <= 140 else text[:140].rpartition(" ")[0] + " ..."


def page(results: Mapping[str, Mapping[str, str]], columns: list[str]) -> str:
    """The page of the documentation."""
    classes = {target: row for target, row in results.items() if not target.endswith(":")}
    count = {
        "packages": len({row["package"] for row in classes.values()}),
        "classes": len(classes),
        "equal": sum(row["numbers"] == "equal" for row in classes.values()),
        "resumed": sum(row["resume"] == "to the bit" for row in classes.values()),
        "warned": sum(row["resume"].startswith("warning") for row in classes.values()),
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "versions": f"Python {sys.version.split()[0]} and torch {torch.__version__.split('+')[0]}",
    }
    introduction: str = KNOWN["page"].format(**count).strip()
    return f"{introduction}\n\n{table(results, columns)}\n"


def warm_up() -> None:
    """Import what a run needs, once for all forks."""
    torch.set_num_threads(1)  # forks of a process with threads hang
    executed(specified("torch.optim:Adam", PROBLEM, ""))


def main() -> None:
    """Try the classes of the packages that the command line names."""
    parser = argparse.ArgumentParser(description="Try the optimizers of other packages.")
    parser.add_argument("packages", nargs="*", help="Distributions or module:Class.")
    parser.add_argument("--all", action="store_true", help="All that are installed.")
    parser.add_argument("--columns", default=",".join(COLUMNS), help="Names, with commas.")
    parser.add_argument("--json", type=Path, help="Read what was tried before, and add to it.")
    parser.add_argument("--page", type=Path, help="Write the page of the documentation.")
    options = parser.parse_args()
    columns = options.columns.split(",")
    with tempfile.TemporaryDirectory() as folder:
        path = options.json or Path(folder, "tried.json")
        names = list(KNOWN["packages"]) if options.all else options.packages
        if names:
            warm_up()
        for name in names:  # in a process: packages change torch, and each other
            arguments = (name, columns, path)
            process = multiprocessing.get_context("fork").Process(
                target=try_package, args=arguments
            )
            process.start()
            process.join()
        results = json.loads(path.read_text()) if path.exists() else {}
    if options.page:
        options.page.write_text(page(results, columns), encoding="utf-8")
    else:
        print(table(results, columns))


if __name__ == "__main__":
    main()
