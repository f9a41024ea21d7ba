"""Data sets and test problems of deepobs-text."""

from __future__ import annotations

from deepobs.plugins import API_VERSION, DatasetSpec, ProblemSpec, hookimpl

DEEPOBS_API_VERSION = API_VERSION

_PAPER = "Schneider, Balles, Hennig: DeepOBS, ICLR 2019, https://arxiv.org/abs/1903.05499"

_NOVEL = "Tolstoy 1869, translated by Louise and Aylmer Maude; Project Gutenberg 2600"
_NANO_GPT = "Karpathy: nanoGPT, https://github.com/karpathy/nanoGPT"

_WARMUP_AND_COSINE = {"name": "cosine", "arguments": {"warmup": 0.05, "end_factor": 0.1}}


@hookimpl
def deepobs_problems() -> list[ProblemSpec]:
    """The text problems."""
    return [
        ProblemSpec(
            name="excerpt_gpt",
            target="deepobs_text.transformer:Transformer",
            summary="A GPT of 0.8 million parameters, on windows of Book One of War and Peace",
            dataset="tolstoi_excerpt",
            batch_size=12,
            epochs=4,
            recommended_lr_scheduler=_WARMUP_AND_COSINE,
            metric="accuracy",
            reference=f"{_NANO_GPT}, its example for a CPU; not in the paper",
            tags=frozenset({"text", "language model", "transformer"}),
            threads=1,
            options={"sequence_length": 64, "shuffles": True, "blocks": 4, "bias": False},
        ),
        ProblemSpec(
            name="excerpt_lstm",
            target="deepobs_text.char_rnn:CharRNN",
            summary="Two LSTM layers that predict the next character of Book One of War and Peace",
            dataset="tolstoi_excerpt",
            batch_size=20,
            epochs=5,
            recommended_lr_scheduler=_WARMUP_AND_COSINE,
            metric="accuracy",
            reference="The embedded counterpart of the DeepOBS problem tolstoi_char_rnn",
            tags=frozenset({"text", "language model", "recurrent"}),
            threads=1,
            options={"dropout": 0.0},
        ),
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
        ProblemSpec(
            name="tolstoi_gpt",
            target="deepobs_text.transformer:Transformer",
            summary="A GPT of ten million parameters, on windows of War and Peace",
            dataset="tolstoi",
            batch_size=64,
            epochs=32,  # at least 5000 steps, the first 100 of which warm up
            recommended_lr_scheduler={
                "name": "cosine",
                "arguments": {"warmup": 0.02, "end_factor": 0.1},
            },
            metric="accuracy",
            reference=f"{_NANO_GPT}, config/train_shakespeare_char.py, trained as there with "
            "AdamW, lr 0.001, betas (0.9, 0.99), weight decay 0.1 and gradients clipped to a norm "
            "of 1; not in the paper",
            tags=frozenset({"text", "language model", "transformer"}),
            options={
                "sequence_length": 256,
                "shuffles": True,
                "features": 384,
                "heads": 6,
                "blocks": 6,
                "dropout": 0.2,
                "bias": False,
            },
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
            reference=_NOVEL,
        ),
        DatasetSpec(
            name="tolstoi_excerpt",
            target="deepobs_text.tolstoi_excerpt:TolstoiExcerpt",
            summary="Book One of War and Peace, one character at a time",
            train_size=217252,
            test_size=54313,
            example="ids (50,) of characters, and of their successors",
            reference=f"{_NOVEL}, in the public domain in the United States",
            embedded=True,
        ),
    ]
