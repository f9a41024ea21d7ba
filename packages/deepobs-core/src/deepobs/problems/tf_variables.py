"""How the variables of TensorFlow DeepOBS 1.1 correspond to the tensors of a model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar, runtime_checkable

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class TFVariable:
    """A variable of the original.

    Attributes:
        name: Its name there, such as "encoder/conv2d_1/kernel:0".
        tensors: The parameters or buffers of the model that hold its values.
        join: Makes TensorFlow's layout of these tensors. It only moves values about, so that it
            serves for their gradients too.
        split: The inverse of `join`.
    """

    name: str
    tensors: tuple[Tensor, ...]
    join: Callable[..., Tensor]
    split: Callable[[Tensor], tuple[Tensor, ...]]

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape in TensorFlow's layout."""
        return tuple(self.join(*(tensor.detach() for tensor in self.tensors)).shape)

    @property
    def is_trainable(self) -> bool:
        """Whether an optimizer moves it; running statistics are not."""
        return all(isinstance(tensor, nn.Parameter) for tensor in self.tensors)


@runtime_checkable
class HasTFVariables(Protocol):
    """A test problem or a model that knows its variables better than the rules of `tf_variables`.

    It is needed where a model is not built of the layers that these rules know.
    """

    def tf_variables(self) -> Sequence[TFVariable]:
        """All variables, in the order in which the original creates them."""
        ...


def tf_variables(model: nn.Module) -> list[TFVariable]:
    """Name the variables of a model as `tf.layers` does.

    Layers count from 0 for each kind and each scope, in the order in which they are defined:
    "conv2d", "conv2d_1", ... A module with an attribute `tf_scope` opens a scope for what it holds;
    `in_scope` sets it. Parameters of other modules keep their name.

    Args:
        model: The model.

    Returns:
        The variables in the order in which the original creates them, except that it creates the
        statistics of all normalisations last.
    """
    return list(_variables(model))


def in_scope(name: str, module: ModuleT) -> ModuleT:
    """Let a module open a variable scope for what it holds.

    Args:
        name: The name of the scope within the scope around it, such as "unit_1_0".
        module: The module.

    Returns:
        The same module.
    """
    module.tf_scope = name  # type: ignore[assignment] # torch types it for tensors and modules
    return module


def transposed(name: str, tensor: Tensor, axes: Sequence[int]) -> TFVariable:
    """A variable that one tensor holds, with its axes in another order.

    Args:
        name: The name of the variable.
        tensor: The parameter or buffer.
        axes: The axis of `tensor` that each axis of the variable is.
    """
    inverse = sorted(range(len(axes)), key=lambda axis: axes[axis])
    return TFVariable(
        name,
        (tensor,),
        join=lambda value: value.permute(tuple(axes)),
        split=lambda value: (value.permute(inverse),),
    )


class _Part(NamedTuple):
    attribute: str
    tf_name: str
    axes: tuple[int, ...]


class _Layer(NamedTuple):
    kind: type[nn.Module]
    tf_name: str
    parts: tuple[_Part, ...]


_BIAS = _Part("bias", "bias", (0,))
_IMAGE_KERNEL = _Part("weight", "kernel", (2, 3, 1, 0))
"""(out, in, h, w) to (h, w, in, out); and transposed, (in, out, h, w) to (h, w, out, in)."""

_LAYERS = (
    _Layer(nn.Linear, "dense", (_Part("weight", "kernel", (1, 0)), _BIAS)),
    _Layer(nn.Conv2d, "conv2d", (_IMAGE_KERNEL, _BIAS)),
    _Layer(nn.ConvTranspose2d, "conv2d_transpose", (_IMAGE_KERNEL, _BIAS)),
    _Layer(
        nn.BatchNorm2d,
        "batch_normalization",
        (
            _Part("weight", "gamma", (0,)),
            _Part("bias", "beta", (0,)),
            _Part("running_mean", "moving_mean", (0,)),
            _Part("running_var", "moving_variance", (0,)),
        ),
    ),
)


def _variables(model: nn.Module) -> Iterator[TFVariable]:
    scopes: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for path, module in model.named_modules():
        outer = scopes.get(path.rpartition(".")[0], "")
        scope = _join(outer, getattr(module, "tf_scope", ""))
        scopes[path] = scope
        layer = next((layer for layer in _LAYERS if isinstance(module, layer.kind)), None)
        if layer is None:
            yield from _own_parameters(module, scope)
            continue
        first_name = _join(scope, layer.tf_name)
        number = counts[first_name]
        counts[first_name] += 1
        yield from _parts(module, layer, f"{first_name}_{number}" if number else first_name)


def _parts(module: nn.Module, layer: _Layer, name: str) -> Iterator[TFVariable]:
    for part in layer.parts:
        tensor = getattr(module, part.attribute)
        if tensor is not None:
            yield transposed(f"{name}/{part.tf_name}:0", tensor, part.axes)


def _own_parameters(module: nn.Module, scope: str) -> Iterator[TFVariable]:
    for name, parameter in module.named_parameters(recurse=False):
        yield transposed(f"{_join(scope, name)}:0", parameter, range(parameter.ndim))


def _join(scope: str, name: str) -> str:
    return f"{scope}/{name}" if scope and name else scope or name
