"""Written by `tools/generate_facade.py`: do not edit."""

import deepobs.problems.quadratic
import deepobs.problems.two_d
import deepobs.protocols
import deepobs_text.char_rnn
import deepobs_text.transformer
import deepobs_vision.classification
import deepobs_vision.vae

class cifar100_3c3d(deepobs_vision.classification.ImageClassification):
    """Three convolutional and three dense layers on CIFAR-100."""

class cifar100_allcnnc(deepobs_vision.classification.ImageClassification):
    """All-CNN-C, nine convolutional layers on CIFAR-100."""

class cifar100_vgg16(deepobs_vision.classification.ImageClassification):
    """VGG 16 on CIFAR-100."""

class cifar100_vgg19(deepobs_vision.classification.ImageClassification):
    """VGG 19 on CIFAR-100."""

class cifar100_wrn164(deepobs_vision.classification.ImageClassification):
    """Wide ResNet 16-4 on CIFAR-100."""

class cifar100_wrn404(deepobs_vision.classification.ImageClassification):
    """Wide ResNet 40-4 on CIFAR-100."""

class cifar10_3c3d(deepobs_vision.classification.ImageClassification):
    """Three convolutional and three dense layers on CIFAR-10."""

class cifar10_vgg16(deepobs_vision.classification.ImageClassification):
    """VGG 16 on CIFAR-10."""

class cifar10_vgg19(deepobs_vision.classification.ImageClassification):
    """VGG 19 on CIFAR-10."""

class digits_2c2d(deepobs_vision.classification.ImageClassification):
    """Two convolutional and two dense layers on 8x8 digits, no download."""

class digits_logreg(deepobs_vision.classification.ImageClassification):
    """Logistic regression on 8x8 digits, no download."""

class digits_mlp(deepobs_vision.classification.ImageClassification):
    """Perceptron with four layers (1000, 500, 100, 10) on 8x8 digits, no download."""

class fmnist_2c2d(deepobs_vision.classification.ImageClassification):
    """Two convolutional and two dense layers on Fashion-MNIST."""

class fmnist_logreg(deepobs_vision.classification.ImageClassification):
    """Logistic regression on Fashion-MNIST."""

class fmnist_mlp(deepobs_vision.classification.ImageClassification):
    """Perceptron with four layers (1000, 500, 100, 10) on Fashion-MNIST."""

class fmnist_vae(deepobs_vision.vae.VariationalAutoencoder):
    """Variational autoencoder on Fashion-MNIST."""

class imagenet_inception_v3(deepobs_vision.classification.InceptionClassification):
    """Inception v3 on ImageNet."""

class imagenet_vgg16(deepobs_vision.classification.ImageClassification):
    """VGG 16 on ImageNet."""

class imagenet_vgg19(deepobs_vision.classification.ImageClassification):
    """VGG 19 on ImageNet."""

class mnist_2c2d(deepobs_vision.classification.ImageClassification):
    """Two convolutional and two dense layers on MNIST."""

class mnist_logreg(deepobs_vision.classification.ImageClassification):
    """Logistic regression on MNIST."""

class mnist_mlp(deepobs_vision.classification.ImageClassification):
    """Perceptron with four layers (1000, 500, 100, 10) on MNIST."""

class mnist_vae(deepobs_vision.vae.VariationalAutoencoder):
    """Variational autoencoder on MNIST."""

class quadratic_deep(deepobs.problems.quadratic.QuadraticDeep):
    """Stochastic quadratic of 100 dimensions with a deep-learning-like spectrum."""

class svhn_3c3d(deepobs_vision.classification.ImageClassification):
    """Three convolutional and three dense layers on SVHN."""

class svhn_wrn164(deepobs_vision.classification.ImageClassification):
    """Wide ResNet 16-4 on SVHN."""

class tolstoi_char_rnn(deepobs_text.char_rnn.CharRNN):
    """Two LSTM layers that predict the next character of War and Peace."""

class tolstoi_transformer(deepobs_text.transformer.Transformer):
    """A transformer of a million parameters, on windows of War and Peace."""

class two_d_beale(deepobs.problems.two_d.TwoD):
    """Beale's function of two variables, with noise on its gradient."""

class two_d_branin(deepobs.problems.two_d.TwoD):
    """Branin's function of two variables, with noise on its gradient."""

class two_d_rosenbrock(deepobs.problems.two_d.TwoD):
    """Rosenbrock's function of two variables, with noise on its gradient."""

def __getattr__(name: str) -> type[deepobs.protocols.TestProblem]: ...
def __dir__() -> list[str]: ...
