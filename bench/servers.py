"""Starts and ends the servers that are measured: each on a free port, each ended by its own process id."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from database import Database

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / 'bench'
PEERS = ROOT / '.bench-venv' / 'bin'

BODY = '{"cust_id":123,"cust_type":"A"}'

OBJECTS = """
security:
  - name: bench
    type: basic_auth
    username: bench
    password: bench
channel_rest:
  - {name: bare, url_path: /bare, service: bench-service.bare, data_format: json}
  - {name: secured, url_path: /secured, service: bench-service.bare, data_format: json, security_name: bench}
  - {name: sleep, url_path: /sleep, service: bench-service.sleep, data_format: json}
  - {name: burn, url_path: /burn, service: bench-service.burn, data_format: json}
  - {name: tutorial, url_path: /tutorial, service: bench-service.tutorial, data_format: json}
  - {name: undeclared, url_path: /undeclared, service: bench-service.undeclared, data_format: json}
  - {name: declared, url_path: /declared, service: bench-service.declared, data_format: json}
  - {name: xml-declared, url_path: /xml-declared, service: bench-service.xml-declared, data_format: xml}
  - {name: xml-by-hand, url_path: /xml-by-hand, service: bench-service.xml-by-hand, data_format: xml}
  - {name: invoker, url_path: /invoker, service: bench-service.invoker, data_format: json}
  - {name: gets, url_path: /gets, service: bench-service.gets, data_format: json}
  - {name: probe, url_path: /probe, service: probe.probe, data_format: json}
outgoing_rest:
  - {name: CRM, host: 'http://BACKEND', url_path: /crm, data_format: json, pool_size: 128}
  - {name: Payments, host: 'http://BACKEND', url_path: /payments, data_format: json, pool_size: 128}
"""


SQL_OBJECTS = """
outgoing_sql:
  - name: Bench
    engine: postgresql
    host: {0.host}
    port: {0.port}
    db_name: {0.name}
    username: {0.user}
    pool_size: 32
channel_rest:
  - {{name: customer, url_path: /customer, service: sql-service.get-customer, data_format: json}}
  - {{name: look-up, url_path: /look-up, service: sql-service.look-up, data_format: json}}
  - {{name: read-rows, url_path: /read-rows, service: sql-service.read-rows, data_format: json}}
"""


class Failure(Exception):
    """Something could not be measured."""


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def ask(address: str, path: str, body: str = BODY, timeout: float = 5) -> tuple[int, bytes]:
    """One POST over a connection of its own: status and body."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    with contextlib.closing(connection):
        connection.request('POST', path, body, {'Content-Type': 'application/json'})
        response = connection.getresponse()
        return response.status, response.read()


class Server:
    """A server that runs until :meth:`stop`.

    :param name: what the tables call it.
    :param command: what starts it, in the foreground.
    :param address: where it listens.
    """

    def __init__(self, name: str, command: list[str], address: str, environment: dict[str, str] | None = None) -> None:
        self.name = name
        self.address = address
        self.command = command
        self.environment = os.environ | (environment or {})
        self.process: subprocess.Popen[bytes] | None = None
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - open for as long as the process may write

    def start(self) -> None:
        """Starts the process. Its output is kept for the case that it fails."""
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            env=self.environment,
            cwd=BENCH / 'peers',
            start_new_session=True,
        )

    def wait(self, path: str = '/bare', limit: float = 30) -> None:
        """Waits until ``path`` answers with 200.

        :raises Failure: if it does not, or if the process has ended.
        """
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if self.process is None or self.process.poll() is not None:
                break
            with contextlib.suppress(OSError, http.client.HTTPException):
                if ask(self.address, path)[0] == 200:
                    return
            time.sleep(0.002)
        self.output.seek(0)
        lines = self.output.read().decode(errors='replace').splitlines()[-20:]
        message = '\n'.join([f'{self.name} does not answer {path} at {self.address}', *lines])
        raise Failure(message)

    def stop(self) -> None:
        """Ends the process: asks, waits, then insists."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            # it is the leader of a session of its own, so this reaches what it started and nothing else
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def __enter__(self) -> Server:
        try:
            self.start()
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Busbar(Server):
    """A busbar server in a directory of its own, with the services of bench/services/.

    :param workers: number of worker processes; 0 runs services in the hub's process.
    :param backend: address of the server that the tutorial's service calls.
    :param database: what the services of part `sql` read; without one they, who import SQLAlchemy, are not deployed.
    """

    def __init__(
        self, executable: Path, workers: int, backend: str = '127.0.0.1:9', database: Database | None = None
    ) -> None:
        self.executable = str(executable)
        port = free_port()
        self.directory = Path(tempfile.gettempdir()) / f'busbar-bench-{os.getpid()}-{port}'
        self.server = self.directory / 'env' / 'server1'
        self.objects = [OBJECTS.replace('BACKEND', backend)]
        self.services = ['bench_service.py']
        if database is not None:
            self.objects.append(SQL_OBJECTS.format(database))
            self.services.append('sql_service.py')
        name = f'busbar, {workers} workers' if workers else 'busbar, in process'
        command = [self.executable, 'start', '--fg', str(self.server)]
        super().__init__(name, command, f'127.0.0.1:{port}', {'VIRTUAL_ENV': str(ROOT / '.venv')})
        self.workers = workers

    def make(self) -> None:
        """Makes the environment and has the server take over services and objects, once."""
        self.directory.mkdir(mode=0o700)
        quickstart = ['quickstart', str(self.server.parent), '--address', self.address, '--workers', str(self.workers)]
        self._busbar(*quickstart)
        for file in self.services:
            shutil.copy(BENCH / 'services' / file, self.server / 'pickup-dir')
        self._busbar('start', str(self.server))
        try:
            for text in self.objects:
                objects = self.directory / 'objects.yaml'
                objects.write_text(text)
                self._busbar('enmasse', str(self.server), '--import', '--input', str(objects))
        finally:
            self._busbar('stop', str(self.server))

    def start(self) -> None:
        """Starts the server; makes its environment first, if it has none."""
        if not self.server.exists():
            self.make()
        super().start()

    def remove(self) -> None:
        """Removes the environment."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _busbar(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.executable, *arguments], env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            message = f'busbar {" ".join(arguments)}: {done.stderr or done.stdout}'
            raise Failure(message)
        return done.stdout

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.remove()


def baseline(programs: Path) -> Server:
    """Hyper alone: the limit."""
    address = f'127.0.0.1:{free_port()}'
    return Server('hyper alone', [str(programs / 'baseline'), '--address', address], address)


def granian() -> Server:
    """Granian, WSGI, two workers."""
    port = free_port()
    command = [str(PEERS / 'granian'), '--interface', 'wsgi', '--workers', '2', '--http', '1', '--no-ws']
    command += ['--log-level', 'warning', '--port', str(port), 'wsgi_app:app']
    return Server('Granian WSGI', command, f'127.0.0.1:{port}')


def fastapi() -> Server:
    """FastAPI on uvicorn, two workers."""
    port = free_port()
    command = [str(PEERS / 'uvicorn'), '--workers', '2', '--loop', 'uvloop', '--http', 'httptools', '--no-access-log']
    command += ['--log-level', 'warning', '--port', str(port), 'fastapi_app:app']
    return Server('FastAPI, uvicorn', command, f'127.0.0.1:{port}')


def fastapi_sql(database: Database) -> Server:
    """FastAPI over SQLAlchemy and psycopg2, two workers."""
    port = free_port()
    command = [str(PEERS / 'uvicorn'), '--workers', '2', '--loop', 'uvloop', '--http', 'httptools', '--no-access-log']
    command += ['--log-level', 'warning', '--port', str(port), 'fastapi_sql:app']
    return Server('FastAPI, SQLAlchemy', command, f'127.0.0.1:{port}', {'DATABASE': database.dialect_url})


def flask(backend: str = '127.0.0.1:9') -> Server:
    """Flask on gunicorn with gevent, two workers."""
    port = free_port()
    command = [str(PEERS / 'gunicorn'), '--worker-class', 'gevent', '--workers', '2', '--log-level', 'warning']
    command += ['--bind', f'127.0.0.1:{port}', 'flask_app:app']
    return Server('Flask, gevent', command, f'127.0.0.1:{port}', {'BACKEND': f'http://{backend}'})


def require(*programs: Path | str) -> None:
    """Ends the program with a clear line if one of these is missing."""
    for program in programs:
        if shutil.which(str(program)) is None:
            sys.exit(f'{program} is missing; `make bench` builds and installs what it needs')
