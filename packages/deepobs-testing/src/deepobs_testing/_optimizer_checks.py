"""Checks of optimizers: construction, groups, steps, state and runs."""

from __future__ import annotations

import copy
import inspect
import io
import math
import tempfile
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepobs.errors import ArgumentError, TrainingWarning
from deepobs.runs import run, specify
from deepobs.runs.construction import build_as_is, of_groups
from deepobs.runs.constructors import building_needs, constructor_of
from deepobs.runs.optimizer_state import optimizer_state, set_optimizer_state
from deepobs.runs.optimizer_trials import TinyProblem
from deepobs.runs.optimizers import check_class
from deepobs_testing._execution import summary_of
from deepobs_testing._optimizer_subject import Training
from deepobs_testing._process import SEED, UNUSUAL_SEED, changed_settings, process_settings
from deepobs_testing._report import CheckFailedError, require, skip

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs_testing._optimizer_subject import Subject

_FEW = 3
# Some optimizers warm up before they move.
_MANY = 30
# Before and after the state is transferred.
_STEPS = 4

_STORABLE = (
    "Keep the state in attributes, containers, tensors and random number generators, not in "
    "Python generators, files or objects of compiled code."
)

_PROBLEM = "quadratic_deep"
_BATCH_SIZE = 500
_STEPS_OF_A_RUN = 2


def its_target_can_be_imported(subject: Subject) -> None:
    """It is a class with the methods of an optimizer."""
    check_class(subject.choice.optimizer_class)


def it_can_be_built(subject: Subject) -> None:
    """Its constructor has defaults for all arguments, or is given them."""
    try:
        hyperparameters, _ = subject.arguments
    except ArgumentError as error:
        remedy = (
            'Add a default, or give a value to check it with: hyperparameters={"lr": 0.01}, on the '
            "command line -o lr=0.01."
        )
        raise CheckFailedError(str(error), "" if subject.given else remedy) from error
    subject.require_one_pass_over_parameters()
    optimizer: Any = subject.optimizer_of(TinyProblem().model)
    require(
        isinstance(optimizer.param_groups, list) and bool(optimizer.param_groups),
        f"Its param_groups is {getattr(optimizer, 'param_groups', None)!r:.100} after it was built "
        f"with {hyperparameters}; expected is a list of dictionaries.",
        "Call the constructor of torch.optim.Optimizer with the parameters and the defaults.",
    )


def it_has_the_attributes_of_an_optimizer(subject: Subject) -> None:
    """It has what schedulers, checkpoints and torch's own methods read."""
    hyperparameters, groups = subject.arguments
    needs, model = building_needs(subject.optimizer_class), TinyProblem().model
    optimizer = build_as_is(subject.optimizer_class, model, hyperparameters, groups, needs, None)
    wanted = ("defaults", "state", "state_dict", "load_state_dict")
    missing = [name for name in wanted if not hasattr(optimizer, name)]
    require(
        not missing,
        f"It has no {', '.join(missing)}.",
        "Derive it from torch.optim.Optimizer, and call its constructor with the parameters and "
        "the defaults.",
    )


def its_step_protocol_works(subject: Subject) -> str:
    """The step protocol, declared or inferred, works."""
    needs = subject.needs
    training = subject.training()
    try:
        training.take(1)
    except Exception as error:
        raise CheckFailedError(
            f"A step with the protocol {' + '.join(needs) or 'plain'} raises {summary_of(error)}.",
            "Fix the step; if it needs something else of the training loop, declare it in the "
            "description (needs=...): deepobs.plugins.specs.NEEDS lists the words.",
        ) from error
    return f"{' + '.join(needs) or 'plain'} ({'; '.join(subject.detection.reasons)})."


def its_groups_have_their_own_learning_rate(subject: Subject) -> None:
    """The learning rate of a parameter group is used for it."""
    rate = _learning_rate(subject)
    for place in ("first", "last"):
        outcomes = []
        for factor in (1.0, 0.1):
            torch.manual_seed(SEED)
            problem = TinyProblem()
            *others, own = problem.model.parameters()
            if place == "first":
                own, *others = problem.model.parameters()
            own_rate: dict[str, Any] = {"params": [own], "lr": factor * rate}
            groups = [own_rate, {"params": others}]
            optimizer = _of_groups(subject, groups if place == "first" else groups[::-1])
            group = optimizer.param_groups[0 if place == "first" else -1]
            found = group.get("lr")
            require(
                len(optimizer.param_groups) >= 2 and found == factor * rate,
                f"Built with a group of learning rate {factor * rate:g}, its param_groups hold "
                f"{found!r} there.",
                "Pass the groups on to the constructor of torch.optim.Optimizer.",
            )
            training = Training(problem, optimizer, subject.needs)
            training.take(_FEW)
            outcomes.append(own.detach().clone())
        require(
            not torch.equal(*outcomes),
            f"Its {place} parameter group moves alike with the learning rates {rate:g} and "
            f"{0.1 * rate:g} of its own.",
            'Read hyperparameters from each group in step: group["lr"].',
        )


def _of_groups(subject: Subject, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    hyperparameters, roles = subject.arguments
    if roles or constructor_of(subject.optimizer_class)[0] != "params":
        skip("It is built from the model, another optimizer, or parameters of certain roles")
    try:
        optimizer = of_groups(subject.optimizer_class, groups, hyperparameters)
    except (ValueError, TypeError) as error:
        skip(f"It takes no parameter groups: {summary_of(error)}")
    return optimizer


def a_schedule_can_change_its_learning_rate(subject: Subject) -> None:
    """A learning rate that is written to `param_groups` before a step is used in it."""
    rate = _learning_rate(subject)
    outcomes = []
    for factor in (1.0, 0.1):
        training = subject.training()
        for group in training.optimizer.param_groups:
            require(
                "lr" in group,
                f"Its constructor takes lr, but a group of param_groups has only "
                f"{', '.join(name for name in group if name != 'params')}.",
                "Add lr to the defaults: torch's schedulers look for it in the groups.",
            )
            group["lr"] = factor * group["lr"]
        training.take(_FEW)
        outcomes.append(training.numbers())
    require(
        outcomes[0] != outcomes[1],
        f"It moves alike whether lr in its groups is {rate:g} or {0.1 * rate:g}.",
        'Read the learning rate in step, group["lr"], and not in the constructor.',
    )


def _learning_rate(subject: Subject) -> float:
    hyperparameters, _ = subject.arguments
    if "lr" not in constructor_of(subject.optimizer_class)[1]:
        skip("Its constructor takes no learning rate lr")
    rate = hyperparameters["lr"]
    if not isinstance(rate, (int, float)) or not rate:
        skip(f"Its learning rate is {rate!r}, not a number that can be changed")
    return float(rate)


def steps_change_the_parameters(subject: Subject) -> None:
    """After some steps, the parameters are different."""
    training = subject.training()
    before = training.numbers()
    training.take(_MANY)
    require(
        training.numbers() != before,
        f"After {_MANY} steps with {subject.arguments[0]}, all parameters are unchanged.",
        "Change the parameters in place, under torch.no_grad(): parameter.add_(...).",
    )


def it_trains_all_parameters(subject: Subject) -> None:
    """Each parameter that has a gradient changes within some steps."""
    training = subject.training()
    named = dict(training.problem.model.named_parameters())
    before = {name: one.detach().clone() for name, one in named.items()}
    training.take(_MANY)
    same = [name for name, one in named.items() if torch.equal(one, before[name])]
    if len(same) == len(named):
        skip("It changes nothing (see steps_change_the_parameters)")
    require(
        not same,
        f"Of the parameters of a small network, {_MANY} steps do not change {', '.join(same)}.",
        "Train them, or say in its documentation which it leaves out: a run warns of them.",
    )


def it_stays_finite_on_a_small_problem(subject: Subject) -> None:
    """With its defaults, some steps on a network of a few weights give finite losses."""
    training = subject.training()
    losses = training.take(_MANY)
    require(
        all(map(math.isfinite, [*losses, *training.numbers()])),
        f"With {subject.arguments[0]}, losses or parameters are not finite within {_MANY} steps: "
        f"{losses[:1]} at first, {losses[-1:]} at last.",
        "Look for quotients of 0, such as where a gradient is 0, or choose a smaller default "
        "learning rate.",
    )


def the_same_seed_gives_the_same_steps(subject: Subject) -> None:
    """Built twice in one process, it takes the same steps."""
    ends = []
    for _ in range(2):
        training = subject.training()
        training.take(_FEW)
        ends.append(training.numbers())
    require(
        ends[0] == ends[1],
        f"Built twice from one seed, {_FEW} steps end at {ends[0][:2]}... and {ends[1][:2]}...",
        "Keep its state in self.state, not in the class or the module, and draw random numbers "
        "from torch's global generator.",
    )


def settings_of_the_process_are_left_alone(subject: Subject) -> None:
    """The constructor and steps change neither torch's seed nor settings of the process."""
    before = process_settings()
    training = subject.training()
    torch.manual_seed(UNUSUAL_SEED)
    training.take(_FEW)
    seed = torch.initial_seed()
    changed = changed_settings(before)
    require(
        not changed,
        f"Constructor or steps change {', '.join(changed)}.",
        "Give new tensors the type and device of the parameters instead: torch.zeros_like(...).",
    )
    require(
        seed == UNUSUAL_SEED,
        f"A step sets torch's seed to {seed}.",
        "Do not call torch.manual_seed in an optimizer: noise and the order of the data would be "
        "the same in every step and for every seed. Use a torch.Generator of its own.",
    )


def zero_grad_clears_the_gradients(subject: Subject) -> None:
    """After `zero_grad`, no parameter has a gradient other than 0."""
    problem = TinyProblem()
    optimizer = subject.optimizer_of(problem.model)
    loss, _ = problem.get_batch_loss_and_accuracy(problem.batch, reduction="mean")
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.zero_grad()
    # Those that it does not train are of no concern here.
    own = {id(one) for group in optimizer.param_groups for one in group["params"]}
    named = [(name, one) for name, one in problem.model.named_parameters() if id(one) in own]
    left = [name for name, one in named if one.grad is not None and one.grad.any()]
    require(
        not left,
        f"After zero_grad, {', '.join(left)} still has a gradient.",
        "Inherit zero_grad from torch.optim.Optimizer, and put all parameters into param_groups.",
    )


def parameters_without_a_gradient_are_skipped(subject: Subject) -> None:
    """A parameter on which the loss does not depend is ignored."""
    torch.manual_seed(0)
    problem = TinyProblem()
    # A matrix: a vector would be left to the other optimizer beside one of matrices only.
    unused = nn.Parameter(torch.ones(2, 2, device="cpu"))
    problem.model[0].register_parameter("unused", unused)
    training = subject.training(problem)
    training.take(_FEW)
    require(
        all(map(math.isfinite, training.numbers())),
        "With a parameter that has no gradient, parameters are not finite after some steps.",
        "Skip parameters whose grad is None.",
    )


def a_closure_is_called(subject: Subject) -> None:
    """If `step` takes a closure, it calls it and returns its loss."""
    if {"loss", "per_example_losses"} & set(subject.needs):
        skip("Its step takes a loss in place of a closure")
    if "closure" not in inspect.signature(subject.optimizer_class.step).parameters:
        skip("Its step takes no closure")
    if subject.arguments[1]:
        skip("It trains only some of the parameters, beside another optimizer")
    training = subject.training()
    losses: list[Tensor] = []
    closure = training.closure(losses)
    # These read gradients before they call the closure, as after a backward pass of the loop.
    if {"gradients", "create_graph"} & set(subject.needs):
        closure()
        losses.clear()
    optimizer: Any = training.optimizer
    if "mode" in subject.needs:
        optimizer.train()
    returned = optimizer.step(closure)
    require(
        bool(losses),
        "step(closure) does not call the closure.",
        "Call it at the beginning of step, under torch.enable_grad().",
    )
    require(
        returned is not None,
        "step(closure) returns None; expected is the loss that the closure returned.",
        "End step with return loss, like the optimizers of torch.",
    )


def its_state_dict_resumes_bit_for_bit(subject: Subject) -> None:
    """A new optimizer that loads its `state_dict` takes the same further steps."""

    def carry(source: Any, target: Any) -> None:
        # A state_dict shares its tensors with the optimizer, which goes on to change them.
        target.optimizer.load_state_dict(copy.deepcopy(source.optimizer.state_dict()))

    _require_same_steps(
        subject,
        carry,
        "load_state_dict(state_dict())",
        "Keep the state in self.state[parameter] or in the groups, as tensors of the parameter's "
        "type: counters, averages and previous iterates.",
    )


def an_interrupted_run_resumes_bit_for_bit(subject: Subject) -> None:
    """A new optimizer that is restored from a checkpoint takes the same further steps."""

    def carry(source: Any, target: Any) -> None:
        state = optimizer_state(source.optimizer, source.problem.model)
        left_out = "; ".join(f"{path}, {what}" for path, what in state["left_out"].items())
        require(not left_out, f"A checkpoint cannot hold {left_out}.", _STORABLE)
        loaded = _saved_and_loaded(state)
        set_optimizer_state(loaded, target.optimizer, target.problem.model)

    _require_same_steps(
        subject,
        carry,
        "a checkpoint",
        _STORABLE,
    )


def _require_same_steps(
    subject: Subject, carry: Callable[[Any, Any], None], way: str, remedy: str
) -> None:
    training = subject.training()
    training.take(_STEPS)
    resumed = training.resumed(subject, carry)
    # Both must draw the same noise: the state of torch's RNG is that of the run, not its own.
    torch.manual_seed(0)
    training.take(_STEPS)
    torch.manual_seed(0)
    resumed.take(_STEPS)
    found, expected = resumed.numbers(), training.numbers()
    different = [pair for pair in zip(found, expected, strict=True) if pair[0] != pair[1]]
    require(
        not different,
        f"After {way}, {_STEPS} further steps end elsewhere than without: {len(different)} of "
        f"{len(found)} parameters differ, the first is {different[0] if different else ''}.",
        remedy,
    )


def its_state_can_be_saved(subject: Subject) -> None:
    """Its `state_dict` survives a file that is loaded with `weights_only`."""
    training = subject.training()
    training.take(_STEPS)
    _saved_and_loaded(training.optimizer.state_dict())


def _saved_and_loaded(state: Any) -> Any:
    # Through a file: a state that is handed over in memory may share tensors or hold functions.
    file = io.BytesIO()
    try:
        torch.save(state, file)
        file.seek(0)
        return torch.load(file, weights_only=True)
    except Exception as error:
        raise CheckFailedError(
            f"Its state cannot be saved and loaded with weights_only=True: {summary_of(error)}.",
            "Let the state hold only tensors, numbers, texts, and lists and dictionaries of these.",
        ) from error


def the_run_loop_trains_with_it(subject: Subject) -> None:
    """A run on a small problem takes its steps and writes a result file."""
    hyperparameters, groups = subject.arguments
    offer = subject.target.offer
    optimizer_class = subject.optimizer_class if offer is None else None
    specification = specify(
        _PROBLEM,
        subject.optimizer_class if offer is None else offer.qualified_name,
        hyperparameters,
        parameter_groups=groups or None,
        batch_size=_BATCH_SIZE,
        num_epochs=1,
        device="cpu",
    )
    with tempfile.TemporaryDirectory() as directory, warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)  # checks of their own look at that
        record = run(specification, optimizer_class=optimizer_class, output_dir=directory).record
    require(
        record.steps == _STEPS_OF_A_RUN and record.gradient_evaluations >= _STEPS_OF_A_RUN,
        f"A run of {_STEPS_OF_A_RUN} steps on {_PROBLEM} took {record.steps} steps with "
        f"{record.gradient_evaluations} gradients; its status is {record.status}.",
        "Look for steps that return early, and for defaults that make the first losses infinite.",
    )
