#!/usr/bin/env bash
# MLflow's database stores an infinite metric as the largest number, and says nothing of it.
#
# mlflow-skinny 3.17.2 with sqlalchemy 2.1.9, Python 3.11. The client takes inf and -inf as values of
# a metric, and the default store (a database, sqlite:///mlflow.db) returns them as
# 1.7976931348623157e+308 and -1.7976931348623157e+308, in the history as in the latest value. Not a
# number is kept, in a column of its own. So a loss that overflowed is finite in MLflow: who reads
# runs back and looks for those that diverged by math.isfinite finds none of these.
#
# Expected by most: inf, as NaN is kept, or a refusal.
# Remedy: log a tag that says how a run ended, and take numbers beyond 1e308 for infinite.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet mlflow-skinny==3.17.2 sqlalchemy==2.1.9 alembic==1.20.1
cat > infinite.py <<'PYTHON'
import logging
import math
import sys

from mlflow import MlflowClient
from mlflow.entities import Metric

logging.getLogger("mlflow").setLevel(logging.WARNING)
client = MlflowClient("sqlite:///mlflow.db")
run = client.create_run(client.create_experiment("infinite")).info.run_id
values = [1.0, math.nan, math.inf, -math.inf]
client.log_batch(run, metrics=[Metric("loss", v, 0, step) for step, v in enumerate(values)])
stored = [one.value for one in sorted(client.get_metric_history(run, "loss"), key=lambda m: m.step)]
print("logged", values)
print("stored", stored)
print("latest", client.get_run(run).data.metrics["loss"])
largest = sys.float_info.max
assert stored[0] == 1.0 and math.isnan(stored[1])
assert stored[2:] == [largest, -largest]
PYTHON
MLFLOW_DISABLE_TELEMETRY=true environment/bin/python -W ignore infinite.py
# Output seen:
# logged [1.0, nan, inf, -inf]
# stored [1.0, nan, 1.7976931348623157e+308, -1.7976931348623157e+308]
# latest -1.7976931348623157e+308
