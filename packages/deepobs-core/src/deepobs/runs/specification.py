"""Specifying a run: checks of every value, and the command that reproduces it."""

from __future__ import annotations

import itertools
import shlex
from typing import TYPE_CHECKING, Any

from deepobs import checks, config
from deepobs.checks import in_json_types
from deepobs.data.base import BaseDataSet, part_of
from deepobs.errors import ArgumentError, DeepOBSError
from deepobs.literals import written_literal
from deepobs.plugins import registry
from deepobs.run_specifications import (
    DEFAULT_LOG_INTERVAL,
    DEFAULT_SEED,
    EVERY_EPOCH,
    LrScheduler,
    RunSpecification,
    usual_recalibration,
)
from deepobs.runs.optimizer_checks import flags_of, resolve_optimizer, stand_in_of, with_numbers
from deepobs.runs.optimizers import find_optimizer, target_of_name
from deepobs.runs.own_code import own_code
from deepobs.runs.step_options import check_step_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import torch

    from deepobs.plugins import ProblemSpec
    from deepobs.protocols import TestProblem
    from deepobs.runs.optimizers import OptimizerChoice

_LARGEST_SEED = 2**32 - 1  # NumPy takes no larger one


def specify(
    testproblem: str | type[TestProblem],
    optimizer: str | type[torch.optim.Optimizer],
    hyperparameters: Mapping[str, object] | None = None,
    *,
    needs: Iterable[str] | None = None,
    parameter_groups: Mapping[str, Mapping[str, object]] | None = None,
    batch_size: int | None = None,
    num_epochs: int | None = None,
    random_seed: int = DEFAULT_SEED,
    weight_decay: float | None = None,
    lr_sched_epochs: Sequence[int] | None = None,
    lr_sched_factors: Sequence[float] | None = None,
    lr_scheduler: str | Mapping[str, object] | LrScheduler | None = None,
    validation_size: int = 0,
    full_evaluation: bool = False,
    bare_losses: bool = False,
    reshuffle: bool = True,
    max_steps: int | None = None,
    train_fraction: float = 1.0,
    evaluate_every: str = EVERY_EPOCH,
    bn_recalibration: int | None = None,
    precision: str | None = None,
    accumulate: int = 1,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    log_gradient_norm: bool = False,
    compile_mode: str | None = None,
    channels_last: bool = False,
    device: str | torch.device | None = None,
    train_log_interval: int = DEFAULT_LOG_INTERVAL,
    label: str = "",
) -> RunSpecification:
    """Specify a run: check every value and fill in the defaults, before any work starts.

    Args:
        testproblem: Name of a test problem, `package.module:Class` or a class.
        optimizer: Name of an optimizer, `package.module:Class` or a class.
        hyperparameters: Arguments of the optimizer by name.
        needs: Step protocol of the optimizer, words of `NEEDS`; `None` to infer it.
        parameter_groups: Further hyperparameters for the parameters of a role: `embedding`, `head`,
            `hidden`, `vector` or `others`. The key `optimizer` names another optimizer for them.
        batch_size: Examples per step; `None` for the problem's default.
        num_epochs: Passes over the training set; `None` for the problem's default, or for as many
            as `max_steps` takes.
        random_seed: Seed of everything random.
        weight_decay: Factor of the problem's regularizer; `None` for its default.
        lr_sched_epochs: Epochs after which the learning rate changes, increasing.
        lr_sched_factors: Factors of the initial learning rate from these epochs on.
        lr_scheduler: A schedule: "constant", "warmup", "cosine", "trapezoid", "recommended" for
            that of the problem, or a class of `torch.optim.lr_scheduler`. Its name, or a mapping of
            `name`, `arguments` and `every` ("epoch" or "step").
        validation_size: Number of training examples held out for validation.
        full_evaluation: Include the last, smaller batch of a split in evaluation.
        bare_losses: Exclude the regularizer from reported losses.
        reshuffle: Draw a new order of the training data for every epoch. With `False`, all epochs
            have that of the first, as in the runs that were published with the paper.
        max_steps: Optimization steps after which the run ends, with an evaluation, if `num_epochs`
            do not end it before; `None` for no limit.
        train_fraction: Part of the training examples to train on, above 0 and at most 1. They are
            the first of a fixed order, so that those of a smaller fraction are among those of a
            larger one; validation and test examples stay the same.
        evaluate_every: From one evaluation to the next, such as "5epochs" or "500steps". The first
            is before training, the last at the end of the run. It does not change the training.
        bn_recalibration: Number of training batches from which the running statistics of batch
            normalization are computed for every evaluation after training began; 0 to evaluate with
            those of training; `None` for 50 if the optimizer has modes, else 0.
        precision: "bf16" or "fp16" to evaluate the model in `torch.autocast`, in training and in
            evaluation; losses, regularizer, weights and optimizer stay in float32. `None` for
            float32 throughout.
        accumulate: Number of micro-batches into which each batch is split to save memory; their
            gradients add up to that of the batch.
        clip_norm: Scale the gradient of all parameters down to this norm where it is larger.
        clip_value: Limit each component of the gradient to this absolute value.
        log_gradient_norm: Record the norm of the gradient, before it is clipped, at every
            `train_log_interval`-th step; always recorded with `clip_norm`.
        compile_mode: Compile the model with `torch.compile` in this mode: "default",
            "reduce-overhead", "max-autotune" or "max-autotune-no-cudagraphs".
        channels_last: Store images and kernels of convolutions with their channels last.
        device: Where to run; `None` for `config.get_default_device()`.
        train_log_interval: Steps between recorded minibatch losses.
        label: What tables and figures call the optimizer; empty for its name.

    Raises:
        DeepOBSError: A name is unknown, or a value is out of range.
    """
    problems = registry().problems
    problem = problems.offer(testproblem).spec
    choice, chosen, at_defaults, groups, protocol = resolve_optimizer(
        optimizer, hyperparameters, groups=parameter_groups, needs=needs
    )
    sched_epochs = sched_factors = None
    if lr_sched_epochs is not None or lr_sched_factors is not None:
        if lr_scheduler is not None:
            raise ArgumentError(
                "A learning rate follows a step schedule or a scheduler, not both; got "
                f"lr_sched_epochs={lr_sched_epochs} and lr_scheduler={lr_scheduler!r}. "
                "Leave one out."
            )
        sched_epochs, sched_factors = _checked_schedule(lr_sched_epochs, lr_sched_factors, chosen)
    # The description of the data set tells whether they fit: loading the data could take minutes.
    batch_size = checks.integer(
        "batch_size", problem.batch_size if batch_size is None else batch_size, least=1
    )
    validation_size = checks.integer("validation_size", validation_size, least=0)
    train_fraction = checks.fraction("train_fraction", train_fraction)
    check_sizes(problem, batch_size, validation_size, train_fraction)
    if max_steps is not None:
        max_steps = checks.integer("max_steps", max_steps, least=1)
    if num_epochs is None:
        num_epochs = problem.epochs if max_steps is None else max_steps
    num_epochs = checks.integer("num_epochs", num_epochs, least=0)
    interval = checks.evaluation_interval(evaluate_every)
    if not interval:
        raise ArgumentError(
            "evaluate_every must be a number of epochs or steps, such as 5epochs or 500steps; got "
            f"{evaluate_every!r}."
        )
    if lr_scheduler is not None:
        from deepobs.runs.schedulers import chosen_scheduler

        lr_scheduler = chosen_scheduler(lr_scheduler, problem)
    if lr_scheduler is not None:
        from deepobs.runs.schedulers import StandIn, check_scheduler

        key, build = stand_in_of(choice, chosen, groups)
        lr_scheduler = check_scheduler(
            lr_scheduler,
            validation_size=validation_size,
            evaluate_every=interval,
            most_steps=_most_steps(problem, batch_size, num_epochs, max_steps),
            stand_in=StandIn(choice.name, key, build),
        )
    dtype = str(config.get_dtype()).removeprefix("torch.")
    step_options = check_step_options(
        choice.name,
        protocol,
        batch_size=batch_size,
        dtype=dtype,
        precision=precision,
        accumulate=accumulate,
        clip_norm=clip_norm,
        clip_value=clip_value,
        log_gradient_norm=log_gradient_norm,
        compile_mode=compile_mode,
        channels_last=channels_last,
    )
    if bn_recalibration is None:
        bn_recalibration = usual_recalibration(protocol)
    return RunSpecification(
        testproblem=problems.usable_name(testproblem),
        optimizer=choice.name,
        optimizer_target=choice.target,
        defined_as=choice.defined_as,
        optimizer_source=choice.source,
        code=own_code(testproblem, choice, chosen, groups, lr_scheduler),
        hyperparameters=chosen,
        at_defaults=at_defaults,
        optimizer_needs=protocol,
        parameter_groups=groups,
        batch_size=batch_size,
        num_epochs=num_epochs,
        random_seed=checks.integer("random_seed", random_seed, least=0, most=_LARGEST_SEED),
        weight_decay=(
            None if weight_decay is None else checks.non_negative("weight_decay", weight_decay)
        ),
        lr_sched_epochs=sched_epochs,
        lr_sched_factors=sched_factors,
        lr_scheduler=lr_scheduler,
        validation_size=validation_size,
        full_evaluation=bool(full_evaluation),
        bare_losses=bool(bare_losses),
        reshuffle=bool(reshuffle),
        max_steps=max_steps,
        train_fraction=train_fraction,
        evaluate_every=interval,
        bn_recalibration=checks.integer("bn_recalibration", bn_recalibration, least=0),
        # Part of the identity, so that results on synthetic data never pass for those on real data.
        fake_data_fraction=config.get_fake_data_fraction(),
        dtype=dtype,
        device=str(config.resolve_device(device)),
        train_log_interval=checks.integer("train_log_interval", train_log_interval, least=1),
        **step_options,
        label="" if label == choice.name else label,
    )


def specify_each(
    testproblem: str | type[TestProblem],
    optimizer: str | type[torch.optim.Optimizer],
    points: Iterable[Mapping[str, object]],
    **options: Any,
) -> Iterator[RunSpecification | DeepOBSError]:
    """Specify runs that differ in their hyperparameters, as `specify` does.

    Of torch's optimizers, what does not depend on numbers is checked once: sweeps have tens of
    thousands of points.

    Args:
        testproblem: See `specify`.
        optimizer: See `specify`.
        points: The hyperparameters of each run.
        **options: The other arguments of `specify`.

    Yields:
        For each point its run, or why there is none.
    """
    choice: OptimizerChoice | None = None
    has_groups = options.get("parameter_groups") is not None
    examples: dict[object, RunSpecification] = {}
    for point in points:
        try:
            given = in_json_types("Hyperparameters", point)
            kind = flags_of(given)
            run = None
            if kind in examples:
                choice = choice or find_optimizer(optimizer)
                run = with_numbers(choice, examples[kind], given)
            if run is None:
                run = specify(testproblem, optimizer, point, **options)
                if not has_groups:
                    examples[kind] = run
            yield run
        except DeepOBSError as error:
            yield error


def _checked_schedule(
    epochs: Sequence[int] | None,
    factors: Sequence[float] | None,
    hyperparameters: Mapping[str, object],
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    if epochs is None or factors is None or len(epochs) != len(factors):
        raise ArgumentError(
            "A learning-rate schedule needs as many factors as epochs, got "
            f"lr_sched_epochs={epochs!r} and lr_sched_factors={factors!r}."
        )
    if "lr" not in hyperparameters:
        raise ArgumentError(
            "A learning-rate schedule needs an optimizer with a learning rate lr; this one has "
            f"{', '.join(hyperparameters) or 'no hyperparameters'}. Leave the schedule out."
        )
    checked = tuple(checks.integer("lr_sched_epochs", epoch, least=0) for epoch in epochs)
    if any(later <= earlier for earlier, later in itertools.pairwise(checked)):
        raise ArgumentError(f"lr_sched_epochs must increase, got {list(checked)}.")
    return checked, tuple(checks.non_negative("lr_sched_factors", factor) for factor in factors)


def check_sizes(
    problem: ProblemSpec,
    batch_size: int | None = None,
    validation_size: int = 0,
    train_fraction: float = 1.0,
) -> None:
    """Refuse a batch or a validation set that is larger than the data set's description.

    Synthetic data are never more than the real ones: if they are fewer, loading them shows it.

    Args:
        problem: The test problem.
        batch_size: Examples per step; `None` for the problem's default.
        validation_size: Number of training examples held out for validation.
        train_fraction: Part of the training examples to train on.

    Raises:
        ArgumentError: They are larger.
    """
    batch_size = problem.batch_size if batch_size is None else batch_size
    datasets = registry().datasets
    try:
        dataset_class = datasets.load(problem.dataset)
    except DeepOBSError:  # the run will raise it, and say what needs the data set
        return
    # Other packages' data sets may accept fewer examples than a batch has.
    if not (isinstance(dataset_class, type) and issubclass(dataset_class, BaseDataSet)):
        return
    spec = datasets.offer(problem.dataset).spec
    checks.integer("validation_size", validation_size, least=0, most=spec.train_size - 1)
    train = part_of(spec.train_size - validation_size, train_fraction)
    sizes = {"train": train, "test": spec.test_size, "valid": validation_size}
    checks.check_batch_size(batch_size, sizes, spec.name)


def _most_steps(
    problem: ProblemSpec, batch_size: int, num_epochs: int, max_steps: int | None
) -> int | None:
    """The steps of a run by the description of its data, which it may have less of."""
    try:
        train_size = registry().datasets.offer(problem.dataset).spec.train_size
    except DeepOBSError:  # one of its own, or the run will say what is missing
        return max_steps
    steps = num_epochs * -(-train_size // batch_size)
    return steps if max_steps is None else min(steps, max_steps)


def reproduction_command(specification: RunSpecification) -> str:
    """The command that reproduces a run."""
    spec = specification
    problem = registry().problems.find(spec.testproblem)
    optimizer = registry().optimizers.find(spec.optimizer)
    # Another installation may have another optimizer of this name: then only the class is certain.
    # And what was registered in this process has its name in no other one.
    is_named = target_of_name(spec.optimizer) == spec.optimizer_target and (
        optimizer is None or optimizer.distribution
    )
    words = ["deepobs", "run", spec.testproblem]
    if problem is not None and not problem.distribution:
        words[-1] = problem.spec.target
    words.append(spec.optimizer if is_named else spec.optimizer_target)
    for name, value in spec.hyperparameters.items():
        # The option --lr takes floats only, and 1 and 1.0 may be two configurations.
        is_lr = name == "lr" and isinstance(value, float)
        words += ["--lr", repr(value)] if is_lr else ["-o", f"{name}={written_literal(value)}"]
    for word in spec.optimizer_needs:
        words += ["--needs", word]
    for role, values in spec.parameter_groups.items():
        groups = [f"{role}:{name}={written_literal(value)}" for name, value in values.items()]
        for group in groups or [role]:
            words += ["--group", group]
    if spec.num_epochs != spec.max_steps:
        words += ["--epochs", str(spec.num_epochs)]
    if spec.max_steps is not None:
        words += ["--max-steps", str(spec.max_steps)]
    words += ["--batch-size", str(spec.batch_size)]
    words += ["--seed", str(spec.random_seed)]
    epochs, factors = spec.lr_sched_epochs or (), spec.lr_sched_factors or ()
    for epoch, factor in zip(epochs, factors, strict=True):
        words += ["--lr-schedule", f"{epoch}:{factor}"]
    if spec.lr_scheduler is not None:
        words += ["--lr-scheduler", spec.lr_scheduler.name]
        for name, value in spec.lr_scheduler.arguments.items():
            words += ["--lr-scheduler-option", f"{name}={written_literal(value)}"]
        if spec.lr_scheduler.every != "epoch":
            words += ["--lr-scheduler-interval", spec.lr_scheduler.every]
    if spec.weight_decay is not None:
        words += ["--weight-decay", repr(spec.weight_decay)]
    if spec.validation_size:
        words += ["--validation-size", str(spec.validation_size)]
    if spec.train_log_interval != DEFAULT_LOG_INTERVAL:
        words += ["--log-interval", str(spec.train_log_interval)]
    if spec.train_fraction != 1:
        words += ["--train-fraction", repr(spec.train_fraction)]
    if spec.evaluate_every != EVERY_EPOCH:
        words += ["--evaluate-every", spec.evaluate_every]
    if spec.bn_recalibration != usual_recalibration(spec.optimizer_needs):
        words += ["--bn-recalibration", str(spec.bn_recalibration)]
    for name, value in spec.step_options.items():
        option = f"--{name.removesuffix('_mode').replace('_', '-')}"
        words += [option] if value is True else [option, str(value)]
    words += ["--log-gradient-norm"] if spec.log_gradient_norm else []
    words += ["--full-evaluation"] if spec.full_evaluation else []
    words += ["--exclude-regularizer"] if spec.bare_losses else []
    words += [] if spec.reshuffle else ["--no-reshuffle"]
    if spec.dtype != "float32":
        words += ["--dtype", spec.dtype]
    if spec.fake_data_fraction:
        words += ["--fake-data", str(spec.fake_data_fraction)]
    return shlex.join(words)


# Not in `records`, which know neither the registry nor optimizers.
RunSpecification.command = property(reproduction_command)  # type: ignore[assignment,method-assign]
