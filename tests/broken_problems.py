"""A test problem without a base class of ours, and variants with one defect each."""

from __future__ import annotations

import math
import random
import sys
import time
from types import SimpleNamespace

import broken_datasets
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from deepobs import config
from deepobs.errors import ArgumentError


def network():
    return nn.Sequential(
        nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 2)
    )


class Sound:
    """Sorts the points of `broken_datasets.Sound` by a small network."""

    data = broken_datasets.Sound

    def __init__(self, batch_size, weight_decay=None, device=None, validation_size=0):
        self.device = config.resolve_device(device)
        if weight_decay is not None and not 0 <= weight_decay < math.inf:
            raise ArgumentError(f"weight_decay is {weight_decay}.")
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError(f"batch_size is {batch_size!r}.")
        self.batch_size = batch_size
        self.weight_decay = weight_decay or 0.0
        self.validation_size = validation_size

    def set_up(self):
        self.dataset = self.data(
            self.batch_size, device=self.device, validation_size=self.validation_size
        )
        self.model = self.build().to(self.device, config.get_dtype())

    def build(self):
        return network()

    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        points, classes = batch
        scores = self.model(points)
        losses = F.cross_entropy(scores, classes, reduction=reduction)
        return losses, (scores.argmax(1) == classes).float().mean()

    def kernels(self):
        return [p for p in self.model.parameters() if p.ndim > 1]

    def get_regularization_loss(self):
        squares = sum(kernel.square().sum() for kernel in self.kernels())
        return 0.5 * self.weight_decay * squares

    def parameter_groups(self):
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        return [{"params": self.kernels()}, {"params": others, "weight_decay": 0.0}]


class Raises(Sound):
    def __init__(self, batch_size, weight_decay=None, device=None):
        raise KeyError("no_such_key")


class Exits(Sound):
    def __init__(self, batch_size, weight_decay=None, device=None):
        sys.exit("Goodbye")


class Hangs(Sound):
    def __init__(self, batch_size, weight_decay=None, device=None):
        while True:
            time.sleep(0.01)


class HangsInSetUp(Sound):
    def set_up(self):
        try:
            time.sleep(60)
        except Exception:
            time.sleep(60)


class HangsInLosses(Sound):
    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        while True:
            torch.zeros(1).add_(1)


class Slow(Sound):
    def set_up(self):
        time.sleep(0.2)
        super().set_up()


class Nothing:
    def __new__(cls, batch_size, weight_decay=None, device=None):
        return SimpleNamespace(set_up=print)


class WithoutModel(Sound):
    def set_up(self):
        super().set_up()
        del self.model


class WithoutDataSet(Sound):
    def set_up(self):
        super().set_up()
        self.dataset = SimpleNamespace(train_loader=[])


class OfOneArgument(Sound):
    def __init__(self, batch_size):
        super().__init__(batch_size)


class TakesAnything(Sound):
    def __init__(self, batch_size, weight_decay=None, device=None):
        self.device = torch.device("cpu")
        self.batch_size = batch_size if isinstance(batch_size, int) and batch_size > 0 else 4
        self.weight_decay = weight_decay or 0.0
        self.validation_size = 0


class Lists(Sound):
    data = broken_datasets.Lists


class HalfBatches(Sound):
    data = broken_datasets.HalfBatches


class UsedUp(Sound):
    data = broken_datasets.UsedUp


class IntegersInEvaluation(Sound):
    data = broken_datasets.IntegersInEvaluation

    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        points, classes = batch
        return super().get_batch_loss_and_accuracy((points, classes.long()), reduction)


class ShuffledEvaluation(Sound):
    data = broken_datasets.ShuffledEvaluation


class TrainsOnHeldOut(Sound):
    data = broken_datasets.TrainsOnHeldOut


class HoldsOutBySeed(Sound):
    data = broken_datasets.HoldsOutBySeed


class InfiniteLosses(Sound):
    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        losses, accuracy = super().get_batch_loss_and_accuracy(batch, reduction)
        return losses / 0, accuracy


class AlwaysTheMean(Sound):
    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        return super().get_batch_loss_and_accuracy(batch, "mean")


class RegularizedMean(Sound):
    """Adds a penalty in the mean only."""

    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        losses, accuracy = super().get_batch_loss_and_accuracy(batch, reduction)
        return losses + (0.01 if reduction == "mean" else 0.0), accuracy


class OnlyLosses(Sound):
    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        return super().get_batch_loss_and_accuracy(batch, reduction)[0]


class Percent(Sound):
    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        losses, accuracy = super().get_batch_loss_and_accuracy(batch, reduction)
        return losses, 100 * accuracy + 1


class AccuracyOfEach(Sound):
    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        losses, accuracy = super().get_batch_loss_and_accuracy(batch, reduction)
        return losses, accuracy.expand(4) if reduction == "none" else accuracy


class UnusedLayer(Sound):
    def build(self):
        model = network()
        model.spare = nn.Linear(2, 2)
        model.forward = lambda points: nn.Sequential(*list(model)[:-1])(points)
        return model


class InfiniteGradients(Sound):
    def get_regularization_loss(self):
        return sum((kernel - kernel.detach()).square().sum().sqrt() for kernel in self.kernels())


class Saturated(Sound):
    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        losses, accuracy = super().get_batch_loss_and_accuracy(batch, reduction)
        return losses * 0, accuracy


class Detached(Sound):
    """One layer is cut off in a way that leaves it gradients, but wrong ones."""

    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        losses, accuracy = super().get_batch_loss_and_accuracy(batch, reduction)
        return losses + 0.5 * self.model[0].weight.detach().square().sum(), accuracy


class StatisticsInEvaluation(Sound):
    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        self.model[1].running_mean += 1
        return super().get_batch_loss_and_accuracy(batch, reduction)


class TrainsInEvaluation(Sound):
    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        self.model.train()
        return super().get_batch_loss_and_accuracy(batch, reduction)


class OwnNoise(Sound):
    """Draws from a generator that torch's seed does not reach."""

    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        losses, accuracy = super().get_batch_loss_and_accuracy(batch, reduction)
        return losses * random.lognormvariate(0.0, 0.1), accuracy


class OwnNoiseInTraining(Sound):
    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        losses, accuracy = super().get_batch_loss_and_accuracy(batch, reduction)
        factor = random.lognormvariate(0.0, 0.1) if self.model.training else 1
        return losses * factor, accuracy


class TestsOnTraining(Sound):
    data = broken_datasets.TestsOnTraining


class TestsBySeed(Sound):
    data = broken_datasets.TestsBySeed


class WrongSums(Sound):
    """Divides by the size of a full batch, also where there are fewer examples."""

    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        losses, accuracy = super().get_batch_loss_and_accuracy(batch, "none")
        if reduction == "none":
            return losses, accuracy
        return losses.sum() / (self.batch_size if reduction == "mean" else 1), accuracy


class Unregistered(Sound):
    """Keeps a layer in a list, where the model does not find its parameters."""

    def build(self):
        model = network()
        model.further = [nn.Linear(2, 2)]
        return model

    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        points, classes = batch
        return super().get_batch_loss_and_accuracy(
            (self.model.further[0](points), classes), reduction
        )


class AlwaysEvaluates(Sound):
    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        self.model.eval()
        return super().get_batch_loss_and_accuracy(batch, reduction)


class SetUpInEvaluation(Sound):
    def set_up(self):
        super().set_up()
        self.model.eval()


class ChangesTheBatch(Sound):
    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        batch[0].div_(2)
        return super().get_batch_loss_and_accuracy(batch, reduction)


class BackwardInside(Sound):
    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        losses, accuracy = super().get_batch_loss_and_accuracy(batch, reduction)
        if losses.requires_grad:
            losses.mean().backward(retain_graph=True)
        return losses, accuracy


class SeedsEveryStep(Sound):
    """Dropout has the same mask in every step."""

    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        torch.manual_seed(0)
        return super().get_batch_loss_and_accuracy(batch, reduction)


class OfDoubles(Sound):
    def set_up(self):
        torch.set_default_dtype(torch.float64)
        super().set_up()


class SwitchesGradientsOff(Sound):
    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        answer = super().get_batch_loss_and_accuracy(batch, reduction)
        torch.set_grad_enabled(False)
        return answer


class DetachedRegularizer(Sound):
    def get_regularization_loss(self):
        return super().get_regularization_loss().detach()


class RegularizedLosses(Sound):
    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        losses, accuracy = super().get_batch_loss_and_accuracy(batch, "none")
        losses = losses + self.get_regularization_loss()
        return {"none": losses, "mean": losses.mean(), "sum": losses.sum()}[reduction], accuracy


class SeedsNumPy(Sound):
    def set_up(self):
        super().set_up()
        np.random.seed(0)


class BareGroups(Sound):
    def parameter_groups(self):
        return list(self.model.parameters())


class RaisesWhatNobodyExpects(Sound):
    def set_up(self):
        raise BaseException("strange")  # noqa: TRY002


class LabelsOutOfRange(Sound):
    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        return super().get_batch_loss_and_accuracy((batch[0], batch[1] + 2), reduction)


class SpectralNorm(Sound):
    """Legal: training mode updates what the losses depend on."""

    def build(self):
        layer = nn.utils.parametrizations.spectral_norm(nn.Linear(2, 8))
        return nn.Sequential(layer, nn.Tanh(), nn.Linear(8, 2))


class NoiseInLosses(Sound):
    """Legal: what it draws is of torch's default type."""

    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        points, classes = batch
        noise = torch.randn(points.shape) if self.model.training else 0.0
        return super().get_batch_loss_and_accuracy((points + noise, classes), reduction)


class Frozen(Sound):
    """Legal: a layer that is not trained is in no group, and the regularizer excludes it."""

    def build(self):
        model = network()
        model[0].requires_grad_(False)
        return model

    def kernels(self):
        return [p for p in super().kernels() if p.requires_grad]

    def parameter_groups(self):
        others = [p for p in self.model.parameters() if p.ndim <= 1 and p.requires_grad]
        return [{"params": self.kernels()}, {"params": others, "weight_decay": 0.0}]


class OfFewWeights(Sound):
    """Legal: six random numbers are its weights."""

    def build(self):
        return nn.Linear(2, 2)


class Coarse(Sound):
    """Legal: computes in bfloat16."""

    def set_up(self):
        super().set_up()
        self.model = self.model.bfloat16()

    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        points, classes = batch
        return super().get_batch_loss_and_accuracy((points.bfloat16(), classes), reduction)


class HandsArgumentsOn(OfFewWeights):
    """Legal: whatever it is given goes to a constructor that may refuse it."""

    def __init__(self, batch_size, weight_decay=None, device=None, **others):
        if others:
            raise TypeError(f"got an unexpected keyword argument {next(iter(others))!r}")
        super().__init__(batch_size, weight_decay, device)


class Centred(Sound):
    """The loss of an example depends on the others in its batch."""

    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        points, classes = batch
        return super().get_batch_loss_and_accuracy((points - points.mean(0), classes), reduction)


class Remembers(Sound):
    """What one batch leaves behind, the next one starts from, in training and evaluation alike."""

    memory = 0.0

    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        losses, accuracy = super().get_batch_loss_and_accuracy(batch, reduction)
        losses = losses * (1 + self.memory)
        self.memory = 0.1 + self.memory
        return losses, accuracy


class SharesItsNoise(Sound):
    """Its passes draw noise from a generator of NumPy that no state tells of."""

    class data(broken_datasets.Sound):  # noqa: N801 # the attribute of the class above
        def training(self, tensors, reshuffle):
            batches = super().training(tensors, reshuffle)
            noise = np.random.default_rng(int(torch.randint(9**9, ())))

            class Noisy:
                def __len__(self):
                    return len(batches)

                def __iter__(self):
                    for points, classes in batches:
                        # One number for all points would be undone by batch normalization.
                        added = torch.tensor(noise.normal(size=points.shape))
                        yield points + added.to(points), classes

            return Noisy()


class CountsWrongly(Sound):
    """Says that its mean is over something else than it is."""

    def batch_weight(self, batch):
        return 1 + int((batch[0] > 0).sum()) ** 2


class RoundsToCertainty(Sound):
    """Its probabilities are not 1, but in bf16 they are."""

    def build(self):
        return nn.Sequential(network(), AlmostOne())

    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        points, classes = batch
        doubts = 1 - self.model(points)
        losses = F.nll_loss(doubts.log(), classes, reduction=reduction)
        return losses, (doubts.argmax(1) == classes).float().mean()


class AlmostOne(nn.Module):
    def forward(self, scores):
        return 1 - 1e-4 * scores.sigmoid()


class ReadsStrides(Sound):
    """Reads images from memory as if their channels came first."""

    def build(self):
        images = nn.Sequential(nn.Linear(2, 8), nn.Unflatten(1, (2, 2, 2)))
        return nn.Sequential(
            images, nn.Conv2d(2, 2, 3, padding=1), AsInMemory(), nn.Flatten(), nn.Linear(8, 2)
        )


class AsInMemory(nn.Module):
    def forward(self, images):
        return images.as_strided(images.shape, (8, 4, 2, 1))


class RoundsByStrides(ReadsStrides):
    """Computes the same in either format, but rounds in another way, as deep networks do."""

    def build(self):
        network = super().build()
        network[2] = Rounding()
        return network


class Rounding(nn.Module):
    def forward(self, images):
        large = 0 if images.is_contiguous() else 3e5
        return (images + large - large).square()


class AnotherIfCompiled(Sound):
    def build(self):
        return nn.Sequential(network(), DoubledIfCompiled())


class DoubledIfCompiled(nn.Module):
    def forward(self, scores):
        return 2 * scores if torch.compiler.is_compiling() else scores


class UnseededWeights(Sound):
    def build(self):
        model = network()
        nn.init.normal_(model[0].weight, generator=self._generator())
        return model

    def _generator(self):
        generator = torch.Generator()
        generator.seed()
        return generator


class LeavesATrace(Sound):
    """The second instance trains differently."""

    built = 0

    def set_up(self):
        super().set_up()
        type(self).built += 1
        self.factor = type(self).built

    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        losses, accuracy = super().get_batch_loss_and_accuracy(batch, reduction)
        return losses * self.factor, accuracy


class FixedWeights(Sound):
    def build(self):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return network()


class SeedsTorch(Sound):
    def set_up(self):
        super().set_up()
        torch.manual_seed(0)


class RegularizerOfEach(Sound):
    def get_regularization_loss(self):
        return torch.zeros(3)


class IgnoresWeightDecay(Sound):
    def get_regularization_loss(self):
        return torch.zeros(())


class WithoutTheHalf(Sound):
    def get_regularization_loss(self):
        return 2 * super().get_regularization_loss()


class GroupsTwice(Sound):
    def parameter_groups(self):
        return [*super().parameter_groups(), {"params": self.kernels()[:1]}]


class GroupsOfCopies(Sound):
    def parameter_groups(self):
        return [{"params": [p.clone() for p in self.model.parameters()]}]


class HiddenParameters(Sound):
    """Some parameters are not in the state of the model."""

    def build(self):
        model = network()
        model.state_dict = model[:4].state_dict
        model.load_state_dict = lambda state: nn.Module.load_state_dict(model, state, strict=False)
        return model


class HoldsAFunction(Sound):
    def __init__(self, batch_size, weight_decay=None, device=None):
        super().__init__(batch_size, weight_decay, device)
        self.function = lambda: None


class HoldsAFile(Sound):
    def set_up(self):
        super().set_up()
        self.generator = iter([])
        self.lock = (number for number in range(3))


class Diverges(Sound):
    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        losses, accuracy = super().get_batch_loss_and_accuracy(batch, reduction)
        return losses * 1e25, accuracy


class OnMeta(Sound):
    def set_up(self):
        super().set_up()
        self.model.register_buffer("elsewhere", torch.empty(2, device="meta"))
