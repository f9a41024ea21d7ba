"""A problem with a matrix and a vector to train, and some without a gradient."""

from torch import nn

from deepobs.plugins import ProblemSpec
from deepobs.problems import Problem, reduced


class TwoLayers(Problem):
    """A linear map of the vectors of quadratic_deep; the second layer is not used."""

    spec = ProblemSpec(batch_size=100, epochs=2, dataset="quadratic")

    def build_model(self):
        return nn.ModuleDict({"used": nn.Linear(100, 3), "unused": nn.Linear(3, 3)})

    def batch_losses(self, batch, reduction):
        return reduced(self.model["used"](batch[0]).square().sum(dim=1), reduction), None
