"""Results too large to be there at once, given up in the middle: what becomes of their transaction and connection."""

import os
import uuid
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from busbar import sql

POSTGRESQL = os.environ.get('BUSBAR_TEST_POSTGRESQL', 'postgresql://postgres@127.0.0.1:5432/test')
MARIADB = os.environ.get('BUSBAR_TEST_MYSQL', 'mysql://root@127.0.0.1:3306/test')
COUNT = 30_000
MANY = {
    'postgresql': f'SELECT g AS a FROM generate_series(1, {COUNT}) g',
    'mysql': f'SELECT seq AS a FROM seq_1_to_{COUNT}',
    'sqlite': f'WITH RECURSIVE c(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM c WHERE a < {COUNT}) SELECT a FROM c',
}


class Place:
    """A table of a database, that others see as well."""

    def __init__(self, url):
        self.url, self.engine = url, urlsplit(url).scheme
        self.table = f'busbar_{uuid.uuid4().hex[:12]}'
        self.many = MANY[self.engine]
        self.insert = f'INSERT INTO {self.table} {self.many} RETURNING a'

    def apart(self, statement):
        """Runs a statement on a connection of its own."""
        with closing(sql.connect(self.url)) as connection:
            connection.autocommit = True
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def count(self):
        """How many rows others see."""
        return self.apart(f'SELECT count(*) FROM {self.table}')[0][0]


@pytest.fixture(params=[POSTGRESQL, MARIADB, 'sqlite'], ids=['postgresql', 'mariadb', 'sqlite'])
def place(request, tmp_path):
    place = Place(f'sqlite:///{tmp_path}/rows.sqlite' if request.param == 'sqlite' else request.param)
    place.apart(f'CREATE TABLE {place.table} (a INTEGER)')
    yield place
    place.apart(f'DROP TABLE {place.table}')


@pytest.fixture
def crm(bus, place):
    at = urlsplit(place.url)
    if place.engine == 'sqlite':
        where = {'engine': 'sqlite', 'db_name': at.path}
    else:
        where = {
            'engine': place.engine,
            'host': at.hostname,
            'port': at.port,
            'username': at.username,
            'db_name': at.path[1:],
        }
    return bus.sql('CRM', pool_size=1, max_overflow=0, **where)


# === the driver ===


def test_commit(place):
    with closing(sql.connect(place.url)) as connection:
        cursor = connection.execute(place.insert)
        assert cursor.fetchone() == (1,)
        assert connection.in_transaction
        connection.commit()
        assert not connection.in_transaction
        assert place.count() == COUNT
        # the rest of the result is still there
        assert len(cursor.fetchall()) == COUNT - 1


def test_rollback(place):
    with closing(sql.connect(place.url)) as connection:
        cursor = connection.execute(place.insert)
        assert cursor.fetchone() == (1,)
        connection.rollback()
        assert not connection.in_transaction
        connection.execute(f'INSERT INTO {place.table} VALUES (-1)')
        connection.commit()
    assert place.count() == 1


@pytest.mark.parametrize('is_kept', [True, False], ids=['cursor kept', 'cursor gone'])
def test_close(place, is_kept):
    connection = sql.connect(place.url)
    cursor = connection.execute(place.insert)
    assert cursor.fetchone() == (1,)
    if not is_kept:
        cursor.close()
        del cursor
    connection.close()
    assert place.count() == 0


def test_settings_wait_for_the_end_of_the_transaction(place):
    with closing(sql.connect(place.url)) as connection:
        connection.execute(place.many).fetchone()
        with pytest.raises(sql.ProgrammingError, match='commit or roll back first'):
            connection.autocommit = True
        connection.rollback()
        connection.autocommit = True


def test_a_transaction_that_cannot_begin_is_none():
    with closing(sql.connect(POSTGRESQL)) as connection, closing(sql.connect(POSTGRESQL)) as administrator:
        administrator.execute(f'SELECT pg_terminate_backend({connection.backend_pid})').fetchall()
        with pytest.raises(sql.OperationalError):
            connection.execute('SELECT 1')
        assert not connection.in_transaction


# === sessions, with the one connection of a pool ===


def stored(crm, place):
    """Rows that are there once somebody else has stored one with the same connection."""
    crm.run(lambda session: session.execute(f'INSERT INTO {place.table} VALUES (-1)'))
    return place.count()


def test_a_session_that_commits(crm, place):
    def work(session):
        rows = iter(session.execute(place.insert))
        assert next(rows).a == 1
        session.commit()

    crm.run(work)
    assert stored(crm, place) == COUNT + 1


def test_a_session_that_commits_while_it_reads_on(crm, place):
    def work(session):
        seen = 0
        for row in session.execute(place.many):
            seen += 1
            if row.a in (10, 20_000):
                session.execute(f'INSERT INTO {place.table} VALUES (0)')
                session.commit()
        assert seen == COUNT

    crm.run(work)
    assert place.count() == 2


@pytest.mark.parametrize('end', ['close', 'rollback', 'first', 'raise'])
def test_a_session_that_gives_up(crm, place, end):
    def work(service):
        session = service.outgoing.sql['CRM'].session()
        result = session.execute(place.insert)
        if end == 'first':
            assert result.first().a == 1
            session.close()
            return
        for _ in result:
            if end == 'raise':
                raise ValueError(end)
            getattr(session, end)()
            break

    if end == 'raise':
        with pytest.raises(Exception, match='raise'):
            crm._run(work)
    else:
        crm._run(work)
    assert place.count() == 0
    assert stored(crm, place) == 1
