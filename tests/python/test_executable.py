"""What only the executable can tell: that the stubs are true, and that the sample services import."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLES = [
    'downcase.py',
    'market_cap.py',
    'tutorial/step1_http/my_service.py',
    'tutorial/step2_zmq/my_service.py',
    'tutorial/step3_kvdb/my_service.py',
]


@pytest.fixture(scope='module')
def busbar():
    """Runs the executable that was built last: returns its exit code and everything that it said."""
    built = [ROOT / 'target' / profile / 'busbar' for profile in ('debug', 'release')]
    found = sorted((path for path in built if path.is_file()), key=lambda path: path.stat().st_mtime)
    if not found:
        assert 'CI' not in os.environ, 'the executable has to be built first'
        pytest.skip('the executable is not built')

    def run(*arguments):
        environment = os.environ | {'VIRTUAL_ENV': str(ROOT / '.venv')}
        done = subprocess.run([found[-1], *arguments], env=environment, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    return run


def test_the_stubs_are_true(busbar):
    code, said = busbar('check', str(ROOT / 'tests' / 'python' / 'stub_check.py'))
    assert code == 0, said


@pytest.mark.parametrize('file', SAMPLES)
def test_the_sample_services_can_be_deployed(busbar, file):
    code, said = busbar('check', str(ROOT / 'sample-services' / file))
    assert code == 0, said
