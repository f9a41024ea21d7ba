"""What this package offers to DeepOBS.

`deepobs list` imports this module of every installed package, so it imports neither torch nor the
other modules. A description names its class as a string, which is imported when it is used.
"""

from __future__ import annotations

from deepobs.plugins import DatasetSpec, ProblemSpec, SuiteSpec, hookimpl

# The version of the plugin interface for which this was written. Imported from deepobs.plugins, it
# would claim to fit every later version as well.
DEEPOBS_API_VERSION = 1


@hookimpl
def deepobs_datasets() -> list[DatasetSpec]:
    """Describe the data set."""
    return [
        DatasetSpec(
            name="spirals",
            target="deepobs_example_problem.spirals:Spirals",
            summary="Points of three interleaved spirals in the plane",
            train_size=2000,
            test_size=1000,
            example="point (2,) in about [-1, 1], label 0..2",
            reference="After Lang and Witbrock 1988, who had two spirals",
            embedded=True,  # nothing to download
        ),
    ]


@hookimpl
def deepobs_problems() -> list[ProblemSpec]:
    """Describe the problem; with its defaults, a run takes seconds."""
    return [
        ProblemSpec(
            name="spirals_mlp",
            target="deepobs_example_problem.problem:SpiralsMLP",
            summary="Small perceptron that classifies three interleaved spirals",
            dataset="spirals",
            batch_size=50,
            epochs=20,
            weight_decay=1e-4,
            metric="accuracy",
            reference="deepobs-example-problem 1.0.0",
            tags=frozenset({"synthetic", "small", "classification"}),
            target_performance=0.95,
        ),
    ]


@hookimpl
def deepobs_suites() -> list[SuiteSpec]:
    """Describe a set of problems, which may include those of other packages."""
    return [
        SuiteSpec(
            name="plane",
            summary="A function of two variables and a classifier of points: both can be drawn",
            problems=("two_d_rosenbrock", "spirals_mlp"),
        ),
    ]
