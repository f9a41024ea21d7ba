#!/usr/bin/env bash
# `import psd` (psd-optimizer) logs what the whole program says to a file in the current directory.
#
# psd-optimizer 0.1.2, grokadamw 0.1.2, Python 3.11. Importing the optimizer creates logs/psd.log
# where the program was started and adds it to the root logger, with the level INFO: from then on
# every record of level INFO and above, of all libraries and of the program itself (addresses,
# paths, configurations), is written there and to stderr. A later logging.basicConfig of the program
# does nothing, as the root logger has handlers. If there is a file logging.ini, that is loaded.
# Importing grokadamw calls logging.basicConfig(level=INFO): the same on stderr alone.
#
# Expected by most: a library leaves the root logger, and the current directory, to the program.
# Remedy: configure logging before the import, which then leaves it alone.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.14.1 numpy==2.4.6 psd-optimizer==0.1.2 grokadamw==0.1.2
cat > imports.py <<'PYTHON'
import logging
import pathlib
import sys

__import__(sys.argv[1])
logging.basicConfig(level=logging.WARNING, format="mine: %(message)s")  # too late
logging.getLogger("some.library").info("connecting to database.example")
handlers = [type(handler).__name__ for handler in logging.getLogger().handlers]
files = {str(path): path.read_text() for path in pathlib.Path("logs").glob("*")}
print(f"{sys.argv[1]}: level {logging.getLogger().level}, handlers {handlers}")
for path, text in files.items():
    print(f"  {path}: {text.splitlines()[-1]}")
has_file = any("database.example" in text for text in files.values())
is_as_seen = logging.getLogger().level == logging.INFO and has_file == (sys.argv[1] == "psd")
raise SystemExit(0 if is_as_seen else 1)
PYTHON
environment/bin/python imports.py psd
rm -r logs
environment/bin/python imports.py grokadamw
# Output seen:
# psd: level 20, handlers ['RotatingFileHandler', 'StreamHandler']
#   logs/psd.log: {"time": ..., "level": "INFO", "name": "some.library", "message": "connecting to database.example"}
# grokadamw: level 20, handlers ['StreamHandler']
