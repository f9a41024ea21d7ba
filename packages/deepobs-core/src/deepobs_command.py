"""The command `deepobs`, which explains itself where another distribution has overwritten deepobs.

It is outside of the package, so that it can be imported then: `pip install deepobs` replaces
`deepobs/__init__.py` by that of the TensorFlow package of 2019.
"""

from __future__ import annotations

import sys

__all__ = ["main"]

_OURS = "deepobs-core"


def _what_is_broken() -> str | None:
    """Say who has overwritten or removed our files, and how to fix it; `None` for nobody."""
    from importlib.metadata import packages_distributions, version
    from importlib.util import find_spec

    rivals = sorted({*packages_distributions().get("deepobs", ())} - {_OURS})
    again = f"`pip install --force-reinstall --no-deps {_OURS}`"
    if rivals:
        return (
            f"{' and '.join(f'{each} {version(each)}' for each in rivals)} has overwritten files "
            f"of {_OURS}. (`pip install deepobs` installs the discontinued TensorFlow package of "
            f"2019.) Fix it with `pip uninstall {' '.join(rivals)}`, followed by {again}."
        )
    found = find_spec("deepobs")
    if found is None or found.origin is None:
        return (
            f"Files of {_OURS} are missing, as after uninstalling a package that had overwritten "
            f"them. Fix it with {again}."
        )
    return None


try:
    from deepobs.cli.main import main
# Of the other package, whatever it raises where its own requirements are missing or too new.
except Exception:
    _broken = _what_is_broken()
    if _broken is None:
        raise

    def main(args: list[str] | None = None) -> int:
        """Say that no command can be executed, and how to fix it."""
        del args
        sys.stderr.write(f"Error: {_broken}\n")
        return 1
