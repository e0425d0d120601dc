"""What editors know of ``self`` is complete: ``typed_service.py`` uses all of it, and checkers find slips."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
# what services write themselves
WRITTEN = {
    *('accept', 'handle', 'before_handle', 'after_handle', 'finalize_handle', 'validate_input', 'validate_output'),
    *(
        f'{when}_{job}job'
        for when in ('before', 'after')
        for job in ('', 'one_time_', 'interval_based_', 'cron_style_')
    ),
    *('before_add_to_store', 'after_add_to_store', 'get_request_hash'),
}


def names_on_self(path, class_name):
    """Public names in the body of a class."""
    tree = ast.parse((ROOT / path).read_text())
    [body] = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name]
    found = set()
    for node in body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign):
            found.add(node.target.id)
        elif isinstance(node, ast.Assign):
            found.update(target.id for target in node.targets)
    return {name for name in found if not name.startswith('_')}


def test_everything_on_self_is_used():
    there = names_on_self('python/_busbar.pyi', 'Service') | names_on_self('python/busbar/methods.py', 'Methods')
    tree = ast.parse((ROOT / 'tests/python/typed_service.py').read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == 'self'
    }
    assert there - used - WRITTEN == set()


@pytest.mark.parametrize('checker', ['mypy', 'pyright'])
def test_a_slip_is_found(checker, tmp_path):
    command = Path(sys.executable).with_name(checker)
    service = tmp_path / 'slip.py'
    service.write_text(
        'from zato.server.service import Service\n\n\n'
        'class Slip(Service):\n'
        '    def handle(self) -> None:\n'
        '        self.logger.info("%s", self.request.http.method)\n'
        '        self.logger.info("%s", self.request.http.methud)\n'
        '        self.response.status_code = "OK"\n'
    )
    (tmp_path / 'pyrightconfig.json').write_text(f'{{"extraPaths": ["{ROOT / "python"}"]}}')
    (tmp_path / 'mypy.ini').write_text(f'[mypy]\nmypy_path = {ROOT / "python"}\n')
    ran = subprocess.run([command, 'slip.py'], cwd=tmp_path, capture_output=True, text=True)
    errors = [line for line in ran.stdout.splitlines() if 'slip.py:' in line and 'error' in line]
    assert [line.split('slip.py:')[1].split(':')[0] for line in errors] == ['7', '8'], ran.stdout + ran.stderr
