"""Data sets and test problems of deepobs-text."""

from __future__ import annotations

from deepobs.plugins import API_VERSION, DatasetSpec, ProblemSpec, hookimpl

DEEPOBS_API_VERSION = API_VERSION

_PAPER = "Schneider, Balles, Hennig: DeepOBS, ICLR 2019, https://arxiv.org/abs/1903.05499"


@hookimpl
def deepobs_problems() -> list[ProblemSpec]:
    """The text problems."""
    return [
        ProblemSpec(
            name="tolstoi_char_rnn",
            target="deepobs_text.char_rnn:CharRNN",
            summary="Two LSTM layers that predict the next character of War and Peace",
            dataset="tolstoi",
            batch_size=50,
            epochs=200,
            metric="accuracy",
            reference=_PAPER,
            tags=frozenset({"text", "language model", "recurrent"}),
            target_performance=0.6045863566200845,
        ),
        ProblemSpec(
            name="tolstoi_transformer",
            target="deepobs_text.transformer:Transformer",
            summary="A transformer of a million parameters, on windows of War and Peace",
            dataset="tolstoi",
            batch_size=16,
            epochs=3,
            metric="accuracy",
            reference="Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; not in the paper",
            tags=frozenset({"text", "language model", "transformer"}),
            target_performance=0.5652,  # of AdamW, tuned as described in the README
            options={"sequence_length": 128, "shuffles": True},
        ),
    ]


@hookimpl
def deepobs_datasets() -> list[DatasetSpec]:
    """The text data sets."""
    return [
        DatasetSpec(
            name="tolstoi",
            target="deepobs_text.tolstoi:Tolstoi",
            summary="War and Peace, one character at a time",
            train_size=2612948,
            test_size=653237,
            example="ids (50,) of characters, and of their successors",
            reference="Tolstoy 1869, translated by Louise and Aylmer Maude; Project Gutenberg 2600",
        ),
    ]
