"""Options of how a model is evaluated: mixed precision, channels last, compilation.

They are put around the `forward` of the model itself, so that they hold for everything that a
problem does with it, in training and in evaluation, and for nothing else: losses and regularizers
are computed from outputs and weights in float32.
"""

from __future__ import annotations

import contextlib
import time
import traceback
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepobs.errors import ArgumentError, TrainingWarning, first_line_of
from deepobs.plugins.provenance import described
from deepobs.runs.running_statistics import layers_with_statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deepobs.protocols import TestProblem
    from deepobs.run_specifications import RunSpecification

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_OF_MODEL = ("precision", "compile_mode", "channels_last")
_OF_IMAGES = 4  # dimensions: batch, channels, height, width


def prepare_model(problem: TestProblem, specification: RunSpecification) -> None:
    """Let the model of a problem be evaluated as a run asks for.

    Args:
        problem: A problem after `set_up`.
        specification: The run.

    Raises:
        ArgumentError: An option would have no effect on this model.
    """
    model, asked = problem.model, specification.step_options
    of_model = [name for name in _OF_MODEL if name in asked]
    if of_model and type(model).forward is nn.Module.forward:
        raise _without_effect(problem, asked, of_model[0], "has a model that is never called")
    if specification.channels_last:
        if all(parameter.ndim != _OF_IMAGES for parameter in model.parameters()):
            raise _without_effect(problem, asked, "channels_last", "has no convolution of images")
        model.to(memory_format=torch.channels_last)
    if of_model:
        model.forward = _Forward(model.forward, specification)
    if specification.compile_mode is not None:
        _start_compiling()
        model.compile(mode=specification.compile_mode)
    if specification.accumulate > 1 and layers_with_statistics(model):
        size = -(-specification.batch_size // specification.accumulate)
        warnings.warn(
            f"{described(problem)} has batch normalization, which normalizes each micro-batch of "
            f"{size} examples on its own with accumulate={specification.accumulate}: numbers "
            f"differ from those of whole batches of {specification.batch_size}.",
            TrainingWarning,
            stacklevel=2,
        )


def check_use(problem: TestProblem, specification: RunSpecification) -> None:
    """Refuse a run whose problem does not use its model in the way that was prepared.

    Args:
        problem: The problem, after an evaluation.
        specification: The run.

    Raises:
        ArgumentError: The model was not called, or not compiled.
    """
    forward, asked = problem.model.forward, specification.step_options
    if not isinstance(forward, _Forward):
        return
    if not forward.was_called:
        name = next(name for name in _OF_MODEL if name in asked)
        raise _without_effect(problem, asked, name, "never calls its model as a whole")
    if specification.compile_mode is not None and not _compilations.count:
        raise ArgumentError(
            f"{described(problem)} has a model that torch.compile did not compile. It is disabled "
            "(TORCHDYNAMO_DISABLE, torch._dynamo.config.disable), or can compile nothing of the "
            "model. Leave compile_mode out."
        )


@contextlib.contextmanager
def executing(specification: RunSpecification) -> Iterator[None]:
    """Let nothing fall back silently to what the run did not ask for.

    Args:
        specification: A run that is executed within the block.

    Raises:
        ArgumentError: Its model cannot be compiled, or not evaluated in its precision.
    """
    with contextlib.ExitStack() as stack:
        if specification.compile_mode is not None:
            import torch._dynamo as dynamo

            # By default, torch executes a model uncompiled, with a warning at most, after an error
            # of the compiler or too many compilations.
            limit = "fail_on_recompile_limit_hit"
            if not hasattr(dynamo.config, limit):  # torch 2.6
                limit = "fail_on_cache_limit_hit"
            stack.enter_context(dynamo.config.patch({limit: True, "suppress_errors": False}))
        try:
            yield
        except Exception as error:
            refusal = _refusal(error, specification)
            if refusal is None:
                raise
            raise refusal from error


def take_compile_seconds() -> float:
    """The seconds of compilation since they were last taken."""
    seconds, _compilations.seconds = _compilations.seconds, 0.0
    return seconds


class _Forward:
    """The `forward` of a model, with its options.

    Args:
        forward: The method itself.
        specification: The run.
    """

    def __init__(self, forward: Callable[..., Any], specification: RunSpecification) -> None:
        self.was_called = False
        self._forward = forward
        self._type = _TYPES.get(specification.precision or "")
        self._device_type = torch.device(specification.device).type
        self._is_channels_last = specification.channels_last

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        self.was_called = True
        if self._is_channels_last:
            inputs = tuple(map(_with_channels_last, inputs))
        if self._type is None:
            return self._forward(*inputs, **named)
        with torch.autocast(self._device_type, self._type):
            outputs = self._forward(*inputs, **named)
        return _in_float32(outputs, self._type)


def _with_channels_last(value: Any) -> Any:
    if isinstance(value, Tensor) and value.ndim == _OF_IMAGES:
        return value.contiguous(memory_format=torch.channels_last)
    return value


def _in_float32(value: Any, narrow: torch.dtype) -> Any:
    """Outputs of a model, however they are nested, with those in a narrow type widened."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype == narrow else value
    if isinstance(value, dict):
        return {name: _in_float32(one, narrow) for name, one in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_in_float32(one, narrow) for one in value)
    return value


@dataclass
class _Compilations:
    """What torch compiled since a model was prepared last, and how long that took."""

    count: int = 0
    seconds: float = 0.0
    start: float = 0.0


_compilations = _Compilations()


def _start_compiling() -> None:
    """Forget what was compiled before, and measure what will be."""
    import torch._dynamo as dynamo
    from torch._dynamo.callback import callback_handler

    # Models of earlier runs in this process share code with this one, and so its compilations: one
    # run would be compiled and the next not, until there are too many for any.
    dynamo.reset()
    vars(_compilations).update(vars(_Compilations()))
    callback_handler.register_start_callback(_compilation_begins)
    callback_handler.register_end_callback(_compilation_ends)


def _compilation_begins(*_details: object) -> None:  # none with torch 2.6
    _compilations.start = time.perf_counter()


def _compilation_ends(*_details: object) -> None:
    _compilations.count += 1
    _compilations.seconds += time.perf_counter() - _compilations.start


def _without_effect(
    problem: TestProblem, asked: dict[str, Any], name: str, fact: str
) -> ArgumentError:
    return ArgumentError(
        f"{described(problem)} {fact}, so {name}={asked[name]} has no effect. Leave it out."
    )


def _refusal(error: Exception, specification: RunSpecification) -> ArgumentError | None:
    """What to tell the user of an error that an option of the model caused."""
    problem, reason = specification.testproblem, first_line_of(error)
    if specification.compile_mode is not None:
        from torch._dynamo.exc import TorchDynamoException

        if isinstance(error, TorchDynamoException):
            return ArgumentError(
                f"torch.compile cannot compile the model of {problem}: {reason}. Leave "
                "compile_mode out, or see the page of PyTorch on troubleshooting torch.compile."
            )
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    is_of_model = any(isinstance(frame.f_locals.get("self"), _Forward) for frame in frames)
    if specification.precision is not None and is_of_model and isinstance(error, RuntimeError):
        return ArgumentError(
            f"The model of {problem} cannot be evaluated in {specification.precision} on "
            f"{specification.device}: {reason}. Choose another precision or leave it out."
        )
    return None
