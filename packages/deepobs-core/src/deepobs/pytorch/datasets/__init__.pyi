"""Written by `tools/generate_facade.py`: do not edit."""

import deepobs.data.generated
import deepobs.protocols
import deepobs_vision.digits
import deepobs_vision.mnist

class digits(deepobs_vision.digits.Digits):
    """Handwritten digits of 8x8 pixels that come with scikit-learn."""

class fmnist(deepobs_vision.mnist.FashionMNIST):
    """Fashion-MNIST: photographs of clothes."""

class mnist(deepobs_vision.mnist.MNIST):
    """Handwritten digits."""

class quadratic(deepobs.data.generated.Quadratic):
    """Normally distributed vectors, the noise of quadratic_deep."""

class two_d(deepobs.data.generated.TwoD):
    """Pairs of standard normal numbers, zeros for testing."""

def __getattr__(name: str) -> type[deepobs.protocols.DataSet]: ...
def __dir__() -> list[str]: ...
