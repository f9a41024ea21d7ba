"""Result files as this version writes them, read in a third of the time.

The runs of a study share most of what describes them. So of such a file, numbers are decoded as
what they are, and each different text that describes runs is understood once. Whatever is unusual
is left to `result_formats`, which alone knows what files mean and what is wrong with them.
"""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import msgspec
import numpy as np

from deepobs_analysis.json_values import LARGEST, NoResultError, parsed
from deepobs_analysis.result_formats import (
    MOST_TEXTS,
    Description,
    Run,
    hyperparameters_text,
    run_from,
)

if TYPE_CHECKING:
    from deepobs_analysis.measures.arrays import Floats

_Integer: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]
_Undecoded: TypeAlias = msgspec.Raw
_ABSENT = msgspec.Raw(b"")


class _File(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Fields of `RunRecord`, of which files of most runs have no others."""

    run_id: str
    status: Literal["completed", "diverged"]
    optimizer_hyperparams: _Undecoded
    num_epochs: _Integer
    random_seed: _Integer
    diverged_at_epoch: _Integer | None
    steps: _Integer
    gradient_evaluations: _Integer
    command: str
    started_at: str

    train_losses: list[float]
    test_losses: list[float]
    train_seconds: list[float]
    valid_losses: list[float] | None = None
    train_accuracies: list[float] | None = None
    valid_accuracies: list[float] | None = None
    test_accuracies: list[float] | None = None

    # What is in the description.
    schema_version: _Undecoded = _ABSENT
    testproblem: _Undecoded = _ABSENT
    optimizer_name: _Undecoded = _ABSENT
    label: _Undecoded = _ABSENT
    optimizer_target: _Undecoded = _ABSENT
    optimizer_source: _Undecoded = _ABSENT
    code: _Undecoded = _ABSENT
    optimizer_defaults: _Undecoded = _ABSENT
    optimizer_needs: _Undecoded = _ABSENT
    parameter_groups: _Undecoded = _ABSENT
    batch_size: _Undecoded = _ABSENT
    weight_decay: _Undecoded = _ABSENT
    training_params: _Undecoded = _ABSENT
    steps_per_epoch: _Undecoded = _ABSENT
    fake_data: _Undecoded = _ABSENT
    full_evaluation: _Undecoded = _ABSENT
    bare_losses: _Undecoded = _ABSENT
    dataset: _Undecoded = _ABSENT
    dtype: _Undecoded = _ABSENT
    device: _Undecoded = _ABSENT
    hardware: _Undecoded = _ABSENT
    versions: _Undecoded = _ABSENT

    # What the analysis does not use.
    minibatch_train_losses: _Undecoded = _ABSENT
    diverged_at_step: _Undecoded = _ABSENT
    eval_seconds: _Undecoded = _ABSENT
    compile_seconds: _Undecoded = _ABSENT
    skipped_steps: _Undecoded = _ABSENT
    resumed_at_steps: _Undecoded = _ABSENT

    def described(self) -> bytes:
        """All that the description depends on: a list in JSON, without its brackets."""
        return b",".join(
            (
                *(self.schema_version, self.testproblem, self.optimizer_name, self.label),
                *(self.optimizer_target, self.optimizer_source, self.code),
                *(self.optimizer_defaults, self.optimizer_needs, self.parameter_groups),
                *(self.batch_size, self.weight_decay, self.training_params),
                *(self.steps_per_epoch, self.fake_data, self.full_evaluation, self.bare_losses),
                *(self.dataset, self.dtype, self.device, self.hardware, self.versions),
                b"%d" % self.num_epochs,
            )
        )


_decoder = msgspec.json.Decoder(_File)
# `None` where files of that description hold no run.
_descriptions: dict[bytes, Description | None] = {}


def usual_run(content: bytes) -> Run | None:
    """The run in a file of this version; `None` if it is another file, or unusual in anything.

    Args:
        content: That of the file.
    """
    file = _decoded(content)
    if file is None:
        return None
    count = file.num_epochs + 1
    # In the order of `CURVES`.
    curves = (
        *(file.train_losses, file.train_accuracies),
        *(file.valid_losses, file.valid_accuracies),
        *(file.test_losses, file.test_accuracies),
    )
    if any(each is not None and len(each) != count for each in curves):
        return None
    try:
        hyperparameters = _hyperparameters(bytes(file.optimizer_hyperparams))
    except NoResultError:
        return None
    description = _description(file.described(), content)
    if description is None:
        return None
    has_diverged = file.status == "diverged"
    return Run(
        description,
        hyperparameters,
        file.random_seed,
        file.num_epochs,
        has_diverged,
        file.diverged_at_epoch if has_diverged else None,
        file.run_id,
        file.steps,
        file.gradient_evaluations,
        file.command,
        file.started_at,
        (*map(_floats, curves), _floats(file.train_seconds), None, None, None),
    )


def _decoded(content: bytes) -> _File | None:
    # In what it leaves undecoded, the decoder overlooks bytes and escapes that are no Unicode.
    # To look for one byte takes a twentieth of the time.
    if not content.isascii() or (b"\\" in content and b"\\u" in content):
        return None
    try:
        return _decoder.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return None


@functools.lru_cache(maxsize=MOST_TEXTS)
def _hyperparameters(text: bytes) -> str:
    return hyperparameters_text({"optimizer_hyperparams": parsed(text)}, "own")


def _description(described: bytes, content: bytes) -> Description | None:
    """The description of a file whose other fields are fine; `None` if it is no run's."""
    if described not in _descriptions:
        if len(_descriptions) >= MOST_TEXTS:
            _descriptions.clear()
        try:
            _descriptions[described] = run_from(parsed(content)).description
        except NoResultError:
            _descriptions[described] = None
    return _descriptions[described]


def _floats(values: list[float] | None) -> Floats | None:
    # Packing takes a third of the time of `np.array`, which looks at the type of each number.
    return None if values is None else np.frombuffer(struct.pack(f"{len(values)}d", *values))
