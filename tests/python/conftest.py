"""Lets the tests import the package without the executable around it."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

# last, as the interpreter does it: a package that is really installed wins
sys.path.append(str(ROOT / 'python'))


class FakeModule(types.ModuleType):
    """In the place of the native module: enough of it for the pure-Python parts."""

    class Service:
        """The base class that the server provides."""

    ChannelDetails = ChannelSecurityInfo = HttpRequest = Outgoing = Request = Response = object
    ServiceInput = SimpleIOPayload = object

    def __init__(self) -> None:
        super().__init__('_busbar')
        self.lines: list[tuple[int, str, str]] = []

    @staticmethod
    def model_from_dict(cls, data, extra=None, service=None):
        """Reading models is done by the server."""
        raise NotImplementedError

    model_to_dict = model_from_dict

    @staticmethod
    def kind_of_name(name):
        """The rules are the server's; these are the names that the tests use."""
        return {'user_id': 'int', 'is_new': 'bool'}.get(name, 'text')

    @staticmethod
    def pause(service, seconds):
        """Nothing here waits."""
        raise NotImplementedError

    def log(self, level: int, logger: str, message: str) -> None:
        """Keeps what was logged."""
        self.lines.append((level, logger, message))


# for what the tests import at their top
sys.modules.setdefault('_busbar', FakeModule())


@pytest.fixture
def native(monkeypatch):
    """The module in the place of ``_busbar``, new for each test."""
    module = FakeModule()
    monkeypatch.setitem(sys.modules, '_busbar', module)
    for name in [name for name in sys.modules if name.startswith(('busbar.logs', 'zato.server.service'))]:
        monkeypatch.delitem(sys.modules, name)
    return module
