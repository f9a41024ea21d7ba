"""Options of how steps are computed: what they can be, and what excludes what."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepobs import checks
from deepobs.errors import ArgumentError, closest, sentences
from deepobs.run_specifications import COMPILE_MODES, PRECISIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_COMPUTES_GRADIENTS = "computes the gradients itself"
_KEEPS_GRAPH = "differentiates the gradients"
_IN_CONTEXT = "reads the gradients as soon as they are computed"
_LATER_HOOK = "uses the gradients after the step, which may be skipped"
_EVALUATES_MORE = "takes several gradients in a step, of which a scaler can skip none"

# By the needs of an optimizer with which an option does not work: why not.
_NO_MICRO_BATCHES = {
    "backward": f"{_COMPUTES_GRADIENTS}, from the whole batch",
    "per_example_losses": f"{_COMPUTES_GRADIENTS}, from the losses of the whole batch",
    "create_graph": f"{_KEEPS_GRAPH}, whose graphs would be kept for the whole batch",
}
_NO_NORM = {"backward": _COMPUTES_GRADIENTS, "per_example_losses": _COMPUTES_GRADIENTS}
_NO_CLIPPING = {**_NO_NORM, "create_graph": _KEEPS_GRAPH, "context": _IN_CONTEXT}
_NO_SCALER = {
    **_NO_CLIPPING,
    "closure": _EVALUATES_MORE,
    "loss": "uses the objective besides the gradients",
    "hook": _LATER_HOOK,
}
_NO_COMPILATION = {"create_graph": f"{_KEEPS_GRAPH}, which compiled models do not support"}


def check_step_options(
    optimizer: str, needs: Collection[str], *, batch_size: int, dtype: str, **given: Any
) -> dict[str, Any]:
    """Check the options of how steps are computed.

    Args:
        optimizer: Name of the optimizer, for messages.
        needs: Its step protocol.
        batch_size: Examples per step.
        dtype: Floating-point type of data and model.
        **given: The options by name.

    Returns:
        The same, as a specification holds them.

    Raises:
        ArgumentError: A value is not permitted, or does not work with another one, or with what the
            optimizer needs.
    """
    values = {
        **given,
        "accumulate": checks.integer("accumulate", given["accumulate"], 1, batch_size),
        "channels_last": bool(given["channels_last"]),
        "log_gradient_norm": bool(given["log_gradient_norm"]),
    }
    _one_of("precision", given["precision"], PRECISIONS)
    _one_of("compile_mode", given["compile_mode"], COMPILE_MODES)
    for name in ("clip_norm", "clip_value"):
        if given[name] is not None:
            values[name] = _positive(name, given[name])
    if values["clip_norm"] is not None and values["clip_value"] is not None:
        raise ArgumentError(
            "Gradients are clipped by clip_norm or by clip_value, not by both; got "
            f"{values['clip_norm']} and {values['clip_value']}. Leave one out."
        )
    if values["precision"] is not None and dtype != "float32":
        raise ArgumentError(
            f"precision={values['precision']} evaluates a float32 model in a smaller type, but the "
            f"dtype is {dtype}. Leave one out."
        )
    reasons = {
        "accumulate": _NO_MICRO_BATCHES,
        "clip_norm": _NO_CLIPPING,
        "clip_value": _NO_CLIPPING,
        "log_gradient_norm": _NO_NORM,
        "compile_mode": _NO_COMPILATION,
        "precision": _NO_SCALER if values["precision"] == "fp16" else {},
    }
    heads = [word.partition(":")[0] for word in needs]
    for name, excluded in reasons.items():
        if values[name] and (name != "accumulate" or values[name] > 1):
            for need in [head for head in heads if head in excluded]:
                raise ArgumentError(
                    f"{name}={values[name]} does not work with {optimizer}, which needs {need}: it "
                    f"{excluded[need]}. Leave the option out."
                )
    return values


def _one_of(name: str, value: Any, known: Iterable[str]) -> None:
    if value is not None and value not in known:
        message = f"{name} must be one of {', '.join(known)}; got {value!r}."
        raise ArgumentError(sentences(message, closest(str(value), known)))


def _positive(name: str, value: object) -> float:
    number = checks.non_negative(name, value)
    if number == 0 or not math.isfinite(number):
        raise ArgumentError(f"{name} must be a finite number above 0; got {value!r}.")
    return number
