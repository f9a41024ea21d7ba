"""How the variables of TensorFlow DeepOBS 1.1 correspond to the tensors of a model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar, runtime_checkable

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class TFVariable:
    """A variable of the original.

    Attributes:
        name: Its name there, such as "encoder/conv2d_1/kernel:0".
        tensors: The parameters or buffers of the model that hold its values.
        join: Converts these tensors to TensorFlow's layout. It only moves values, so that it works
            for gradients, too.
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
    """A test problem or a model with layers that the rules of `tf_variables` do not cover."""

    def tf_variables(self) -> Sequence[TFVariable]:
        """All variables, in the order in which the original creates them."""
        ...


def tf_variables(model: nn.Module) -> list[TFVariable]:
    """Name the variables of a model as `tf.layers` does.

    Layers are numbered for each kind and each scope in the order of their definition: "conv2d",
    "conv2d_1", ... A module with an attribute `tf_scope`, set by `in_scope`, opens a scope for its
    content. The inputs of a layer marked by `of_flattened` are in TensorFlow's order. Parameters of
    other modules keep their name.

    Returns:
        The variables in the order in which the original creates them, except that it creates the
        statistics of all normalizations last.
    """
    found: list[TFVariable] = []
    scopes: dict[str, str] = {}
    counts: Counter[str] = Counter()
    # `named_modules` lists a module before its children, in the order of their definition. That is
    # the order of creation in the original, on which the numbers of its layers depend.
    for path, module in model.named_modules():
        outer = scopes.get(path.rpartition(".")[0], "")
        scope = scopes[path] = _join(outer, getattr(module, "tf_scope", ""))
        layer = next((layer for layer in _LAYERS if isinstance(module, layer.kind)), None)
        # As by `tf.get_variable`, which does not number names.
        if layer is None:
            found += [
                transposed(f"{_join(scope, name)}:0", parameter, range(parameter.ndim))
                for name, parameter in module.named_parameters(recurse=False)
            ]
            continue
        name = _join(scope, layer.tf_name)
        counts[name] += 1
        numbered = f"{name}_{counts[name] - 1}" if counts[name] > 1 else name
        channels = getattr(module, "tf_channels", 1)
        for part in layer.parts:
            tensor, part_name = getattr(module, part.attribute), f"{numbered}/{part.tf_name}:0"
            if tensor is not None and part.attribute == "weight" and channels > 1:
                found.append(_of_flattened_images(part_name, tensor, channels))
            elif tensor is not None:
                found.append(transposed(part_name, tensor, part.axes))
    return found


def in_scope(name: str, module: ModuleT) -> ModuleT:
    """Let a module open a variable scope such as "unit_1_0", and return the module."""
    module.tf_scope = name  # type: ignore[assignment] # torch types it for tensors and modules
    return module


def of_flattened(channels: int, layer: nn.Linear) -> nn.Linear:
    """Mark a dense layer whose inputs `nn.Flatten` made of images, and return the layer.

    torch flattens images channel by channel, TensorFlow pixel by pixel.

    Args:
        channels: Channels of the images.
        layer: The layer.
    """
    layer.tf_channels = channels  # type: ignore[assignment] # torch types it for tensors and modules
    return layer


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


def _of_flattened_images(name: str, kernel: Tensor, channels: int) -> TFVariable:
    """The kernel (out, channels * pixels) of a dense layer, to (pixels * channels, out)."""
    return TFVariable(
        name,
        (kernel,),
        join=lambda value: (
            value.reshape(len(value), channels, -1).permute(2, 1, 0).reshape(-1, len(value))
        ),
        split=lambda value: (
            value.reshape(-1, channels, value.shape[1]).permute(2, 1, 0).flatten(start_dim=1),
        ),
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


def _join(scope: str, name: str) -> str:
    return f"{scope}/{name}" if scope and name else scope or name
