"""The parts of `make bench`. Each takes the options, measures, and gives back rows of the table."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measure
import servers
from database import Database
from measure import median, percentile
from servers import Busbar, Failure, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROBE = """
from zato.server.service import Service

class Probe(Service):
    def handle(self):
        self.response.payload = {{'version': {version}}}
"""


@dataclass
class Options:
    """What the command line says."""

    busbar: Path
    programs: Path
    seconds: float
    rounds: int
    connections: list[int]
    even: bool
    objects: int


@dataclass
class Row:
    """One line of the table.

    ``target`` is what ``value`` has to keep: at least (``>=``) or at most (``<=``) that. Without one, it is shown only.
    """

    part: str
    case: str
    server: str
    value: float
    unit: str
    target: str = ''
    detail: str = ''

    @property
    def missed(self) -> bool:
        """Whether the target was not kept."""
        if not self.target:
            return False
        relation, bound = self.target.split()
        return self.value < float(bound) if relation == '>=' else self.value > float(bound)

    def record(self) -> dict[str, Any]:
        """For the JSON report."""
        return asdict(self) | {'missed': self.missed}


@contextlib.contextmanager
def running(*wanted: Server) -> Iterator[list[Server]]:
    """All of them, started and answering; ended and removed afterwards whatever happens."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(server) for server in wanted]


@dataclass
class Load:
    """What wrk sends to one of the servers."""

    server: Server
    path: str
    body: str = servers.BODY
    #: What it is called, if not as its server.
    name: str = ''

    def __post_init__(self) -> None:
        self.name = self.name or self.server.name


def interleaved(options: Options, loads: list[Load], connections: int) -> dict[str, measure.Throughput]:
    """Runs wrk with each load in turn, so often as there are rounds, and gives back each one's median run."""
    runs: dict[str, list[measure.Throughput]] = {load.name: [] for load in loads}
    for load in loads:
        measure.wrk(load.server.address, load.path, connections, 1, load.body)
    for _ in range(options.rounds):
        for load in loads:
            run = measure.wrk(load.server.address, load.path, connections, options.seconds, load.body)
            runs[load.name].append(run)
    return {name: _median_run(found) for name, found in runs.items()}


def _median_run(runs: list[measure.Throughput]) -> measure.Throughput:
    return measure.Throughput(
        rate=median(run.rate for run in runs),
        p99_ms=median(run.p99_ms for run in runs),
        broken=sum(run.broken for run in runs),
        refused=sum(run.refused for run in runs),
        answers=sum(run.answers for run in runs),
    )


def _failed(part: str, case: str, found: dict[str, measure.Throughput], refusals_expected: bool = False) -> list[Row]:
    """Requests of busbar that failed: none may."""
    rows = []
    for name, run in found.items():
        if name.startswith('busbar'):
            wrong = run.answers - run.refused if refusals_expected else run.refused
            rows.append(Row(part, case, name, run.broken + wrong, 'failed requests', '<= 0'))
    return rows


def bare(options: Options) -> list[Row]:
    """JSON in, JSON out: throughput of all servers, as a ratio to hyper alone."""
    rows = []
    wanted = [
        servers.baseline(options.programs),
        Busbar(options.busbar, 0),
        Busbar(options.busbar, 2),
        servers.granian(),
        servers.fastapi(),
        servers.flask(),
    ]
    with running(*wanted):
        for connections in options.connections:
            case = f'{connections} connections'
            found = interleaved(options, [Load(server, '/bare') for server in wanted], connections)
            limit = found['hyper alone'].rate
            checked = connections == 64
            targets = {'busbar, in process': '>= 0.70', 'busbar, 2 workers': '>= 0.42'} if checked else {}
            for name, run in found.items():
                detail = f'{run.rate:,.0f} requests/s, p99 {run.p99_ms:.2f} ms'
                rows.append(Row('bare', case, name, run.rate / limit, 'x hyper alone', targets.get(name, ''), detail))
            ours = found['busbar, 2 workers'].rate
            for peer, target in (('Granian WSGI', '>= 1.4'), ('FastAPI, uvicorn', ''), ('Flask, gevent', '>= 8')):
                ratio = ours / found[peer].rate
                rows.append(Row('bare', case, 'busbar, 2 workers', ratio, f'x {peer}', target if checked else ''))
            rows += _failed('bare', case, found)
    return rows


def refused(options: Options) -> list[Row]:
    """What the hub refuses by itself."""
    rows = []
    limit, ours = servers.baseline(options.programs), Busbar(options.busbar, 2)
    cases = [
        ('401, no credentials', '/secured', servers.BODY, 401),
        ('404, unknown path', '/nowhere', servers.BODY, 404),
        ('400, bad JSON', '/declared', '{"cust_id":', 400),
    ]
    with running(limit, ours):
        for case, path, body, status in cases:
            answered, _ = servers.ask(ours.address, path, body)
            if answered != status:
                message = f'{case}: busbar answers {answered}'
                raise Failure(message)
            # hyper alone answers 200 to what it is compared with: refusing must not cost more than serving
            found = interleaved(options, [Load(limit, '/bare'), Load(ours, path, body)], 64)
            run = found[ours.name]
            ratio = run.rate / found[limit.name].rate
            rows.append(
                Row('refused', case, ours.name, ratio, 'x hyper alone', '>= 0.8', f'{run.rate:,.0f} requests/s')
            )
            rows += _failed('refused', case, {ours.name: run}, refusals_expected=True)
    return rows


SIO_BODY = '{"cust_id":"123","cust_type":"A","is_active":true}'
ORDER = '<item_dict><order_id>{0}</order_id><sku>sku-{0}</sku><price>{0}.5</price><is_paid>true</is_paid></item_dict>'
ORDERS = f'<request><orders>{"".join(ORDER.format(index) for index in range(50))}</orders></request>'


def sio(options: Options) -> list[Row]:
    """What declared input and output costs, and what it saves with XML."""
    rows = []
    ours = Busbar(options.busbar, 2)
    cases = [
        ('3 values in and out, JSON', '/declared', '/undeclared', SIO_BODY, 'x without SimpleIO', '>= 0.85'),
        ('50 orders in and out, XML', '/xml-declared', '/xml-by-hand', ORDERS, 'x lxml in Python', '>= 5'),
    ]
    with running(ours):
        for case, path, other, body, unit, target in cases:
            for asked in (path, other):
                answered, text = servers.ask(ours.address, asked, body)
                if answered != 200:
                    message = f'{case}: {asked} answers {answered}: {text!r}'
                    raise Failure(message)
            loads = [Load(ours, path, body, f'busbar, {path}'), Load(ours, other, body, f'busbar, {other}')]
            found = interleaved(options, loads, 64)
            run, plain = (found[load.name] for load in loads)
            detail = f'{run.rate:,.0f} and {plain.rate:,.0f} requests/s'
            rows.append(Row('sio', case, ours.name, run.rate / plain.rate, unit, target, detail))
            rows += _failed('sio', case, found)
    return rows


def invoke(options: Options) -> list[Row]:
    """What `self.invoke` of a service that does next to nothing takes, all in all."""
    ours = Busbar(options.busbar, 2)
    with running(ours):
        times = []
        for _ in range(options.rounds):
            status, text = servers.ask(ours.address, '/invoker', timeout=30)
            if status != 200:
                message = f'/invoker: busbar answers {status}: {text!r}'
                raise Failure(message)
            times.append(json.loads(text)['microseconds'])
    detail = ', '.join(f'{value:.2f}' for value in times)
    return [Row('invoke', 'self.invoke of another service', ours.name, median(times), 'microseconds', '<= 5', detail)]


def tutorial(options: Options) -> list[Row]:
    """Two outgoing calls to a local back-end."""
    rows = []
    with running(servers.baseline(options.programs)) as (backend,):
        wanted = [
            Busbar(options.busbar, 0, backend.address),
            Busbar(options.busbar, 2, backend.address),
            servers.flask(backend.address),
        ]
        with running(*wanted):
            found = interleaved(options, [Load(server, '/tutorial') for server in wanted], 64)
    peer = found['Flask, gevent'].rate
    for name, run in found.items():
        target = '>= 3' if name == 'busbar, 2 workers' else ''
        detail = f'{run.rate:,.0f} requests/s, p99 {run.p99_ms:.2f} ms'
        rows.append(Row('tutorial', 'two outgoing calls', name, run.rate / peer, 'x Flask, gevent', target, detail))
    return rows + _failed('tutorial', 'two outgoing calls', found)


def mixed(options: Options) -> list[Row]:
    """Short calls while one in ten sleeps or burns CPU."""
    rows = []
    ours = Busbar(options.busbar, 2)
    cases = [('1 in 10 sleeps 50 ms', '/sleep', 1000.0), ('1 in 10 burns 20 ms of CPU', '/burn', 350.0)]
    with running(ours):
        for case, slow_path, rate in cases:
            seconds = max(options.seconds * 2, 5)
            runs = [
                measure.load(options.programs, ours.address, slow_path, rate, seconds, seed + 1, options.even)
                for seed in range(options.rounds)
            ]
            case = f'{case}, {rate:.0f}/s'
            for key, target in (('p50_ms', '<= 0.5'), ('p99_ms', '<= 5')):
                value = median(run['short'][key] for run in runs)
                detail = ', '.join(f'{run["short"][key]:.2f}' for run in runs)
                rows.append(Row('mixed', case, ours.name, value, f'ms {key[:3]} of short calls', target, detail))
            slow = median(run['slow']['p99_ms'] for run in runs)
            rows.append(Row('mixed', case, ours.name, slow, 'ms p99 of slow calls'))
            failed = sum(run['short']['failed'] + run['slow']['failed'] for run in runs)
            rows.append(Row('mixed', case, ours.name, failed, 'failed requests', '<= 0'))
    return rows


def kvdb(options: Options) -> list[Row]:
    """`self.kvdb.conn.get` against redis-py with hiredis, in one process each, on the same Redis."""
    ours, rows = Busbar(options.busbar, 1), []
    with running(ours):
        socket_path = ours.server / 'work' / 'redis' / 'redis.sock'
        for threads, target in ((1, '>= 1'), (32, '>= 3')):
            rates, theirs = [], []
            for _ in range(options.rounds):
                rates.append(_together(ours, '/gets', [{'seconds': options.seconds}] * threads, options.seconds))
                theirs.append(_peer('redis_gets.py', socket_path, threads, options.seconds))
            case, detail = (
                f'kvdb.conn.get, {threads} threads',
                f'{median(rates):,.0f} against {median(theirs):,.0f} a second',
            )
            ratio = median(rates) / median(theirs)
            rows.append(Row('kvdb', case, ours.name, ratio, 'x redis-py, hiredis', target, detail))
    return rows


def _together(ours: Busbar, path: str, bodies: list[dict[str, Any]], seconds: float) -> float:
    """What so many calls that run at the same time do in a second, all in all."""

    def one(body: dict[str, Any]) -> float:
        status, text = servers.ask(ours.address, path, json.dumps(body), timeout=seconds + 20)
        if status != 200:
            message = f'{path}: busbar answers {status}: {text!r}'
            raise Failure(message)
        return float(json.loads(text)['rate'])

    with ThreadPoolExecutor(len(bodies)) as pool:
        return sum(pool.map(one, bodies))


def sql(options: Options) -> list[Row]:
    """Rows of PostgreSQL: one by primary key, 10,000 of them, and one as the answer to a request."""
    with Database() as database:
        ours = Busbar(options.busbar, 1, database=database)
        with running(ours):
            rows = _lookups(options, ours, database) + _ten_thousand(options, ours, database)
        case = 'SELECT one row -> JSON'
        ours, peer = Busbar(options.busbar, 2, database=database), servers.fastapi_sql(database)
        with running(ours, peer):
            body = '{"id": 77}'
            answers = {servers.ask(server.address, '/customer', body)[1].replace(b' ', b'') for server in (ours, peer)}
            if len(answers) > 1:
                message = f'{case}: the servers answer differently: {answers}'
                raise Failure(message)
            found = interleaved(options, [Load(ours, '/customer', body), Load(peer, '/customer', body)], 32)
    run, theirs = found[ours.name], found[peer.name]
    detail = f'{run.rate:,.0f} against {theirs.rate:,.0f} requests/s, p99 {run.p99_ms:.1f} and {theirs.p99_ms:.1f} ms'
    rows.append(Row('sql', case, ours.name, run.rate / theirs.rate, f'x {peer.name}', '>= 3', detail))
    return rows + _failed('sql', case, found)


def _lookups(options: Options, ours: Busbar, database: Database) -> list[Row]:
    """One row by primary key, each through a session of its own, in 32 threads of one process."""
    rows = []
    cases = [
        ('text', 'one row by primary key, text', '>= 1.5'),
        # most of the time goes into making an object, which is SQLAlchemy's work on both sides
        ('get', 'one row by primary key, object of the ORM', ''),
    ]
    for how, case, target in cases:
        rates, theirs = [], []
        for _ in range(options.rounds):
            bodies = [{'seconds': options.seconds, 'how': how, 'first': thread * 300} for thread in range(32)]
            rates.append(_together(ours, '/look-up', bodies, options.seconds))
            theirs.append(_peer('sql_lookups.py', database.dialect_url, how, 32, options.seconds))
        detail = f'{median(rates):,.0f} against {median(theirs):,.0f} a second, 32 threads'
        ratio = median(rates) / median(theirs)
        rows.append(Row('sql', case, ours.name, ratio, 'x SQLAlchemy, psycopg2', target, detail))
    return rows


def _ten_thousand(options: Options, ours: Busbar, database: Database) -> list[Row]:
    """10,000 rows of 8 columns as tuples, in one thread."""
    taken, theirs, times = [], [], max(5, round(options.seconds * 5))
    for _ in range(options.rounds):
        status, text = servers.ask(ours.address, '/read-rows', json.dumps({'times': times}), timeout=60)
        if status != 200:
            message = f'/read-rows: busbar answers {status}: {text!r}'
            raise Failure(message)
        taken.append(float(json.loads(text)['milliseconds']))
        theirs.append(_peer('sql_rows.py', database.url, times))
    detail = f'{median(taken):.1f} against {median(theirs):.1f} ms'
    ratio = median(theirs) / median(taken)
    return [Row('sql', '10,000 rows of 8 columns', ours.name, ratio, 'x psycopg2', '>= 2', detail)]


def _peer(script: str, *arguments: object) -> float:
    """What a peer that runs in a process of its own prints."""
    command = [str(servers.PEERS / 'python'), str(servers.BENCH / 'peers' / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f'{script}: {done.stderr}'
        raise Failure(message)
    return float(done.stdout)


def start(options: Options) -> list[Row]:
    """From starting the executable to the first answer of a service."""
    rows = []
    for workers in (0, 2):
        ours = Busbar(options.busbar, workers)
        try:
            ours.make()
            times = []
            for _ in range(max(options.rounds, 3)):
                began = time.perf_counter()
                ours.start()
                ours.wait()
                times.append(time.perf_counter() - began)
                ours.stop()
        finally:
            ours.stop()
            ours.remove()
        detail = ', '.join(f'{value:.2f}' for value in times)
        rows.append(Row('start', 'start to first 200', ours.name, median(times), 's', '<= 1', detail))
    return rows


def deploy(options: Options) -> list[Row]:
    """From `cp` to the new code answering."""
    ours = Busbar(options.busbar, 2)
    times = []
    with running(ours):
        source = ours.directory / 'probe.py'
        target = ours.server / 'pickup-dir' / 'probe.py'
        for version in range(1, 41):
            source.write_text(PROBE.format(version=version))
            began = time.perf_counter()
            shutil.copyfile(source, target)
            _wait_for_version(ours, version, began)
            times.append((time.perf_counter() - began) * 1e3)
    return [
        Row('deploy', 'cp to new code', ours.name, percentile(times, 0.5), 'ms p50', '<= 150'),
        Row('deploy', 'cp to new code', ours.name, percentile(times, 0.99), 'ms p99', '<= 300'),
    ]


def _wait_for_version(server: Server, version: int, began: float) -> None:
    connection = http.client.HTTPConnection(server.address, timeout=5)
    expected = f'{{"version":{version}}}'.encode()
    with contextlib.closing(connection):
        while time.perf_counter() - began < 10:
            connection.request('POST', '/probe', '{}')
            answer = connection.getresponse().read()
            if answer.replace(b' ', b'') == expected:
                return
            time.sleep(0.001)
    message = f'version {version} of the probe does not answer after 10 s, but {answer!r}'
    raise Failure(message)


def memory(options: Options) -> list[Row]:
    """Idle memory of the hub and of a worker whose services import next to nothing."""
    ours = Busbar(options.busbar, 2)
    rows = []
    with running(ours):
        for _ in range(50):
            servers.ask(ours.address, '/bare')
        hub = ours.process.pid if ours.process else 0
        sizes = measure.memory_mb(hub)
        detail = f'{sizes["proportional"]:.1f} MB proportional'
        rows.append(Row('memory', 'idle', 'hub', sizes['resident'], 'MB resident', '<= 40', detail))
        for child in measure.children(hub):
            # workers are the same executable; the private redis-server is not
            if Path(f'/proc/{child}/exe').resolve() == options.busbar:
                sizes = measure.memory_mb(child)
                detail = f'{sizes["proportional"]:.1f} MB proportional'
                rows.append(Row('memory', 'idle', 'worker', sizes['resident'], 'MB resident', '<= 40', detail))
    return rows


ALL: dict[str, Callable[[Options], list[Row]]] = {
    'bare': bare,
    'refused': refused,
    'sio': sio,
    'invoke': invoke,
    'tutorial': tutorial,
    'mixed': mixed,
    'kvdb': kvdb,
    'sql': sql,
    'start': start,
    'deploy': deploy,
    'memory': memory,
}
