"""What ``busbar test`` runs."""

from __future__ import annotations

import os
import signal
import sys

from _busbar import Bench


def main(bench: Bench, arguments: list[str]) -> int:
    """Runs pytest, and returns its exit code."""
    try:
        import pytest
    except ImportError:
        print('busbar: pytest is not installed', file=sys.stderr)
        print('        install it where services find their packages: pip install pytest', file=sys.stderr)
        return 16
    from busbar.testing import bus, plugin

    # as `python -m pytest` has it
    sys.path.insert(0, os.getcwd())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    bus.start(bench)
    return int(pytest.main(arguments, plugins=[plugin]))
