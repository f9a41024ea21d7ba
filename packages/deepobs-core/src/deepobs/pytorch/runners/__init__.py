"""The runners of all installed packages: `runners.StandardRunner(torch.optim.SGD, hyperparams)`."""

from deepobs.pytorch._facade import attributes as _attributes

__getattr__, __dir__ = _attributes(__name__, "runners")
