"""The test problems of all installed packages: `testproblems.quadratic_deep(batch_size=128)`."""

from deepobs.pytorch._facade import attributes as _attributes

__getattr__, __dir__ = _attributes(__name__, "problems")
