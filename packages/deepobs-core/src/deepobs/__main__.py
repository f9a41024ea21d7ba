"""`python -m deepobs` is the command line `deepobs`."""

import sys

from deepobs.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
