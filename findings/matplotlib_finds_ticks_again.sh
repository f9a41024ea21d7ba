#!/usr/bin/env bash
# Drawing a figure once finds the ticks of an axis three to six times.
#
# matplotlib 3.11.2, Python 3.11. Axis.draw updates the ticks (locations, labels and positions), and
# then asks for the position of its label, which updates them twice more: for the boxes of the tick
# labels, and for the spine, whose extent includes ticks. A title updates those of the y axis again.
# Before that, a layout engine or get_tightbbox does all of it once. In a page of 76 small panels this
# was a tenth of the time, and measuring all text again, from the same ticks, another twentieth.
#
# Expected by most: once for each axis and draw, since nothing changes in between.
# Remedy: fewer ticks, and fewer axes; measure panels by what was drawn instead of by get_tightbbox.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet matplotlib==3.11.2
cat > drawn.py <<'PYTHON'
import io
from collections import Counter

from matplotlib.figure import Figure

figure = Figure()
axes = figure.subplots()
axes.plot([1, 2, 3])
axes.set(xlabel="x", ylabel="y", title="title")
counts = Counter()


def counted(axis, name):
    locate = axis.major.formatter.format_ticks

    def format_ticks(values):
        counts[name] += 1
        return locate(values)

    axis.major.formatter.format_ticks = format_ticks


counted(axes.xaxis, "x")
counted(axes.yaxis, "y")
figure.savefig(io.BytesIO(), format="svg")
print("labels of ticks were made:", dict(counts))
raise SystemExit(0 if max(counts.values()) > 2 else 1)
PYTHON
environment/bin/python drawn.py
# Output seen:
# labels of ticks were made: {'y': 6, 'x': 3}
