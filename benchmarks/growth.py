"""How time and memory grow with the number of runs of a study, as the table of the documentation.

For every size, in new processes: planning, finding the pending runs, the work of the parent process
for each run that ends, reading the results without and with the cache, and showing them. The study
is that of `loading.py`, of runs of 50 epochs; what the runs themselves take is not included.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import loading

SHOWN = {
    "first": "reading, first time",
    "again": "reading again",
    "table": "`deepobs table`",
    "score": "`deepobs score`",
    "report": "`deepobs report`",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="*", default=[100, 1_000, 10_000, 100_000])
    parser.add_argument("--epochs", type=int, default=50)
    arguments = parser.parse_args()
    columns = {number: column(number, arguments.epochs) for number in arguments.runs}
    print("| runs |", *(f" {number:,} |" for number in columns), sep="")
    print("|---|", *("---|" for _ in columns), sep="")
    for name in next(iter(columns.values())):
        print(f"| {name} |", *(f" {values[name]} |" for values in columns.values()), sep="")


def column(num_runs: int, num_epochs: int) -> dict[str, str]:
    """What a study of one size takes, by what is done."""
    parent = Path(__file__).with_name("sweep_parent.py")
    command = [sys.executable, str(parent), "--here", "--runs", str(num_runs)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, per_run, memory = re.findall(
        r"in ([\d.]+) s, ([\d.]+) micro.*then ([\d.]+) MiB", text
    )[0]
    found = {
        "planning": f"{seconds} s",
        "parent process, for each run that ends": f"{per_run} µs",
        "parent process, memory": f"{memory} MiB",
    }
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        loading.write_study(place / "results", num_runs, num_epochs)
        files = [path.stat().st_size for path in (place / "results").rglob("*.json")]
        found["result files"] = f"{sum(files) / 2**20:.0f} MiB"
        python = Path(sys.executable)
        where = python, place / "results", place, set(SHOWN)
        costs = *loading.cost_of_reading(*where), *loading.cost_of_showing(*where)
        for step, cost in costs:
            if step in SHOWN:
                found[SHOWN[step]] = f"{cost.whole:.1f} s, {cost.memory:.0f} MiB"
    print(f"{num_runs}: {found}", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    main()
