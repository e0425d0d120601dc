"""The comparison itself, on a native module that is made up."""

import importlib.util
import shutil
from pathlib import Path

import pytest

import zato

STUB = """
from typing import Any, Protocol

class Readable(Protocol):
    def read(self) -> bytes: ...

class Service:
    cid: str
    @property
    def name(self) -> str: ...
    def handle(self) -> None: ...
    def invoke(self, name: str, payload: Any = ..., *, timeout: float = ..., **kwargs: Any) -> Any: ...
    @classmethod
    def get_name(cls) -> str: ...

def log(level: int, logger: str, message: str) -> None: ...
"""


class RealService:
    cid = ''
    name = property(lambda self: 'x')

    def handle(self):
        pass

    def invoke(self, name, payload='', *, timeout=0, **kwargs):
        pass

    @classmethod
    def get_name(cls):
        pass


@pytest.fixture
def check(native, monkeypatch, tmp_path):
    """Loads the script with a stub of the given text."""
    monkeypatch.setattr(native, 'Service', RealService, raising=False)
    monkeypatch.setattr(zato, '__file__', str(tmp_path / 'zato' / '__init__.py'))
    # the fake keeps its lines for other tests: nothing of the module under test
    del native.lines

    def load(stub):
        (tmp_path / '_busbar.pyi').write_text(stub)
        # a copy, as when it is deployed: the one in the sources looks for the stub there
        path = Path(shutil.copy(Path(__file__).parent / 'stub_check.py', tmp_path))
        spec = importlib.util.spec_from_file_location('stub_check', path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def test_a_true_stub_passes(check):
    assert check(STUB).differences() == []


@pytest.mark.parametrize(
    ('before', 'after', 'expected'),
    [
        ('    cid: str\n', '', 'Service.cid: in the module only'),
        ('    cid: str\n', '    cid: str\n    cod: str\n', 'Service.cod: in the stub only'),
        ('payload: Any = ...', 'payload: Any', 'Service.invoke: the stub has (name, payload, '),
        ('*, timeout: float = ...', 'timeout: float = ...', 'Service.invoke: the stub has'),
        ('message: str', 'text: str', 'log: the stub has (level, logger, text)'),
        ('def log', 'def lag', 'lag: in the stub only'),
        ('class Service', 'class Servant', 'Servant: in the stub only'),
    ],
)
def test_a_stale_stub_fails_and_says_where(check, before, after, expected):
    assert before in STUB
    with pytest.raises(ImportError, match='differ') as error:
        check(STUB.replace(before, after))
    assert expected in str(error.value)
