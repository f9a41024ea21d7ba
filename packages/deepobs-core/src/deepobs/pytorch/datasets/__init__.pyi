"""Written by `tools/generate_facade.py`: do not edit."""

import deepobs.data.generated
import deepobs.protocols
import deepobs_text.tolstoi
import deepobs_vision.cifar
import deepobs_vision.digits
import deepobs_vision.imagenet
import deepobs_vision.mnist
import deepobs_vision.svhn

class cifar10(deepobs_vision.cifar.CIFAR10):
    """CIFAR-10: photographs in ten classes."""

class cifar100(deepobs_vision.cifar.CIFAR100):
    """CIFAR-100: photographs in a hundred classes."""

class digits(deepobs_vision.digits.Digits):
    """Handwritten digits of 8x8 pixels that come with scikit-learn."""

class fmnist(deepobs_vision.mnist.FashionMNIST):
    """Fashion-MNIST: photographs of clothes."""

class imagenet(deepobs_vision.imagenet.ImageNet):
    """ImageNet: photographs in a thousand classes, put into folders by the user."""

class mnist(deepobs_vision.mnist.MNIST):
    """Handwritten digits."""

class quadratic(deepobs.data.generated.Quadratic):
    """Normally distributed vectors, the noise of quadratic_deep."""

class svhn(deepobs_vision.svhn.SVHN):
    """SVHN: photographs of house numbers."""

class tolstoi(deepobs_text.tolstoi.Tolstoi):
    """War and Peace, one character at a time."""

class two_d(deepobs.data.generated.TwoD):
    """Pairs of standard normal numbers, zeros for testing."""

def __getattr__(name: str) -> type[deepobs.protocols.DataSet]: ...
def __dir__() -> list[str]: ...
