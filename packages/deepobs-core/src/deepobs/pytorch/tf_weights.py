"""Exchange of weights and gradients with TensorFlow DeepOBS 1.1."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from deepobs.errors import ArgumentError, CorruptDataError, MissingDataError
from deepobs.problems.tf_variables import HasTFVariables, TFVariable, tf_variables

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from deepobs.protocols import TestProblem

Weights: TypeAlias = "Mapping[str, ArrayLike] | str | os.PathLike[str]"


def load_tf_weights(tproblem: TestProblem, weights: Weights) -> None:
    """Set the model of a test problem to weights of the original.

    Either all weights are set, running statistics of normalizations included, or none.

    Args:
        tproblem: A test problem, set up.
        weights: The variables' names, with or without ":0", to arrays in TensorFlow's layout; or
            the path of an `.npz` file of these.

    Raises:
        ArgumentError: Variables are missing, unexpected or have another shape; the message lists
            all of them.
        MissingDataError: There is no such file.
        CorruptDataError: The file holds something else.
    """
    variables = _variables_of(tproblem)
    named = weights if isinstance(weights, Mapping) else _read(Path(weights))
    arrays = _matched(variables, named, type(tproblem).__name__)
    with torch.no_grad():
        for variable, array in zip(variables, arrays, strict=True):
            parts = variable.split(_tensor(array, like=variable.tensors[0]))
            for tensor, part in zip(variable.tensors, parts, strict=True):
                tensor.copy_(part)


def export_tf_weights(
    tproblem: TestProblem, gradients: bool = False
) -> dict[str, NDArray[np.floating]]:
    """The weights of a test problem in the layout of the original.

    Args:
        tproblem: A test problem, set up.
        gradients: Whether to return the gradients that the last `backward` left, of the trainable
            variables only, instead of the values.

    Returns:
        The variables' names, which end in ":0", to arrays of their own in TensorFlow's layout.

    Raises:
        ArgumentError: A variable has no gradient.
    """
    variables = _variables_of(tproblem)
    if not gradients:
        return {variable.name: _exported(variable, variable.tensors) for variable in variables}
    trainable = [variable for variable in variables if variable.is_trainable]
    return {variable.name: _exported(variable, _gradients(variable)) for variable in trainable}


def _variables_of(tproblem: TestProblem) -> Sequence[TFVariable]:
    model = getattr(tproblem, "model", None)
    if model is None:
        raise ArgumentError(f"{type(tproblem).__name__} has no model yet. Call its set_up() first.")
    for owner in (tproblem, model):
        if isinstance(owner, HasTFVariables):
            return owner.tf_variables()
    return tf_variables(model)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        # Opened here, since np.load does not close a file that it fails to read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return dict(archive)
    except FileNotFoundError:
        raise MissingDataError(f"There is no file {path} to load weights from.") from None
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CorruptDataError(
            f"Weights cannot be read from {path}: {error}. It must be an .npz file of numeric "
            "arrays, as numpy.savez writes it."
        ) from error


def _matched(
    variables: Sequence[TFVariable], weights: Mapping[str, ArrayLike], owner: str
) -> list[NDArray[Any]]:
    """The arrays in the order of the variables, after a check of all of them."""
    given = {_bare(name): np.asarray(array) for name, array in weights.items()}
    wanted = {_bare(variable.name): variable.shape for variable in variables}
    counts = Counter(map(_bare, weights))
    misfits = [f"given with and without ':0': {name}" for name in given if counts[name] > 1]
    misfits += _misfits(given, wanted)
    if misfits:
        raise ArgumentError(
            f"These weights do not fit {owner}, and nothing was changed:\n  "
            + "\n  ".join(misfits)
            + "\nexport_tf_weights shows the names and shapes that fit."
        )
    return [given[name] for name in wanted]


def _misfits(given: dict[str, NDArray[Any]], wanted: dict[str, tuple[int, ...]]) -> list[str]:
    missing = [
        f"missing: {name} of shape {shape}" for name, shape in wanted.items() if name not in given
    ]
    unexpected = [
        f"unexpected: {name} of shape {array.shape}"
        for name, array in given.items()
        if name not in wanted
    ]
    misshapen = [
        f"misshapen: {name} must be numbers of shape {wanted[name]}, "
        f"got {array.dtype} of shape {array.shape}"
        for name, array in given.items()
        if name in wanted and not _fits(array, wanted[name])
    ]
    return missing + unexpected + misshapen


def _bare(name: str) -> str:
    return name.removesuffix(":0")


def _fits(array: NDArray[Any], shape: tuple[int, ...]) -> bool:
    return array.shape == shape and array.dtype.kind in "fiu"


def _tensor(array: NDArray[Any], like: Tensor) -> Tensor:
    """A copy in the precision of a tensor, from an array of any byte order."""
    precision = np.float64 if like.dtype == torch.float64 else np.float32
    return torch.from_numpy(np.array(array, dtype=precision))


def _gradients(variable: TFVariable) -> list[Tensor]:
    gradients = [tensor.grad for tensor in variable.tensors]
    present = [gradient for gradient in gradients if gradient is not None]
    if len(present) < len(gradients):
        raise ArgumentError(
            f"{variable.name} has no gradient. Call backward() on a loss of this model first, and "
            "export before zero_grad()."
        )
    return present


def _exported(variable: TFVariable, tensors: Sequence[Tensor]) -> NDArray[np.floating]:
    joined = variable.join(*(tensor.detach().cpu() for tensor in tensors))
    # NumPy has no such type.
    if joined.dtype == torch.bfloat16:
        joined = joined.float()
    # A copy: `join` returns views of parameters, which further training would change.
    array: NDArray[np.floating] = np.array(joined.numpy(), order="C")
    return array
