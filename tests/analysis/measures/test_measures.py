"""The measures as a whole."""

from __future__ import annotations

import subprocess
import sys

from deepobs_analysis import measures


def test_everything_that_is_offered_is_there():
    assert all(hasattr(measures, name) for name in measures.__all__)


def test_importing_the_measures_takes_numpy_only():
    code = (
        "import sys, deepobs_analysis.measures\n"
        "print(*{'numpy', 'pandas', 'scipy', 'torch', 'matplotlib'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["numpy"]
