"""Test problems: the base class, initialisers, and the synthetic problems that need no data."""

from deepobs.problems.problem import Problem

__all__ = ["Problem"]
