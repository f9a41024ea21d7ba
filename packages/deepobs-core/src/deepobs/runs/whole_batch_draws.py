"""Random numbers for a batch that is divided among processes: those of the whole batch.

Every process draws for the whole batch and takes its rows, so that dropout masks and latent noise
are those of a run in one process, and the RNGs of all processes stay alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable

_LIKE = {torch.rand_like, torch.randn_like, torch.randint_like}
_SIZED = {torch.rand, torch.randn}
_IN_PLACE = {Tensor.bernoulli_, Tensor.uniform_, Tensor.normal_, Tensor.exponential_}
_DROPOUTS = {F.dropout, F.dropout1d, F.dropout2d, F.dropout3d}


class WholeBatchDraws(TorchFunctionMode):
    """Draws of torch in the block are those of the whole batch, of which they return the rows.

    The first axis of the rows' length is taken for that of the batch.

    Args:
        rows: The rows of this process.
        total: Rows of the whole batch.
    """

    def __init__(self, rows: slice, total: int) -> None:
        super().__init__()
        self._start = rows.start
        self._length = rows.stop - rows.start
        self._total = total

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call a function of torch, or what replaces it."""
        del types
        kwargs = kwargs or {}
        if func in _LIKE:
            drawn = self._rows_of(args[0], lambda whole: func(whole, *args[1:], **kwargs))
        elif func in _SIZED:
            size = kwargs.get("size", args)
            size = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
            others = {name: value for name, value in kwargs.items() if name != "size"}
            drawn = self._rows_of(
                torch.empty(size, device="meta"), lambda whole: func(whole.shape, **others)
            )
        elif func in _IN_PLACE and not any(isinstance(value, Tensor) for value in args[1:]):
            drawn = self._rows_of(args[0], lambda whole: func(whole, *args[1:], **kwargs))
            drawn = None if drawn is None else args[0].copy_(drawn)
        elif func in _DROPOUTS:
            drawn = self._dropped(func, *args, **kwargs)
        else:
            drawn = None
        return func(*args, **kwargs) if drawn is None else drawn

    def _dropped(
        self,
        func: Any,
        input: Tensor,  # noqa: A002 # torch's name
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Tensor | None:
        if not training or not p:
            return None
        mask = self._rows_of(input, lambda whole: func(whole.fill_(1), p, True))
        if mask is None:
            return None
        return input.mul_(mask) if inplace else input * mask

    def _rows_of(self, rows: Tensor, draw: Callable[[Tensor], Tensor]) -> Tensor | None:
        """The rows of what is drawn for a tensor of the whole batch; `None` without a batch."""
        if self._length not in rows.shape:
            return None
        axis = rows.shape.index(self._length)
        size = [*rows.shape[:axis], self._total, *rows.shape[axis + 1 :]]
        # Numbers are drawn in the order of memory.
        order = sorted(range(rows.dim()), key=rows.stride, reverse=True)
        whole = torch.empty_permuted(size, order, dtype=rows.dtype, device=rows.device)
        return draw(whole).narrow(axis, self._start, self._length)


def draws_by_rank(model: nn.Module) -> list[str]:
    """The layers of a model whose random numbers cannot be those of the whole batch.

    Args:
        model: The model.

    Returns:
        Names of classes; in each process they draw the same numbers for other examples.
    """
    # They draw inside of torch.
    return [
        type(layer).__name__
        for layer in model.modules()
        if isinstance(layer, (nn.RNNBase, nn.MultiheadAttention)) and layer.dropout
    ]
