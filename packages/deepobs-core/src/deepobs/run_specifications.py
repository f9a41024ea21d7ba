"""What describes a run, and tells it from others; without torch."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict

from deepobs.checks import number_and_unit
from deepobs.html_views import facts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

DEFAULT_SEED = 42
DEFAULT_LOG_INTERVAL = 10
EVERY_EPOCH = "1epoch"
"""How often runs are evaluated by default."""

# Of a specification as text: the first always, the last never, others where they are no default.
_ALWAYS_SHOWN = (
    *("testproblem", "optimizer", "hyperparameters", "batch_size", "num_epochs", "random_seed"),
)
_NOT_SHOWN = (
    *("optimizer_target", "defined_as", "optimizer_source", "code", "at_defaults", "device"),
)
_VARIED = frozenset({"hyperparameters", "at_defaults", "random_seed"})
"""What runs of a sweep differ in."""

_NOT_PART_OF_THE_IDENTITY = {
    *("device", "train_log_interval", "log_gradient_norm", "at_defaults", "label", "defined_as"),
}
STEP_OPTIONS = (
    *("precision", "accumulate", "clip_norm", "clip_value", "compile_mode", "channels_last"),
)
"""Fields of a specification about how steps are computed; most runs have them at their defaults."""
PRECISIONS = ("bf16", "fp16")
COMPILE_MODES = (*("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"),)

_PLAIN = ("plain",)


def usual_recalibration(needs: Collection[str]) -> int:
    """The `bn_recalibration` of runs that are given none.

    Args:
        needs: The step protocol. With modes, the evaluated weights are averages: the number for
            these is what the authors of schedule-free optimizers advise.
    """
    return 50 if "mode" in needs else 0


def _with_infinities(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_infinities(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_infinities(item) for item in value]
    return _INFINITIES.get(value, value) if isinstance(value, str) else value


_INFINITIES = {"Infinity": math.inf, "-Infinity": -math.inf}
STORED = ConfigDict(ser_json_inf_nan="strings")
"""For models with `Values`: JSON has no infinite numbers, and pydantic would write them as null."""

Values = Annotated[dict[str, Any], BeforeValidator(_with_infinities)]
"""Values by name; infinite numbers are the texts "Infinity" and "-Infinity" in a file."""


class LrScheduler(BaseModel):
    """A PyTorch learning-rate scheduler and its arguments.

    Attributes:
        name: "warmup", "cosine" or "trapezoid", a class of `torch.optim.lr_scheduler`, or
            `package.module:Class`.
        arguments: What its constructor takes besides the optimizer, and the `metric` that it
            follows. The texts "num_epochs" and "num_steps" stand for the length of the run, "lr"
            for the optimizer's learning rate; `schedulers` is a list of descriptions.
        every: When it advances: after each epoch or after each step.
    """

    model_config = STORED | ConfigDict(frozen=True, extra="forbid")

    name: str
    arguments: Values = {}
    every: Literal["epoch", "step"] = "epoch"


class RunSpecification(BaseModel):
    """One (problem, optimizer, hyperparameters, batch size, epochs, seed), and how to measure it.

    The same specification gives the same numbers. Made by `deepobs.runs.specify`, which checks all
    of it and fills in the defaults.

    Attributes:
        testproblem: Name of the test problem, `distribution:name` where that is needed.
        optimizer: Name of the optimizer in result files.
        optimizer_target: Its class, as `package.module:Class`: as it was named, where it was.
        defined_as: The same class by the module and the name with which it is defined, where these
            are others; not part of the identity, but of that of earlier releases.
        optimizer_source: A fingerprint of the optimizer's code if no release vouches for it, else
            empty: changed code makes a different run.
        code: Fingerprints of all other code that the run executes and no release vouches for, by
            its part in the run: "problem", "dataset", "optimizers" (that it wraps, or of groups),
            "lr_scheduler" or the name of a plugin.
        hyperparameters: Arguments of the optimizer by name, those that were given and the learning
            rate.
        at_defaults: Those of them that are at the defaults of its constructor, sorted: to give them
            or not is the same run.
        optimizer_needs: Step protocol of the optimizer, words of `NEEDS`, sorted: empty for
            `plain`, unless that was declared where another one would be inferred. `mode` and
            `model` are no part of the step.
        parameter_groups: Further hyperparameters by parameter role.
        batch_size: Examples per step.
        num_epochs: Passes over the training set; a run with `max_steps` may end before.
        random_seed: Seed of the initial weights, the data order and every other draw.
        weight_decay: Factor of the problem's regularizer, `None` for the problem's default.
        lr_sched_epochs: Epochs after which the learning rate changes.
        lr_sched_factors: Factors of the initial learning rate from these epochs on.
        lr_scheduler: A PyTorch scheduler that sets the learning rate.
        validation_size: Number of training examples held out for validation.
        full_evaluation: Whether evaluation includes the last, smaller batch of a split.
        bare_losses: Whether reported losses exclude the regularizer.
        reshuffle: Whether every epoch has a new order of the training data.
        max_steps: Optimization steps after which the run ends, also within an epoch; `None` for no
            limit.
        train_fraction: Part of the training examples that is trained on.
        evaluate_every: From one evaluation to the next: "1epoch", "5epochs" or "500steps".
        bn_recalibration: Number of training batches from which the running statistics of
            normalization are computed for every evaluation; 0 to evaluate with those of training.
        precision: Type in which `torch.autocast` evaluates the model, "bf16" or "fp16"; `None` for
            `dtype` throughout.
        accumulate: Number of micro-batches of each batch whose gradients are added up.
        clip_norm: Largest norm of the gradient of all parameters; `None` to not clip it.
        clip_value: Largest absolute value in a gradient; `None` to not clip them.
        compile_mode: Mode of `torch.compile` for the model; `None` to not compile it.
        channels_last: Whether images and kernels lie in memory with their channels last.
        fake_data_fraction: Size of synthetic data sets, 0 for real data.
        dtype: Floating-point type of data and model.
        device: Where the run takes place; not part of its identity.
        train_log_interval: Steps between recorded minibatch losses; not part of the identity, so
            that a finished run is not repeated just to log other steps.
        log_gradient_norm: Whether the norm of the gradient is recorded at the same steps, as it is
            in any case with `clip_norm`; not part of the identity either.
        label: What the results call the optimizer, such as "Momentum 0.99"; empty for its name.
            Not part of the identity: another name for it is no other run.
    """

    model_config = STORED | ConfigDict(frozen=True, extra="forbid")

    testproblem: str
    optimizer: str
    optimizer_target: str
    defined_as: str = ""
    optimizer_source: str = ""
    code: dict[str, str] = {}
    hyperparameters: Values
    at_defaults: tuple[str, ...] = ()
    optimizer_needs: tuple[str, ...] = ()
    parameter_groups: dict[str, Values] = {}
    batch_size: int
    num_epochs: int
    random_seed: int = DEFAULT_SEED
    weight_decay: float | None = None
    lr_sched_epochs: tuple[int, ...] | None = None
    lr_sched_factors: tuple[float, ...] | None = None
    lr_scheduler: LrScheduler | None = None
    validation_size: int = 0
    full_evaluation: bool = False
    bare_losses: bool = False
    reshuffle: bool = True
    max_steps: int | None = None
    train_fraction: float = 1.0
    evaluate_every: str = EVERY_EPOCH
    bn_recalibration: int = 0
    precision: Literal["bf16", "fp16"] | None = None
    accumulate: int = 1
    clip_norm: float | None = None
    clip_value: float | None = None
    compile_mode: str | None = None
    channels_last: bool = False
    fake_data_fraction: float = 0.0
    dtype: str = "float32"
    device: str = "cpu"
    train_log_interval: int = DEFAULT_LOG_INTERVAL
    log_gradient_norm: bool = False
    label: str = ""

    if TYPE_CHECKING:

        @property
        def command(self) -> str:
            """The command that reproduces the run."""

    @property
    def step_options(self) -> dict[str, Any]:
        """Those of `STEP_OPTIONS` that are not at their defaults, by name."""
        fields = type(self).model_fields
        values = {name: getattr(self, name) for name in STEP_OPTIONS}
        return {name: value for name, value in values.items() if value != fields[name].default}

    @property
    def has_gradient_options(self) -> bool:
        """Whether its gradients are more than those of a plain backward pass."""
        asks = {"accumulate", "clip_norm", "clip_value"} & self.step_options.keys()
        return bool(asks) or self.precision == "fp16" or self.log_gradient_norm

    def epochs_begun(self, steps_per_epoch: int) -> int:
        """The number of epochs, the last of which `max_steps` may end early.

        Args:
            steps_per_epoch: Steps of a pass over the training set.
        """
        if self.max_steps is None:
            return self.num_epochs
        return min(self.num_epochs, -(-self.max_steps // max(steps_per_epoch, 1)))

    def steps_in_all(self, steps_per_epoch: int) -> int:
        """The number of steps.

        Args:
            steps_per_epoch: Steps of a pass over the training set.
        """
        return self.steps_after(self.num_epochs, steps_per_epoch)

    def steps_after(self, epoch: int, steps_per_epoch: int) -> int:
        """The number of steps up to the end of an epoch, the last of which may be shorter.

        Args:
            epoch: The epoch, from 1.
            steps_per_epoch: Steps of a pass over the training set.
        """
        steps = epoch * steps_per_epoch
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def evaluation_interval(self, steps_per_epoch: int) -> int:
        """The number of steps from one evaluation to the next.

        Args:
            steps_per_epoch: Steps of a pass over the training set.
        """
        number, unit = number_and_unit(self.evaluate_every)
        return int(number) * (1 if unit.startswith("step") else max(steps_per_epoch, 1))

    def evaluation_steps(self, steps_per_epoch: int) -> list[int]:
        """The numbers of steps after which the run is evaluated, first 0 and last all of them.

        Args:
            steps_per_epoch: Steps of a pass over the training set.
        """
        steps = self.steps_in_all(steps_per_epoch)
        return [*range(0, steps, self.evaluation_interval(steps_per_epoch)), steps]

    @property
    def run_id(self) -> str:
        """A hash of everything the numbers depend on, whatever the order of its parts."""
        kept: str | None = vars(self).get("_run_id")
        if kept is not None:
            return kept
        # A sweep asks for it many times. As `functools.cached_property`, it would be among the
        # fields over which one can iterate.
        vars(self)["_run_id"] = run_id = self._hash(self._target)
        return run_id

    @property
    def _target(self) -> str:
        target = self.optimizer_target
        # The same code is in `__main__` of a script or notebook, and in a module for a worker: what
        # it is, its fingerprint says.
        return target.rpartition(":")[2] if self.optimizer_source else target

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the specification; see `pydantic.BaseModel.model_copy`.

        Args:
            update: Values of fields, which are not checked.
            deep: Whether to copy the values of all fields.
        """
        update = update or {}
        if deep or not _VARIED.issuperset(update):
            copied = super().model_copy(update=update, deep=deep)
            for name in ("_run_id", "_kept_frame"):
                vars(copied).pop(name, None)
            return copied
        # Tens of thousands of runs of a sweep are such copies. They share all else, the text of
        # their identities included. A copy of the dictionary is smaller than a new one.
        with contextlib.suppress(ValueError):  # infinite numbers
            vars(self)["_kept_frame"] = self._frame(self._target)
        values = vars(self).copy()
        values.update(update)
        values.pop("_run_id", None)
        named = self.__pydantic_fields_set__
        copied = object.__new__(type(self))
        object.__setattr__(copied, "__dict__", values)
        object.__setattr__(copied, "__pydantic_extra__", None)
        object.__setattr__(copied, "__pydantic_private__", None)
        object.__setattr__(
            copied,
            "__pydantic_fields_set__",
            named if named.issuperset(update) else named | {*update},
        )
        return copied

    @property
    def family(self) -> object | None:
        """An object that copies share which differ in nothing but hyperparameters and seed.

        `None` if there are no such copies, or none is known.
        """
        return vars(self).get("_kept_frame")

    @property
    def earlier_forms(self) -> Iterator[tuple[RunSpecification, str]]:
        """This specification and its `run_id` as earlier releases had them.

        They took arguments at their defaults, the step protocol "plain" and the module of an
        optimizer for parts of the identity, and called a class as its definition does.
        """
        named = [self]
        if self.defined_as:
            update = {"optimizer_target": self.defined_as, "defined_as": ""}
            if self.optimizer == _last_name(self.optimizer_target):
                update["optimizer"] = _last_name(self.defined_as)
            named.append(self.model_copy(update=update))
            yield named[-1], named[-1].run_id
        for one in named:
            for at_defaults in sorted({self.at_defaults, ()}, reverse=True):
                for needs in dict.fromkeys([self.optimizer_needs, self.optimizer_needs or _PLAIN]):
                    form = one.model_copy(
                        update={"at_defaults": at_defaults, "optimizer_needs": needs}
                    )
                    yield form, form._hash(form.optimizer_target)

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        for name in _ALWAYS_SHOWN:
            yield name, getattr(self, name)
        for name, described in type(self).model_fields.items():
            value = getattr(self, name)
            if name not in (*_ALWAYS_SHOWN, *_NOT_SHOWN) and value != described.default:
                yield name, value

    def _repr_html_(self) -> str:
        return facts("Specification of a run", dict(self.__repr_args__()) | {"run_id": self.run_id})

    def _hash(self, target: str) -> str:
        try:
            before, between, after = self._frame(target)
            of_run = _CANONICAL.encode(self._given())
            seed = self.random_seed
            of_seed = "" if seed == DEFAULT_SEED else f',"random_seed":{seed}'
            canonical = f'{{{before}"hyperparameters":{of_run}{between}{of_seed}{after}}}'
        except ValueError:  # infinite numbers
            fields = self.model_dump(mode="json", exclude_defaults=True)
            canonical = json.dumps(
                self._identity(target, fields), sort_keys=True, separators=(",", ":")
            )
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def _frame(self, target: str) -> tuple[str, str, str]:
        """The canonical text of the identity, around its hyperparameters and its seed."""
        kept: tuple[str, str, str] | None = vars(self).get("_kept_frame")
        if kept is not None and target == self._target:
            return kept
        identity = self._identity(target, vars(self))
        texts = {
            name: f'"{name}":{_CANONICAL.encode(identity[name])}'
            for name in sorted(identity.keys() - _VARIED)
        }
        return (
            "".join(f"{text}," for name, text in texts.items() if name < "hyperparameters"),
            "".join(
                f",{text}"
                for name, text in texts.items()
                if "hyperparameters" < name < "random_seed"
            ),
            "".join(f",{text}" for name, text in texts.items() if name > "random_seed"),
        )

    def _given(self) -> dict[str, Any]:
        """The hyperparameters that are part of the identity."""
        at_defaults = self.at_defaults
        return {k: v for k, v in self.hyperparameters.items() if k not in at_defaults}

    def _identity(self, target: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        # Fields at their defaults are excluded: a field added in a later release then leaves the
        # identity of every run without it, and so all finished results, as they are.
        identity = {
            name: fields[name]
            for name, default in _identity_defaults(type(self)).items()
            if name in fields and fields[name] != default
        }
        identity["hyperparameters"] = {
            name: value
            for name, value in fields["hyperparameters"].items()
            if name not in self.at_defaults
        }
        identity["optimizer_target"] = target
        # As for the optimizer, in whichever module the class of one's own is.
        if "problem" in self.code:
            identity["testproblem"] = self.testproblem.rpartition(":")[2]
        return identity


@functools.cache
def _identity_defaults(cls: type[RunSpecification]) -> dict[str, Any]:
    """The defaults of the fields that are part of the identity."""
    fields = cls.model_fields.items()
    return {n: field.default for n, field in fields if n not in _NOT_PART_OF_THE_IDENTITY}


def _changed(scheduler: LrScheduler) -> dict[str, Any]:
    return scheduler.model_dump(mode="json", exclude_defaults=True)


_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), allow_nan=False, default=_changed
)


def _last_name(target: str) -> str:
    return target.rpartition(":")[2].rpartition(".")[2]
