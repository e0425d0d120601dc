"""The server that a test runs in."""

from __future__ import annotations

import json
import shutil
import tempfile
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from http.client import HTTPConnection
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any
from urllib.parse import urlencode, urlsplit

from _busbar import Bench, Service
from busbar.testing import inside, live
from busbar.testing.answer import Answer
from busbar.testing.database import Database
from busbar.testing.doubles import Back, Doubles, Socket, encoded
from busbar.testing.errands import Errand

CHANNEL = 'channel.http'
INSIDE = 'busbar.testing.inside'
CONTENT_TYPES = {'json': 'application/json', 'xml': 'application/xml', 'form': 'application/x-www-form-urlencoded'}

#: What the server keeps in Redis begins with one of these.
OWN_KEYS = ('busbar:', 'zato:')

Deployable = str | Path | type | ModuleType


class DeploymentFailed(AssertionError):
    """A file cannot be deployed."""


class _Session:
    """What all tests of a process share."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.doubles = Doubles()
        bench.use_doubles(self.doubles)
        bench.deploy([inside.__file__])
        self.open(INSIDE, f'/{INSIDE}', '')

    def open(self, service: str, url_path: str, data_format: str, **fields: Any) -> None:
        body = {'service': service, 'url_path': url_path, 'data_format': data_format} | fields
        self.bench.change(CHANNEL, url_path, json.dumps(body))


_session: _Session | None = None


def start(bench: Bench) -> None:
    """Takes the server of this process. Called once, before pytest starts."""
    global _session
    _session = _Session(bench)


def current() -> _Session:
    """The server of this process."""
    if _session is None:
        raise RuntimeError('services can be tested under `busbar test` only: `python -m pytest` has no server in it')
    return _session


class Bus(AbstractContextManager['Bus']):
    """A server for one test: empty at first, and emptied again at the end.

    :param directory: where relative paths begin.
    """

    def __init__(self, directory: str | Path = '.') -> None:
        self._session = current()
        self._bench = self._session.bench
        self._doubles = self._session.doubles
        self._doubles.reset()
        self._directory = Path(directory)
        self._before = set(self._bench.objects())
        self._modules: list[str] = []
        self._files = tempfile.TemporaryDirectory(prefix='busbar-live-')

    # --- services and objects

    def deploy(self, *what: Deployable) -> list[str]:
        """Deploys services, and returns their names.

        :param what: files; directories, with all of their files; classes, which stay the very classes of the test.
        """
        files: list[str] = []
        classes: list[type] = []
        for item in what:
            if isinstance(item, type):
                classes.append(item)
            elif isinstance(item, ModuleType):
                files.append(str(item.__file__))
            else:
                path = self._directory / item
                files += sorted(str(file) for file in path.glob('*.py')) if path.is_dir() else [str(path)]
        if classes:
            module, source = live.hand_over(classes)
            file = Path(self._files.name) / f'{module}.py'
            file.write_text(source)
            files.append(str(file))
        deployed, failed = self._bench.deploy(files)
        self._modules += [module for module, _ in deployed]
        if failed:
            raise DeploymentFailed('\n'.join(f'{module}: {reason}\n{trace}' for module, reason, trace in failed))
        return [name for _, names in deployed for name in names]

    def enmasse(self, file: str | Path) -> None:
        """Makes the objects of an enmasse file: channels, security definitions, outgoing connections."""
        self._bench.enmasse(str(self._directory / file))

    def channel(self, service: str | type, url_path: str, data_format: str = 'json', **fields: Any) -> None:
        """Opens a channel. ``fields`` are those of an HTTP channel: ``method='GET'``, ``security='...'``..."""
        self._session.open(_name(service), url_path, data_format, **fields)

    def put(self, kind: str, name: str, **fields: Any) -> None:
        """Makes or replaces an object of any kind."""
        self._bench.change(kind, name, json.dumps(fields))

    # --- what services call

    def outgoing(self, name: str, **fields: Any) -> Back:
        """The back-end of an outgoing HTTP connection, which is made if it is not there yet.

        ``fields`` are those of the connection: ``host``, ``url_path``, ``data_format``, ``timeout``...
        """
        self._make('outgoing.http', name, {'host': 'http://backend.test'} | fields, bool(fields))
        return self._doubles.back(name)

    def zmq(self, name: str) -> Socket:
        """The other end of an outgoing ZeroMQ connection, which is made if it is not there yet."""
        self._make('outgoing.zmq', name, {'address': 'tcp://127.0.0.1:1', 'socket_type': 'PUSH'}, False)
        return self._doubles.socket(name)

    def sql(self, name: str, **fields: Any) -> Database:
        """An outgoing SQL connection, which is made if it is not there yet: an empty SQLite database of the test's own.

        ``fields`` are those of a connection to a server: ``engine``, ``host``, ``db_name``...
        """
        file = Path(self._files.name) / f'{len(self._bench.objects())}.sqlite'
        self._make('outgoing.sql', name, fields or {'engine': 'sqlite', 'db_name': str(file)}, bool(fields))
        return Database(name, self.run)

    def _make(self, kind: str, name: str, body: dict[str, Any], replace: bool) -> None:
        if replace or (kind, name) not in self._bench.objects():
            self._bench.change(kind, name, json.dumps(body))

    # --- calls

    def call(
        self,
        service: str | type,
        payload: Any = None,
        *,
        method: str = 'POST',
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        data_format: str = 'json',
        auth: tuple[str, str] | None = None,
    ) -> Answer:
        """Calls a service over HTTP, through a channel of its own of that format."""
        name = _name(service)
        path = f'/{name}' if data_format == 'json' else f'/{name}/{data_format or "raw"}'
        if (CHANNEL, path) not in self._bench.objects():
            self._session.open(name, path, data_format)
        return self.request(method, path, payload, headers=headers, params=params, data_format=data_format, auth=auth)

    def request(
        self,
        method: str,
        path: str,
        payload: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        data_format: str = 'json',
        auth: tuple[str, str] | None = None,
    ) -> Answer:
        """Sends a request to a path: a channel of an enmasse file, or one that :meth:`channel` has opened.

        Raises :class:`Unprogrammed` if a service has called a back-end that the test does not answer for.
        """
        sent = dict(headers or {})
        if data_format == 'form' and isinstance(payload, Mapping):
            body = urlencode(payload, doseq=True).encode()
        else:
            body, _ = encoded(payload)
        if body and not any(name.lower() == 'content-type' for name in sent):
            sent['Content-Type'] = CONTENT_TYPES.get(data_format, 'text/plain')
        if auth:
            sent['Authorization'] = 'Basic ' + b64encode(':'.join(auth).encode()).decode()
        answer = self._exchange(method, path + (f'?{urlencode(params, doseq=True)}' if params else ''), body, sent)
        self._doubles.raise_problems()
        return answer

    def _exchange(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        connection = HTTPConnection(urlsplit(self._bench.address).netloc)
        try:
            connection.request(method, target, body, dict(headers))
            response = connection.getresponse()
            return Answer(response.status, response.reason, response.headers, response.read())
        finally:
            connection.close()

    def invoke(self, service: str | type, *args: Any, **kwargs: Any) -> Any:
        """Invokes a service as another service does with ``self.invoke``: Python objects in and out, exceptions too."""
        return self.run(lambda caller: caller.invoke(_name(service), *args, **kwargs))

    def run(self, function: Callable[[Service], Any]) -> Any:
        """Runs a function inside of a service, which it gets as its argument, and returns what that returns."""
        errand = Errand(function)
        answer = self._exchange('POST', f'/{INSIDE}', str(errand.number).encode(), {})
        if not errand.done:
            raise RuntimeError(f'the function did not end: {answer!r}')
        self._doubles.raise_problems()
        return errand.outcome()

    @property
    def kvdb(self) -> Any:
        """``self.kvdb``: a Redis of the test's own."""
        return self.run(lambda service: service.kvdb)

    # --- time

    def travel(self, to: Any, *, tick: bool = False) -> Any:
        """A context manager in which it is another time: for ``self.time``, ``datetime`` and ``time``.

        :param to: a ``datetime``, a date or a text that the package time-machine takes.
        :param tick: whether time goes on from there.
        """
        try:
            import time_machine
        except ImportError as error:
            raise RuntimeError('time can be set only with the package time-machine: pip install it') from error
        return time_machine.travel(to, tick=tick)

    # --- the end

    def close(self) -> None:
        """Takes away all that the test has made. Raises what went wrong with a back-end and was not seen before."""
        try:
            for kind, name in self._bench.objects():
                if (kind, name) not in self._before and kind == CHANNEL:
                    self._bench.change(kind, name, None)
            for kind, name in self._bench.objects():
                if (kind, name) not in self._before and kind.startswith('outgoing.'):
                    self._bench.change(kind, name, None)
            for kind, name in self._bench.objects():
                if (kind, name) not in self._before:
                    self._bench.change(kind, name, None)
            if self._modules:
                self._bench.remove(self._modules)
            if shutil.which('redis-server'):
                self.run(_empty)
        finally:
            self._files.cleanup()
        self._doubles.raise_problems()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _empty(service: Service) -> None:
    """Deletes all keys of the test's own Redis, save for what the server keeps there."""
    keys = [key for key in service.kvdb.conn.scan_iter() if not str(key).startswith(OWN_KEYS)]
    if keys:
        service.kvdb.conn.delete(*keys)


def _name(service: str | type) -> str:
    return service if isinstance(service, str) else str(service.get_name())  # type: ignore[attr-defined]
