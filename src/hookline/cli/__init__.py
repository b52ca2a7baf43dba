"""The ``hookline`` command: a file for each group of commands."""

from __future__ import annotations

import sys

from hookline import __version__


def main() -> None:
    """Run the command line; a mistake of the user's is a sentence and exit code 2, not a traceback."""
    if sys.argv[1:] == ["--version"]:  # nothing else need be loaded for it
        print(f"hookline {__version__}")
        return
    from hookline.cli.commands import run

    sys.exit(run(sys.argv[1:]))
