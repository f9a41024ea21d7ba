"""Written by `tools/generate_facade.py`: do not edit."""

import deepobs.protocols
import deepobs.runs.runner

LearningRateScheduleRunner = deepobs.runs.runner.LearningRateScheduleRunner
StandardRunner = deepobs.runs.runner.StandardRunner

def __getattr__(name: str) -> type[deepobs.protocols.Runner]: ...
def __dir__() -> list[str]: ...
