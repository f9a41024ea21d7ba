"""Test problems: the base class, initializers, and the synthetic problems that need no data."""

from deepobs.problems.problem import Problem, Reduction, reduced, split_batch

__all__ = ["Problem", "Reduction", "reduced", "split_batch"]
