#!/usr/bin/env bash
# `from scipy import special` imports numpy.f2py, numpy.testing and ten more parts of NumPy.
#
# scipy 1.17.1, numpy 2.4.6, Python 3.11. scipy.special/__init__ imports _support_alternative_backends,
# which imports scipy._lib._array_api, which imports the vendored array_api_compat.numpy. That copies
# all public names of NumPy (`clone_module`), and looking up the lazy ones imports numpy.f2py,
# numpy.testing (and unittest), numpy.ctypeslib, numpy.ma, numpy.typing and others: 238 modules
# and 0.1 to 0.2 s for a function such as stdtr, whether SCIPY_ARRAY_API is set or not.
#
# Expected by most: a compiled function of one argument or two costs an extension module.
# Remedy: import scipy.special where it is called, not at the top of modules of a command.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet scipy==1.17.1 numpy==2.4.6
cat > imported.py <<'PYTHON'
import sys

import numpy  # noqa: F401

before = set(sys.modules)
from scipy import special  # noqa: E402, F401

added = set(sys.modules) - before
parts = sorted({name.split(".")[1] for name in added if name.startswith("numpy.")})
print("further modules:", len(added))
print("parts of NumPy:", *parts)
raise SystemExit(0 if {"f2py", "testing"} <= set(parts) else 1)
PYTHON
environment/bin/python imported.py
# Output seen:
# further modules: 238
# parts of NumPy: _core _typing char core ctypeslib f2py fft ma polynomial random rec strings testing typing
