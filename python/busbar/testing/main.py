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
    try:
        code = int(pytest.main(arguments, plugins=[plugin]))
        # nobody finalises the interpreter, which would write what is left
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        # whoever read it has left, as `head` does
        code = 1
    return code
