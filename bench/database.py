"""The database of part `sql`: in the PostgreSQL of this machine if that lets the bench in, else in a private one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from servers import Failure, free_port

#: Eight columns of what databases hold; one row in ten has a NULL.
TABLE = """
CREATE TABLE customer (
    id integer PRIMARY KEY,
    name varchar(50) NOT NULL,
    city text,
    balance numeric(12, 2) NOT NULL,
    score double precision NOT NULL,
    is_active boolean NOT NULL,
    born date NOT NULL,
    created timestamp NOT NULL
);
INSERT INTO customer SELECT
    n, 'Customer ' || n, CASE WHEN n % 10 > 0 THEN 'City ' || n % 100 END, n * 1.25, n / 7.0, n % 2 = 0,
    date '1960-01-01' + n, timestamp '2024-01-01 00:00:00.123456' + n * interval '1 minute'
FROM generate_series(1, 10000) n;
VACUUM ANALYZE customer;
"""


class Database:
    """A database with the table ``customer`` of 10,000 rows, dropped when the bench is done with it."""

    def __init__(self) -> None:
        self.name = f'busbar_bench_{os.getpid()}'
        self.host, self.port, self.user = '127.0.0.1', 5432, 'postgres'
        self.directory: Path | None = None
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, as psycopg2 reads it."""
        return f'postgresql://{self.user}@{self.host}:{self.port}/{self.name}'

    @property
    def dialect_url(self) -> str:
        """Its address for SQLAlchemy, whose own default is another driver."""
        return self.url.replace('postgresql:', 'postgresql+psycopg2:')

    def __enter__(self) -> Database:
        try:
            self._find()
            self._psql('postgres', f'CREATE DATABASE {self.name}')
            self._psql(self.name, TABLE)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is None:
            self._psql('postgres', f'DROP DATABASE IF EXISTS {self.name} WITH (FORCE)', check=False)
        else:
            self.process.terminate()
            self.process.wait()
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _find(self) -> None:
        if given := os.environ.get('BUSBAR_TEST_POSTGRESQL'):
            parts = urlsplit(given)
            self.host, self.port = parts.hostname or self.host, parts.port or self.port
            self.user = parts.username or self.user
        elif os.environ.get('BUSBAR_TEST_SERVERS') == 'private' or self._psql('postgres', 'SELECT 1', False).returncode:
            self._start()

    def _start(self) -> None:
        """Starts a private server. It does not run as root; the user whom its package makes will do."""
        found = sorted(Path('/usr/lib/postgresql').glob('*/bin'), key=lambda path: float(path.parent.name))
        if not found:
            message = 'PostgreSQL is missing; `scripts/setup bench` installs it'
            raise Failure(message)
        self.directory, self.port = Path(tempfile.mkdtemp(prefix='busbar-bench-')), free_port()
        as_other = []
        if os.getuid() == 0:
            as_other = ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups']
            shutil.chown(self.directory, 'postgres')
        data = str(self.directory / 'data')
        initdb = [str(found[-1] / 'initdb'), '-A', 'trust', '-U', self.user, '-E', 'UTF8', '--locale=C.UTF-8', '-N']
        done = subprocess.run([*as_other, *initdb, '-D', data], capture_output=True, text=True, check=False)
        if done.returncode:
            message = f'initdb: {done.stderr}'
            raise Failure(message)
        options = ['-D', data, '-p', str(self.port), '-h', self.host, '-k', str(self.directory)]
        options += ['-c', 'max_connections=200']
        self.process = subprocess.Popen(
            [*as_other, str(found[-1] / 'postgres'), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(300):
            if self._psql('postgres', 'SELECT 1', check=False).returncode == 0:
                return
            time.sleep(0.1)
        message = 'the private PostgreSQL does not start'
        raise Failure(message)

    def _psql(self, database: str, sql: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        where = ['-h', self.host, '-p', str(self.port), '-U', self.user, '-d', database]
        done = subprocess.run(
            ['psql', '-w', '-X', '-q', *where, '-v', 'ON_ERROR_STOP=1'],
            input=sql,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            message = f'psql: {done.stderr}'
            raise Failure(message)
        return done
