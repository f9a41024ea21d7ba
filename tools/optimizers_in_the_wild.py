"""Try the optimizers of other packages, and print a table of what works.

Outside of CI, since it takes what package indexes offer on the day. In an environment with DeepOBS:

    pip install schedulefree pytorch_optimizer timm heavyball torch_optimizer lion-pytorch
    python tools/optimizers_in_the_wild.py schedulefree timm.optim --json tried.json > table.md

Every run is a process of its own, a fork of one that imported the package but took no step: as in
a new process, nothing is left over from another run. A column is a function in `COLUMNS`; with
`--json`, classes and columns that were tried before are not tried again.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import inspect
import json
import multiprocessing
import os
import sys
import tempfile
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from deepobs.runs import RunObserver, run, specify
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.checkpoints import CheckpointPlan
from deepobs.runs.environment import reproducible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deepobs.records import RunSpecification

PROBLEM = "digits_logreg"
SECONDS = 60
"""For each run of a class."""

PACKAGES = {  # module -> its distribution
    "torch.optim": "torch",
    "schedulefree": "schedulefree",
    "pytorch_optimizer": "pytorch-optimizer",
    "timm.optim": "timm",
    "heavyball": "heavyball",
    "torch_optimizer": "torch-optimizer",
    "adabelief_pytorch": "adabelief-pytorch",
    "adafactor8bit": "adafactor8bit",
    "adan_pytorch": "adan-pytorch",
    "came_pytorch": "came-pytorch",
    "dadaptation": "dadaptation",
    "dowg": "dowgopt",
    "flashoptim": "flashoptim",
    "grokadamw": "grokadamw",
    "kron_torch": "kron-torch",
    "lion_pytorch": "lion-pytorch",
    "lookahead_pytorch": "torch2-look-ahead",
    "madgrad": "madgrad",
    "muonium": "muonium",
    "nadir": "nadir",
    "ncg_optimizer": "ncg-optimizer",
    "optimi": "torch-optimi",
    "parameterfree": "parameterfree",
    "prodigyopt": "prodigyopt",
    "psd_optimizer": "psd-optimizer",
    "pytorch_ranger": "pytorch-ranger",
    "ranger21": "ranger21",
    "rangerlite": "rangerlite",
    "sgd_boost": "sgd-boost",
    "SM3": "torch-sm3",
    "smb": "smb-optimizer",
    "sophia_opt": "sophia-opt",
    "torchao.optim": "torchao",
}

HYPERPARAMETERS: dict[str, dict[str, Any]] = {
    "adafactor8bit:Adafactor8Bit": {"lr": 1e-3},
    "lookahead_pytorch:Lookahead": {"optimizer": "SGD", "lr": 0.01},
    "pytorch_optimizer:Ranger21": {"num_iterations": 15},
    "ranger21:Ranger21": {"num_epochs": 3, "num_batches_per_epoch": 5, "lr": 1e-3},
    "ranger21:Ranger21abel": {"num_epochs": 3, "num_batches_per_epoch": 5, "lr": 1e-3},
    "schedulefree:ScheduleFreeWrapper": {"base": "SGD", "lr": 0.01},
    "schedulefree:ScheduleFreeWrapperReference": {"base": "SGD", "lr": 0.01},
    **{
        f"pytorch_optimizer:{name}": {argument: "AdamW", "lr": 1e-3}
        for name, argument in {
            **dict.fromkeys(("BSAM", "GSAM", "LookSAM", "SAM", "WSAM"), "base_optimizer"),
            **dict.fromkeys(("Lookahead", "OrthoGrad", "PCGrad", "TRAC"), "optimizer"),
        }.items()
    },
    "timm.optim:Lookahead": {"base_optimizer": "SGD", "lr": 0.01},
    "timm.optim:SGDP": {"lr": 0.01},
    "torch_optimizer:Lookahead": {"optimizer": "SGD", "lr": 0.01},
}
"""Arguments without defaults, by the import string of a class."""


@dataclass
class Case:
    """A class to try.

    Attributes:
        target: Its import string.
        specification: A run of it; `None` before it was accepted.
        found: Results of runs, by the name of the function that executed them.
    """

    target: str
    specification: RunSpecification | None = None
    found: dict[str, Any] = field(default_factory=dict)

    def result_of(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function returns for the specification in a process of its own, once."""
        if function.__name__ not in self.found:
            result = in_a_fork(function, self.specification, *arguments)
            self.found[function.__name__] = result
        return self.found[function.__name__]


@dataclass(frozen=True)
class Failure:
    """Why a run has no result."""

    reason: str


def in_a_fork(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a fork of this process.

    Returns:
        What it returns, or a `Failure`.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def work() -> None:
        try:
            result = function(*arguments)
        except BaseException as error:  # others' code raises anything, SystemExit included
            text = str(error).strip().partition("\n")[0]
            result = Failure(f"{type(error).__name__}: {text}"[:300])
            if "VERBOSE" in os.environ:
                traceback.print_exc()
        sender.send(result)

    process = context.Process(target=work, daemon=True)
    process.start()
    sender.close()
    try:
        ended = receiver.poll(SECONDS)
        return receiver.recv() if ended else Failure(f"takes longer than {SECONDS} s")
    except EOFError:
        return Failure("the process died")
    finally:
        process.kill()
        process.join()


def specified(target: str) -> tuple[RunSpecification, list[str]]:
    """Describe a short run of a class, and say which warnings that raised."""
    name = target.removeprefix("torch.optim:")
    values = HYPERPARAMETERS.get(target, {})
    options: dict[str, Any] = {"num_epochs": 3, "batch_size": 256, "train_log_interval": 1}
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        try:
            specification = specify(PROBLEM, name, values, **options)
        except Exception as error:
            if "give one (lr)" not in str(error):
                raise
            specification = specify(PROBLEM, name, {"lr": 1e-3, **values}, **options)
    return specification, [str(one.message) for one in raised]


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
        optimizer: Any = build_optimizer(specification, problem)
        if "mode" in needs:
            optimizer.eval()
        for _ in range(specification.num_epochs):
            problem.model.train()
            if "mode" in needs:
                optimizer.train()
            batches = problem.dataset.train_loader
            objectives += [plain_step(problem, optimizer, batch, needs) for batch in batches]
            if "mode" in needs:
                optimizer.eval()
    return objectives


def plain_step(problem: Any, optimizer: Any, batch: Any, needs: set[str]) -> float:
    """Take a step as the documentation of such optimizers says; the objective before it."""
    first: list[float] = []

    def closure(*, differentiates: bool = True) -> torch.Tensor:
        optimizer.zero_grad()
        reduction = "none" if "per_example_losses" in needs else "mean"
        loss: torch.Tensor = problem.get_batch_loss_and_accuracy(batch, reduction=reduction)[0]
        loss = loss + problem.get_regularization_loss()
        if differentiates and not {"backward", "per_example_losses"} & needs:
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


def run_column(case: Case) -> str:
    """Whether a run has the numbers of a plain loop."""
    ours, plain = case.result_of(executed), case.result_of(in_a_plain_loop)
    if isinstance(ours, Failure):
        return f"fails: {ours.reason}"
    if isinstance(plain, Failure):
        return f"only the plain loop fails: {plain.reason}"
    recorded = ours["minibatch_train_losses"]
    pairs = enumerate(zip(recorded, plain, strict=False), start=1)
    different = [step for step, (one, other) in pairs if repr(one) != repr(other)]
    return f"differs from step {different[0]} on" if different else "equal"


def resume_column(case: Case) -> str:
    """Whether an interrupted run is resumed to the bit, or a warning came before."""
    if isinstance(case.result_of(executed), Failure):
        return "-"
    with tempfile.TemporaryDirectory() as place:
        before, after = case.result_of(interrupted, place), case.result_of(resumed, place)
    for result in (before, after):
        if isinstance(result, Failure):
            return f"FAILS: {result.reason}"
    found, steps, said = after
    if repr(found) != repr(case.found["executed"]):
        return "DIFFERS" if case.result_of(again) == case.found["executed"] else "not repeatable"
    if before:
        return f"warned: {before[0].partition('beginning: ')[2]}"
    return "to the bit" if steps else f"STARTS OVER: {said[:1]}"


def again(specification: RunSpecification) -> Any:
    """The numbers of a second uninterrupted run."""
    return executed(specification)


COLUMNS: dict[str, Callable[[Case], str]] = {"run": run_column, "resume": resume_column}
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
        if has_methods and not is_others:
            found.setdefault(value, f"{module_name}:{name}")  # one of several names
    return list(found.values())


def tried(target: str, columns: list[str]) -> dict[str, Any]:
    """Try a class."""
    accepted = in_a_fork(specified, target)
    if isinstance(accepted, Failure):
        return {"words": "", **dict.fromkeys(columns, f"refused: {accepted.reason}")}
    case = Case(target, accepted[0])
    words = " + ".join(accepted[0].optimizer_needs)
    if accepted[0].parameter_groups:
        words += f"; groups {accepted[0].parameter_groups}"
    given = HYPERPARAMETERS.get(target)
    return {
        "words": f"{words}; {given}" if given else words,
        **{name: COLUMNS[name](case) for name in columns},
    }


def table(results: Mapping[str, Mapping[str, str]], columns: list[str]) -> str:
    """The table as Markdown."""
    lines = [
        f"| package | class | words | {' | '.join(columns)} |",
        "|---" * (3 + len(columns)) + "|",
    ]
    for target, row in results.items():
        cells = [row["package"], target.partition(":")[2], row["words"]]
        cells += [row.get(column, "") for column in columns]
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Try the classes of the modules that the command line names."""
    parser = argparse.ArgumentParser(description="Try the optimizers of other packages.")
    parser.add_argument("modules", nargs="*", help="Modules or package:Class; all if none.")
    parser.add_argument("--columns", default=",".join(COLUMNS), help="Names, with commas.")
    parser.add_argument("--json", type=Path, help="Read what was tried before, and add to it.")
    options = parser.parse_args()
    columns = options.columns.split(",")
    results: dict[str, dict[str, str]] = {}
    if options.json and options.json.exists():
        results = json.loads(options.json.read_text())
    torch.set_num_threads(1)  # forks of a process with threads hang
    for name in options.modules or PACKAGES:
        module, _, chosen = name.partition(":")
        try:
            targets = [name] if chosen else classes_of(module)
        except ImportError as error:
            print(f"{name} is not installed: {error}", file=sys.stderr)
            continue
        if chosen:
            classes_of(module)
        distribution = PACKAGES.get(module, module)
        version = importlib.metadata.version(distribution)
        for target in targets:
            row = results.setdefault(target, {})
            missing = [column for column in columns if column not in row]
            if missing:
                row |= {"package": f"{distribution} {version}", **tried(target, missing)}
                print(target, *(row[column] for column in missing), sep="\t", file=sys.stderr)
                if options.json:
                    options.json.write_text(json.dumps(results, indent=1))
    print(table(results, columns))


if __name__ == "__main__":
    main()
