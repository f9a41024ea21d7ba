"""Which of our packages brings which name, so that an error can say what to install.

Written by `tools/generate_facade.py` from the packages' own descriptions.
"""

DISTRIBUTION_OF: dict[str, str] = {}
