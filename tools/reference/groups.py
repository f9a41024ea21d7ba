"""The modules that are for users, in the order in which the reference has them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Group:
    """Modules that belong together.

    Attributes:
        name: Name of the page of its details.
        title: Its heading.
        text: What it is for.
        modules: Names of the modules.
    """

    name: str
    title: str
    text: str
    modules: tuple[str, ...]


GROUPS = (
    Group(
        "facade",
        "What users import",
        "`deepobs.pytorch` has every registered test problem, data set and runner as an attribute: "
        "`testproblems.mnist_mlp(batch_size=128)`. [Which there are](reference/problems.md).",
        ("deepobs.pytorch", "deepobs.runs.runner"),
    ),
    Group(
        "config",
        "Settings",
        "Settings of the process, each with a default that an environment variable can change.",
        ("deepobs.pytorch.config",),
    ),
    Group(
        "protocols",
        "Protocols",
        "What test problems, data sets and runners of anybody must have.",
        ("deepobs.protocols",),
    ),
    Group(
        "problems",
        "Test problems: what to build on",
        "Base classes and parts of test problems.",
        (
            "deepobs.problems",
            "deepobs.problems.initializers",
            "deepobs_vision.classification",
            "deepobs_vision.vae",
            "deepobs_vision.layers",
            "deepobs_text.language_model",
            "deepobs_text.char_rnn",
            "deepobs_text.transformer",
            "deepobs_text.carried_state",
        ),
    ),
    Group(
        "data",
        "Data sets: what to build on",
        "Base classes and parts of data sets.",
        (
            "deepobs.data",
            "deepobs_vision.images",
            "deepobs_vision.augmentation",
            "deepobs_text.text_dataset",
            "deepobs_text.text_file",
        ),
    ),
    Group(
        "runs",
        "Runs",
        "One run: what it is, how it is carried out and what is recorded of it.",
        (
            "deepobs.runs",
            "deepobs.runs.checkpoints",
            "deepobs.runs.progress",
            "deepobs.records",
            "deepobs.runs.schedules",
            "deepobs.runs.tensorboard",
            "deepobs.runs.estimate",
        ),
    ),
    Group(
        "experiments",
        "Experiments and tuning",
        "Many runs: from a file to results, and the search for hyperparameters.",
        (
            "deepobs_bench.experiment",
            "deepobs_bench.plan",
            "deepobs_bench.sweep",
            "deepobs_bench.executors",
            "deepobs_bench.standings",
            "deepobs_bench.tuning",
        ),
    ),
    Group(
        "plugins",
        "Plugins",
        "How packages find each other; [the hooks](reference/hooks.md) have a page of their own.",
        ("deepobs.plugins",),
    ),
    Group(
        "console",
        "Console kit",
        "What commands are built with: output, completion, and the options of commands that train.",
        (
            "deepobs.console.screen",
            "deepobs.console.text",
            "deepobs.console.commands",
            "deepobs.console.offers",
            "deepobs.console.parsing",
            "deepobs.console.run_options",
        ),
    ),
    Group(
        "testing",
        "Checks of problems, data sets and optimizers",
        "What [`deepobs check`](reference/command_line.md#deepobs-check) makes, for tests.",
        ("deepobs_testing",),
    ),
    Group(
        "errors",
        "Errors",
        "What can go wrong, a class for each thing to catch.",
        ("deepobs.errors",),
    ),
    Group(
        "tf_weights",
        "Weights of TensorFlow DeepOBS",
        "Variables of the original, into a model and back.",
        ("deepobs.pytorch.tf_weights",),
    ),
    Group(
        "analysis",
        "Analysis",
        "Results as tables of pandas, statistics, figures, tables and the report.",
        (
            "deepobs_analysis",
            "deepobs_analysis.reading",
            "deepobs_analysis.selection",
            "deepobs_analysis.baselines",
            "deepobs_analysis.summaries",
            "deepobs_analysis.targets",
            "deepobs_analysis.winners",
            "deepobs_analysis.caveats",
            "deepobs_analysis.scores",
            "deepobs_analysis.measures",
            "deepobs_analysis.table_columns",
            "deepobs_analysis.table_formats",
            "deepobs_analysis.report",
            "deepobs_analysis.output",
        ),
    ),
)
