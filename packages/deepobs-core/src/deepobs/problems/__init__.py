"""Test problems: the base class, initializers, and the synthetic problems that need no data."""

from deepobs.problems.problem import Problem, Reduction, reduced

__all__ = ["Problem", "Reduction", "reduced"]
