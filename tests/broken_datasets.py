"""A data set without a base class of ours, and variants with one defect each."""

from __future__ import annotations

import random
import socket

import numpy as np
import torch

from deepobs import config
from deepobs.errors import ArgumentError

TRAIN_SIZE, TEST_SIZE = 41, 21


class Points:
    """Batches of rows in an order that a generator draws, or in their own."""

    def __init__(self, tensors, batch_size, *, generator=None, drops=True, reshuffle=True):
        self.tensors = tensors
        self.batch_size = batch_size
        self.generator = generator
        self.drops = drops
        self.reshuffle = reshuffle
        self._kept = None

    def __len__(self):
        count = len(self.tensors[0])
        return count // self.batch_size if self.drops else -(-count // self.batch_size)

    def __iter__(self):
        rows = torch.arange(len(self.tensors[0]))
        if self.generator is not None:
            rows = self._kept
            if rows is None:
                rows = torch.randperm(len(self.tensors[0]), generator=self.generator)
            self._kept = None if self.reshuffle else rows
        for part in rows.split(self.batch_size)[: len(self)]:
            yield tuple(tensor[part] for tensor in self.tensors)


class Sound:
    """Points of a plane in two classes."""

    name = "points"
    split_seed = 42

    def __init__(
        self, batch_size, *, device=None, validation_size=0, drop_remainder=True, reshuffle=True
    ):
        self.device = config.resolve_device(device)
        if not isinstance(batch_size, int) or not 1 <= batch_size <= TEST_SIZE:
            raise ArgumentError(f"batch_size must be from 1 to {TEST_SIZE}, got {batch_size!r}.")
        if not 0 <= validation_size < TRAIN_SIZE - batch_size:
            raise ArgumentError(f"validation_size is {validation_size}.")
        self.batch_size = batch_size
        train, test = self.examples(TRAIN_SIZE), self.examples(TEST_SIZE)
        order = torch.from_numpy(np.random.RandomState(self.split_seed).permutation(TRAIN_SIZE))
        held_out, kept = order[:validation_size], order[validation_size:]
        kept = self.kept(kept, order)

        def rows(chosen):
            return tuple(tensor[chosen] for tensor in train)

        options = {"drops": drop_remainder}
        self.train_loader = self.training(rows(kept), reshuffle)
        self.train_eval_loader = self.evaluation(rows(kept[-20:]), options)
        self.valid_loader = self.evaluation(rows(held_out), options) if validation_size else None
        self.test_loader = self.evaluation(test, options)

    def examples(self, count):
        drawn = np.random.RandomState(count).normal(size=(count, 2)).astype(np.float32)
        points = torch.from_numpy(drawn).to(self.device, config.get_dtype())
        return points, (points.sum(dim=1) > 0).long()

    def kept(self, kept, order):
        return kept

    def generator(self):
        seed = int(torch.randint(2**62, (), dtype=torch.int64))
        return torch.Generator().manual_seed(seed)

    def training(self, tensors, reshuffle):
        return Points(tensors, self.batch_size, generator=self.generator(), reshuffle=reshuffle)

    def evaluation(self, tensors, options):
        return Points(tensors, self.batch_size, **options)


class WithoutTestLoader(Sound):
    @property
    def test_loader(self):
        raise AttributeError("test_loader")

    @test_loader.setter
    def test_loader(self, loader):
        """Forget it."""


class OfPositionalArguments(Sound):
    def __init__(self, batch_size, device=None):
        super().__init__(batch_size, device=device)


class TakesAnything(Sound):
    def __init__(self, batch_size, **further):
        if not isinstance(batch_size, int) or not 1 <= batch_size <= TEST_SIZE:
            batch_size = 4
        super().__init__(batch_size, **further | {"device": "cpu"})


class Lists(Sound):
    def training(self, tensors, reshuffle):
        return [list(batch) for batch in super().training(tensors, reshuffle)]


class HalfBatches(Sound):
    def training(self, tensors, reshuffle):
        return Points(tensors, self.batch_size // 2, generator=self.generator())


class UsedUp(Sound):
    """Its test loader is an iterator, that of one pass."""

    def evaluation(self, tensors, options):
        batches = list(super().evaluation(tensors, options))

        class Once:
            rest = iter(batches)

            def __len__(self):
                return len(batches)

            def __iter__(self):
                return self.rest

        return Once()


class IntegersInEvaluation(Sound):
    def evaluation(self, tensors, options):
        points, classes = tensors
        return super().evaluation((points, classes.int()), options)


class ShuffledEvaluation(Sound):
    def evaluation(self, tensors, options):
        return Points(tensors, self.batch_size, generator=self.generator(), **options)


class AlwaysDrops(Sound):
    def evaluation(self, tensors, options):
        return super().evaluation(tensors, {"drops": True})


class NeverDrops(Sound):
    def evaluation(self, tensors, options):
        return super().evaluation(tensors, {"drops": False})


class TrainsOnHeldOut(Sound):
    def kept(self, kept, order):
        return order


class TestsOnTraining(Sound):
    """The test set is what the training loss is measured on."""

    def __init__(self, *arguments, **further):
        super().__init__(*arguments, **further)
        self.test_loader = self.train_eval_loader


class HoldsOutTests(Sound):
    """What is held out are test examples."""

    def __init__(self, *arguments, validation_size=0, **further):
        super().__init__(*arguments, **further)
        if validation_size < 0:
            raise ArgumentError(f"validation_size is {validation_size}.")
        self.valid_loader = self.test_loader if validation_size else None


class HoldsOutTwice(Sound):
    def __init__(self, batch_size, *, validation_size=0, **further):
        super().__init__(batch_size, validation_size=2 * validation_size, **further)


class TestsBySeed(Sound):
    def __init__(self, *arguments, **further):
        super().__init__(*arguments, **further)
        self.test_loader.tensors[0].add_(torch.randn(()))


class AlwaysDouble(Sound):
    def examples(self, count):
        points, classes = super().examples(count)
        return points.double(), classes


class HoldsOutBySeed(Sound):
    @property
    def split_seed(self):
        return int(torch.randint(1000, ()))


class OwnOrder(Sound):
    """Its order does not depend on torch's seed."""

    def generator(self):
        return torch.Generator().manual_seed(0)


class OrderByChance(Sound):
    """Its order depends on nothing that anybody can seed."""

    def generator(self):
        generator = torch.Generator()
        generator.seed()
        return generator


class OneOrder(Sound):
    def training(self, tensors, reshuffle):
        return super().training(tensors, False)


class AlwaysReshuffles(Sound):
    def training(self, tensors, reshuffle):
        return super().training(tensors, True)


class SeedsNumPy(Sound):
    def examples(self, count):
        np.random.seed(42)
        random.seed(42)
        return super().examples(count)


class SeedsTorch(Sound):
    def examples(self, count):
        torch.manual_seed(42)
        return super().examples(count)


class OnlyFloat32(Sound):
    def examples(self, count):
        points, classes = super().examples(count)
        return points.float(), classes


class AsksTheNetwork(Sound):
    def examples(self, count):
        socket.create_connection(("192.0.2.1", 80), timeout=0.01).close()
        return super().examples(count)


class StateOfAnotherKind(Sound):
    @classmethod
    def status(cls, data_dir):
        from types import SimpleNamespace

        return SimpleNamespace(state="somewhere", detail="")

    prepare = verify = status


class Exits(Sound):
    def examples(self, count):
        raise SystemExit(3)
