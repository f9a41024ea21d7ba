#!/usr/bin/env bash
# destroy_process_group() does not end the threads of a group that DistributedDataParallel used.
#
# torch 2.14.1, CPU, Linux, Python 3.11, gloo. After destroy_process_group(), a group that only
# exchanged tensors has none of its threads left. Once a model was wrapped in
# DistributedDataParallel, the group outlives the model, a garbage collection and
# destroy_process_group(): its gloo threads go on until the interpreter ends, or until another
# model is wrapped. Nothing is said of it. A message that is still on its way when the interpreter
# ends then belongs to a thread that nobody joins.
#
# Expected by most: destroy_process_group() joins all threads of the group, as its documentation
# recommends it for an orderly end. Remedy: exchange one's own messages in a group of their own
# (new_group), which DistributedDataParallel never sees and whose threads do end.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.14.1 numpy
cat > threads.py <<'PYTHON'
import gc
from pathlib import Path

import torch
import torch.distributed as dist


def gloo_threads():
    return sum("gloo" in (task / "comm").read_text() for task in Path("/proc/self/task").iterdir())


def left(is_wrapped):
    """Threads of gloo after everything is gone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    model = torch.nn.Linear(2, 2)
    if is_wrapped:
        model = torch.nn.parallel.DistributedDataParallel(model)
    model(torch.ones(1, 2)).sum().backward()
    dist.all_reduce(torch.ones(1))
    assert gloo_threads() > 0
    del model
    gc.collect()
    dist.destroy_process_group()
    gc.collect()
    return gloo_threads()


plain, wrapped = left(False), left(True)
print(f"threads left: {plain} after all_reduce alone, {wrapped} after DistributedDataParallel")
raise SystemExit(0 if plain == 0 < wrapped else 1)
PYTHON
environment/bin/python -W ignore threads.py
# Output seen:
# threads left: 0 after all_reduce alone, 3 after DistributedDataParallel
