"""Tuning: good hyperparameters, honestly chosen and reported."""

from deepobs_bench.tuning.result import TuningResult
from deepobs_bench.tuning.settings import TuningSettings
from deepobs_bench.tuning.tune import tune

__all__ = ["TuningResult", "TuningSettings", "tune"]
