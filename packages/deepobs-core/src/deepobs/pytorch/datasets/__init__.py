"""The data sets of all installed packages: `datasets.quadratic(batch_size=128)`."""

from deepobs.pytorch._facade import attributes as _attributes

__getattr__, __dir__ = _attributes(__name__, "datasets")
