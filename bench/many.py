"""Part `objects`: how fast a server with very many objects of every type starts, lists them and changes one of them.

    python bench/run.py --part objects                     10,000 of each type
    python bench/run.py --part objects --objects 1000      a quick look

It runs only when it is asked for: making so many objects takes minutes.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import subprocess
import time
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from measure import median
from parts import Row
from servers import Busbar, Failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from parts import Options

#: Objects on a page.
PAGE = 50

Item = dict[str, Any]


@cache
def _pem() -> tuple[str, str]:
    """A certificate and its key, which all objects share that need one."""
    command = ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
    command += ['-subj', '/CN=bench', '-days', '1', '-keyout', '/dev/stdout']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r'-----BEGIN CERTIFICATE-----.+-----END CERTIFICATE-----\n', done.stdout, re.DOTALL)
    if done.returncode or found is None:
        message = f'openssl made no certificate: {done.stderr}'
        raise Failure(message)
    return found.group(), done.stdout.replace(found.group(), '')


#: What an object of each type looks like in a file, by its key there. Objects name others of the same number.
TYPES: dict[str, tuple[str, Callable[[int], Item]]] = {
    'security.basic_auth': ('security', lambda n: _user('basic_auth', n, realm='Bench')),
    'security.apikey': ('security', lambda n: {'type': 'apikey', 'password': f'key-{n}'}),
    'security.bearer_token': (
        'security',
        lambda n: _user('bearer_token', n, auth_server_url='http://127.0.0.1:9/token'),
    ),
    'security.jwt': ('security', lambda n: _user('jwt', n)),
    'security.wss': ('security', lambda n: _user('wss', n)),
    'security.oauth': ('security', lambda n: _user('oauth', n)),
    'security.xpath_sec': ('security', lambda n: _user('xpath_sec', n, username_expr='//user', password_expr='//pass')),
    'security.tech_acc': ('security', lambda n: {'type': 'tech_acc', 'password': f'secret-{n}'}),
    'security.tls_channel_sec': ('security', lambda n: {'type': 'tls_channel_sec', 'value': f'subject_cn=client-{n}'}),
    'security.ntlm': ('security', lambda n: _user('ntlm', n)),
    'security.tls_key_cert': ('security', lambda _: {'type': 'tls_key_cert', 'auth_data': ''.join(_pem())}),
    'security.tls_ca_cert': ('security', lambda _: {'type': 'tls_ca_cert', 'value': _pem()[0]}),
    'security_group': ('security_groups', lambda n: {'members': [_name('security.basic_auth', n)]}),
    'rbac_role': ('rbac_role', lambda n: {'parent': _name('rbac_role', n // 10) if n else 'Root'}),
    'rbac_permission': ('rbac_permission', lambda _: {}),
    'rbac_role_permission': (
        'rbac_role_permission',
        lambda n: {'role': _name('rbac_role', n), 'service': f'bench.service-{n}', 'permission': 'Read'},
    ),
    'rbac_client_role': (
        'rbac_client_role',
        lambda n: {'client_def': _name('security.apikey', n), 'role': _name('rbac_role', n)},
    ),
    'channel.http': ('channel_rest', lambda n: _channel(n)),
    'outgoing.http': (
        'outgoing_rest',
        lambda n: {'host': 'http://127.0.0.1:9', 'url_path': f'/{n}', 'security': _name('security.basic_auth', n)},
    ),
    # off: so many sockets would look for their peers all the time
    'outgoing.zmq': (
        'outconn_zmq',
        lambda n: {'address': f'tcp://127.0.0.1:{10_000 + n}', 'socket_type': 'PUSH', 'is_active': False},
    ),
    'outgoing.redis': ('outconn_redis', lambda n: {'host': '127.0.0.1', 'port': 9, 'db': n % 16}),
    'email.smtp': ('email_smtp', lambda n: {'host': '127.0.0.1', 'port': 9, 'username': f'user-{n}'}),
    'email.imap': ('email_imap', lambda n: {'host': '127.0.0.1', 'port': 9, 'username': f'user-{n}'}),
    'outgoing.sql': (
        'outgoing_sql',
        lambda n: {
            'engine': 'postgresql',
            'host': '127.0.0.1',
            'port': 9,
            'db_name': f'bench_{n}',
            'username': 'bench',
        },
    ),
    'service': ('service', lambda n: {'slow_threshold': n + 1}),
}

#: Texts of a service's description in which the types that it lists stand.
LISTED = re.compile(r'Lists objects of the type `(.+)`$')


def _name(kind: str, number: int) -> str:
    return f'{kind} {number:05}'


def _user(of_type: str, number: int, **more: str) -> Item:
    return {'type': of_type, 'username': f'{of_type}-{number}', 'password': f'secret-{number}', **more}


def _channel(number: int) -> Item:
    """Channels with paths of all sorts, for callers who are asked for all sorts of credentials."""
    paths = [f'/bench/{number}', f'/bench-{number}/{{id}}', f'/{{tenant}}/x{number}', f'/{{tenant}}/x{number}/{{id}}']
    item: Item = {'service': f'bench.service-{number}', 'url_path': paths[number % 4], 'data_format': 'json'}
    match number // 4 % 4:
        case 0:
            item['security_groups'] = [_name('security_group', number)]
        case 1:
            item |= {'security': _name('security.basic_auth', number), 'has_rbac': True}
        case 2:
            item['sec_use_rbac'] = True
        case _:
            item['security'] = _name('security.apikey', number)
    return item


class Filled(Busbar):
    """A server with so many objects of each type."""

    def __init__(self, executable: Path, count: int) -> None:
        super().__init__(executable, 1)
        self.count = count
        self.password = ''
        self.import_secs = 0.0
        self.connection: http.client.HTTPConnection | None = None

    def make(self) -> None:
        """Makes the environment and fills it."""
        self.directory.mkdir(mode=0o700)
        text = self._busbar('quickstart', str(self.server.parent), '--address', self.address, '--workers', '1')
        found = re.search(r'User `pubapi`, password `([^`]+)`', text)
        if found is None:
            message = f'quickstart says no password: {text}'
            raise Failure(message)
        self.password = found.group(1)
        objects: dict[str, list[Item]] = {}
        for kind, (key, item) in TYPES.items():
            items = ({'name': _name(kind, number), **item(number)} for number in range(self.count))
            objects.setdefault(key, []).extend(items)
        path = self.directory / 'objects.json'
        path.write_text(json.dumps(objects))
        self._busbar('start', str(self.server))
        try:
            began = time.perf_counter()
            self._busbar('enmasse', str(self.server), '--import', '--input', str(path))
            self.import_secs = time.perf_counter() - began
        finally:
            self._busbar('stop', str(self.server))
            path.unlink()

    def log_in(self) -> None:
        """Opens the connection that requests go over."""
        status = json.loads(self._busbar('status', str(self.server), '--json'))
        self.connection = http.client.HTTPConnection(urlsplit(status['admin_address']).netloc, timeout=600)

    def manage(self, service: str, request: Item) -> tuple[float, Item]:
        """Calls a management service: how many milliseconds it took, and what it answered."""
        if self.connection is None:
            self.log_in()
            return self.manage(service, request)
        credentials = base64.b64encode(f'pubapi:{self.password}'.encode()).decode()
        began = time.perf_counter()
        headers = {'Authorization': f'Basic {credentials}', 'Content-Type': 'application/json'}
        self.connection.request('POST', f'/zato/json/{service}', json.dumps(request), headers)
        response = self.connection.getresponse()
        body = response.read()
        taken = (time.perf_counter() - began) * 1e3
        if response.status != 200:
            message = f'{service} answers {response.status}: {body!r}'
            raise Failure(message)
        answer: Item = json.loads(body)
        return taken, answer

    def __exit__(self, *_: object) -> None:
        if self.connection is not None:
            self.connection.close()
        super().__exit__()


def lists(server: Filled) -> dict[str, tuple[str, Item]]:
    """The service that lists the objects of each type, and what it is told for that."""
    _, document = server.manage('zato.apispec.get-api-spec', {})
    found: dict[str, tuple[str, Item]] = {'service': ('zato.service.get-list', {})}
    for path, operations in document['paths'].items():
        kinds = LISTED.match(operations['post']['summary'])
        for kind in kinds.group(1).split('` or `') if kinds else []:
            request = {'connection': kind.split('.')[0]} if kind.endswith('.http') else {}
            if kind == 'security_group':
                request['group_type'] = 'zato-api-creds'
            found[kind] = (path.rsplit('/', 1)[1], request)
    if missing := found.keys() ^ TYPES.keys():
        message = f'teach bench/many.py about {", ".join(sorted(missing))}'
        raise Failure(message)
    return found


def pages(server: Filled, service: str, request: Item, rounds: int) -> dict[str, list[float]]:
    """How long pages take: the first, one in the middle, the last, and one of a list that is filtered or sorted."""
    asked = {'paginate': True, 'page_size': PAGE, **request}
    _, answer = server.manage(service, asked)
    last = max(1, answer['_meta']['num_pages'])
    wanted = {
        'first': {'cur_page': 1},
        'middle': {'cur_page': (last + 1) // 2},
        'last': {'cur_page': last},
        'filtered': {'query': '99'},
        'sorted': {'sort_by': '-id', 'cur_page': (last + 1) // 2},
    }
    return {
        name: [server.manage(service, {**asked, **page})[0] for _ in range(rounds)] for name, page in wanted.items()
    }


def changes(server: Filled, kind: str, rounds: int) -> dict[str, list[float]]:
    """How long it takes to make, change and delete an object beside all the others."""
    _, item = TYPES[kind]
    times: dict[str, list[float]] = {'create': [], 'edit': [], 'delete': []}
    for number in range(server.count, server.count + rounds):
        # what it names is there
        new = {**item(number % server.count), 'name': _name(kind, number)}
        if 'url_path' in new:
            new['url_path'] = item(number)['url_path']
        steps = [
            ('create', 'zato.common.create-objects', new),
            ('edit', 'zato.common.import-objects', {**new, 'is_active': not new.get('is_active', True)}),
            ('delete', 'zato.common.delete-objects', {'name': new['name']}),
        ]
        for step, service, given in steps:
            taken, _ = server.manage(service, {'object_type': kind, 'object_list': [given]})
            times[step].append(taken)
    return times


def described(times: dict[str, list[float]]) -> str:
    """Medians and maxima in words."""
    return ', '.join(f'{name} {median(taken):.3g}, at most {max(taken):.3g}' for name, taken in times.items())


def objects(options: Options) -> list[Row]:
    """Start, pages of lists, and changes, of each type with that many objects of every type beside it."""
    server = Filled(options.busbar, options.objects)
    case = f'{options.objects:,} objects of each of {len(TYPES)} types'
    try:
        server.make()
        starts = []
        for _ in range(options.rounds):
            server.stop()
            began = time.perf_counter()
            server.start()
            server.wait('/zato/ping', limit=600)
            starts.append(time.perf_counter() - began)
        rows = [
            Row('objects', case, server.name, server.import_secs, 's for their import'),
            Row('objects', case, server.name, median(starts), 's to the first 200', '<= 3', described({'s': starts})),
        ]
        for kind, (service, request) in sorted(lists(server).items()):
            times = pages(server, service, request, options.rounds)
            slowest = max(median(taken) for taken in times.values())
            rows.append(Row('objects', kind, server.name, slowest, 'ms for a page', '<= 100', described(times)))
        for kind in sorted(TYPES):
            times = changes(server, kind, options.rounds)
            slowest = max(median(taken) for taken in times.values())
            rows.append(Row('objects', kind, server.name, slowest, 'ms for a change', '', described(times)))
    finally:
        server.__exit__()
    return rows
