"""The compatibility page tells of every management service in the catalogue."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CATALOGUE = ROOT / 'server/admin/src/management/catalogue'
ROWS = ROOT / 'docs/compatibility/management.toml'


def is_own(service):
    """Whether it is of this server alone."""
    return service.get('since') == 'busbar' or service['name'].startswith('busbar.')


def catalogue():
    """Services by name: whether they wait for something. Those of this server alone are compared with nothing."""
    files = [tomllib.loads(path.read_text()) for path in CATALOGUE.glob('*.toml')]
    services = [service for file in files for service in file['service'] if not is_own(service)]
    return {service['name']: service.get('pending', False) for service in services}


def told():
    """States by the names of services, of rows that are about services."""
    states = {}
    for row in tomllib.loads(ROWS.read_text())['row']:
        if not row['spec'].startswith('management 6'):
            continue
        family, colon, names = row['what'].partition('*`: ')
        if colon:
            names = names.split(', ')
            # those that outsiders may call stand beside the others of their family
            found = [name if name.startswith('pub.') else family.removeprefix('`') + name for name in names]
        else:
            found = []
            for name in re.findall(r'`([^`]+)`', row['what']):
                head, brace, rest = name.partition('{')
                found += [head + part for part in rest.rstrip('}').split(',')] if brace else [name]
        states |= dict.fromkeys(found, row['state'])
    return states


def test_every_service_has_a_row():
    states = told()
    missing = sorted(name for name in catalogue() if name not in states)
    assert not missing


def test_what_waits_is_not_said_to_work():
    states = told()
    assert [name for name, waits in catalogue().items() if waits and states[name] == 'works'] == []
