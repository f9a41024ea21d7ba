#!/usr/bin/env bash
# torch's instance normalization has a num_batches_tracked that never counts, and takes momentum=None for 0.
#
# torch 2.14.1, Python 3.11. nn.InstanceNorm1d(2, track_running_stats=True) updates running_mean and
# running_var in training, but num_batches_tracked, which it has in its state_dict, stays 0. With
# momentum=None, which makes batch normalization average over all batches alike, its statistics stay
# at their initial values, without a warning: evaluation then normalizes nothing. Output seen:
#   BatchNorm1d    momentum=0.1  mean [0.3, 0.3] batches 1
#   BatchNorm1d    momentum=None mean [3.0, 3.0] batches 1
#   InstanceNorm1d momentum=0.1  mean [0.3, 0.3] batches 0
#   InstanceNorm1d momentum=None mean [0.0, 0.0] batches 0
# torch.optim.swa_utils.update_bn leaves statistics of instance normalization as they are.
#
# Expected by most: both share a base class and its arguments, and treat them alike.
# Remedy: give instance normalization the momentum 1 / n for the n-th batch to average over all.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.14.1 numpy
cat > normalized.py <<'PYTHON'
import torch
from torch import nn

batch = torch.full((4, 2, 5), 3.0)
found = []
for kind in (nn.BatchNorm1d, nn.InstanceNorm1d):
    for momentum in (0.1, None):
        layer = kind(2, momentum=momentum, track_running_stats=True)
        layer(batch)
        mean = [round(value, 4) for value in layer.running_mean.tolist()]
        batches = int(layer.num_batches_tracked)
        found.append((mean[0], batches))
        print(f"{kind.__name__:14} momentum={momentum!s:4} mean {mean} batches {batches}")
raise SystemExit(0 if found == [(0.3, 1), (3.0, 1), (0.3, 0), (0.0, 0)] else 1)
PYTHON
environment/bin/python normalized.py
