"""Tuning: good hyperparameters, honestly chosen and reported."""

from deepobs.experiments.tuning.result import TuningResult
from deepobs.experiments.tuning.settings import TuningSettings
from deepobs.experiments.tuning.tune import tune

__all__ = ["TuningResult", "TuningSettings", "tune"]
