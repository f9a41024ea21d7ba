"""One run: what it is, how it is carried out, what is recorded, and where that is kept."""

from deepobs.runs.execution import run
from deepobs.runs.observers import RunObserver
from deepobs.runs.record import RunRecord
from deepobs.runs.specification import RunSpecification, specify

__all__ = ["RunObserver", "RunRecord", "RunSpecification", "run", "specify"]
