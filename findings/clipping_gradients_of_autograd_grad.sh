#!/usr/bin/env bash
# clip_grad_norm_ scales both biases of an LSTM twice when gradients come from torch.autograd.grad.
#
# torch 2.14.1, CPU, Python 3.11. torch.autograd.grad(loss, parameters, create_graph=True), the way
# that torch recommends in place of loss.backward(create_graph=True), returns one and the same
# tensor for bias_ih and bias_hh of nn.LSTM. Put into `.grad`, whatever changes gradients in place
# changes it once for each of the two: clip_grad_norm_ with a maximum of 1 leaves a norm of 0.46,
# and bias gradients 69 times smaller than the same call makes them after backward. Nothing is
# raised or warned of. Without create_graph, or for nn.GRU and nn.RNN, the two are separate.
#
# Expected by most: gradients of different parameters are different tensors, as they are after
# backward, which copies them. Remedy: clone what autograd.grad returns.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.14.1 numpy
cat > clipped.py <<'PYTHON'
import torch

torch.manual_seed(0)
lstm = torch.nn.LSTM(4, 3)
inputs = torch.randn(5, 2, 4)
parameters = list(lstm.parameters())


def clipped(gradients):
    """The norm of the gradient of a bias, and of all gradients, after clipping to norm 1."""
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = gradient.detach()
    torch.nn.utils.clip_grad_norm_(parameters, max_norm=1.0)
    total = torch.nn.utils.get_total_norm([each.grad for each in parameters])
    return lstm.bias_ih_l0.grad.norm().item(), total.item()


def loss():
    return 10 * lstm(inputs)[0].sum()


loss().backward(create_graph=True)
after_backward = clipped([each.grad for each in parameters])
after_grad = clipped(torch.autograd.grad(loss(), parameters, create_graph=True))
print("after backward:       bias %.4f, all %.4f" % after_backward)
print("after autograd.grad:  bias %.4f, all %.4f" % after_grad)
is_as_described = abs(after_backward[1] - 1) < 1e-4 and after_grad[1] < 0.6
raise SystemExit(0 if is_as_described else 1)
PYTHON
environment/bin/python -W ignore clipped.py
# Output seen:
# after backward:       bias 0.6264, all 1.0000
# after autograd.grad:  bias 0.0091, all 0.4641
