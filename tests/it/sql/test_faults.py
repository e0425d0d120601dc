"""What databases and administrators do to transactions, as SQLAlchemy's users catch it."""

import contextlib
import os
import threading
import uuid

import pytest
from sqlalchemy import create_engine, exc, text
from sqlalchemy.orm import Session

from busbar import sql

POSTGRESQL = os.environ.get('BUSBAR_TEST_POSTGRESQL', 'postgresql://postgres@127.0.0.1:5432/test')
MARIADB = os.environ.get('BUSBAR_TEST_MYSQL', 'mysql://root@127.0.0.1:3306/test')


def engine_for(url):
    scheme, rest = url.split('://')
    return create_engine(f'{scheme}+busbar://{rest}')


@pytest.fixture(params=[POSTGRESQL, MARIADB], ids=['postgresql', 'mariadb'])
def engine(request):
    engine = engine_for(request.param)
    yield engine
    engine.dispose()


@pytest.fixture
def table(engine):
    name = f'busbar_{uuid.uuid4().hex[:12]}'
    # what PostgreSQL and MariaDB both have
    with engine.begin() as connection:
        connection.execute(text(f'CREATE TABLE {name} (id INTEGER PRIMARY KEY, total INTEGER)'))
        connection.execute(text(f'INSERT INTO {name} VALUES (1, 0), (2, 0)'))
    yield name
    with engine.begin() as connection:
        connection.execute(text(f'DROP TABLE {name}'))


def is_postgresql(engine):
    return engine.dialect.name == 'postgresql'


def kill(engine, pid):
    command = f'SELECT pg_terminate_backend({pid})' if is_postgresql(engine) else f'KILL {pid}'
    with engine.connect() as connection:
        connection.execute(text(command))


def pid_of(connection):
    return connection.connection.dbapi_connection.backend_pid


def test_an_administrator_ends_a_connection_in_a_transaction(engine, table):
    with engine.connect() as other, engine.connect() as connection:
        connection.execute(text(f'UPDATE {table} SET total = 1 WHERE id = 1'))
        kill(engine, pid_of(connection))
        with pytest.raises(exc.OperationalError) as caught:
            connection.execute(text('SELECT 1'))
        assert caught.value.connection_invalidated
        assert caught.value.orig.is_disconnect
        # a transaction that was never to be committed is not
        assert not caught.value.orig.is_outcome_unknown
        connection.rollback()
        # the same object goes on with a new connection, others with theirs
        assert connection.execute(text(f'SELECT total FROM {table} WHERE id = 1')).scalar() == 0
        assert other.execute(text('SELECT 1')).scalar() == 1


def test_a_connection_that_is_ended_before_its_commit(engine, table):
    with Session(engine) as session:
        session.execute(text(f'UPDATE {table} SET total = 1 WHERE id = 1'))
        kill(engine, pid_of(session.connection()))
        with pytest.raises(exc.OperationalError) as caught:
            session.commit()
        # the database may have heard of it for all that can be known here
        assert caught.value.orig.is_outcome_unknown
        assert not caught.value.orig.is_retriable
        assert 'not known whether' in str(caught.value.orig)
    with engine.connect() as connection:
        assert connection.execute(text(f'SELECT total FROM {table} WHERE id = 1')).scalar() == 0


def test_one_of_a_deadlock_can_be_tried_again(engine, table):
    caught = []
    together = threading.Barrier(2)

    def change(first, second):
        with Session(engine) as session:
            session.execute(text(f'UPDATE {table} SET total = total + 1 WHERE id = {first}'))
            together.wait(20)
            try:
                session.execute(text(f'UPDATE {table} SET total = total + 1 WHERE id = {second}'))
                session.commit()
            except exc.OperationalError as error:
                caught.append(error)

    threads = [threading.Thread(target=change, args=ids) for ids in [(1, 2), (2, 1)]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    (error,) = caught
    expected = ('40P01', None) if is_postgresql(engine) else ('40001', 1213)
    assert (error.orig.sqlstate, error.orig.errno) == expected
    assert error.orig.is_retriable
    assert not error.orig.is_disconnect
    with engine.connect() as connection:
        assert connection.execute(text(f'SELECT sum(total) FROM {table}')).scalar() == 2


def test_a_serialisation_failure_can_be_tried_again():
    engine = engine_for(POSTGRESQL)
    name = f'busbar_{uuid.uuid4().hex[:12]}'
    with engine.begin() as connection:
        connection.execute(text(f'CREATE TABLE {name} (total INTEGER)'))
        connection.execute(text(f'INSERT INTO {name} VALUES (0)'))
    serializable = engine.execution_options(isolation_level='SERIALIZABLE')
    with Session(serializable) as one, Session(serializable) as other:
        for session in one, other:
            session.execute(text(f'SELECT total FROM {name}')).scalar()
        one.execute(text(f'UPDATE {name} SET total = 1'))
        one.commit()
        with pytest.raises(exc.OperationalError) as caught:
            other.execute(text(f'UPDATE {name} SET total = 2'))
        assert caught.value.orig.pgcode == '40001'
        assert caught.value.orig.is_retriable
        other.rollback()
        other.execute(text(f'UPDATE {name} SET total = 3'))
        other.commit()
    with engine.begin() as connection:
        assert connection.execute(text(f'SELECT total FROM {name}')).scalar() == 3
        connection.execute(text(f'DROP TABLE {name}'))


def test_text_with_nul():
    """PostgreSQL has no such text; the others keep it."""
    with engine_for(POSTGRESQL).connect() as connection:
        with pytest.raises(exc.DataError, match='NUL'):
            connection.execute(text('SELECT CAST(:it AS text)'), {'it': 'a\0b'})
        connection.rollback()
        assert connection.execute(text('SELECT 1')).scalar() == 1
    for url in MARIADB, 'sqlite://':
        connection = sql.connect(url)
        assert connection.execute('SELECT %s', ['a\0b']).fetchone() == ('a\0b',)
        with pytest.raises(sql.ProgrammingError, match='NUL'):
            connection.execute("SELECT 'a\0b'")
        connection.close()


def test_a_wrong_password_is_told_without_it():
    host = POSTGRESQL.split('@')[1]
    wrong = [
        (f'postgresql+busbar://nobody_of_busbar:hunter2@{host}', '28000', 'nobody_of_busbar'),
        (f'mysql+busbar://nobody_of_busbar:hunter2@{MARIADB.split("@")[1]}', '28000', 'Access denied'),
    ]
    for url, sqlstate, words in wrong:
        with pytest.raises(exc.OperationalError, match=words) as caught:
            create_engine(url).connect()
        assert caught.value.orig.sqlstate == sqlstate
        assert not caught.value.orig.is_retriable
        assert 'hunter2' not in str(caught.value)


def test_what_ends_a_connection_that_has_run_a_script(engine, table):
    """A script may hold anything, so a roll-back is sent after it; but not to nobody."""
    raw = engine.raw_connection()
    connection = raw.dbapi_connection
    connection.execute(f'UPDATE {table} SET total = 1 WHERE id = 1; UPDATE {table} SET total = 1 WHERE id = 2')
    kill(engine, connection.backend_pid)
    with pytest.raises(sql.OperationalError):
        connection.execute('SELECT 1')
    # nothing of it is there, and nobody may think otherwise
    with pytest.raises(sql.OperationalError) as error:
        connection.commit()
    assert error.value.is_disconnect
    assert not error.value.is_outcome_unknown
    connection.rollback()
    connection.rollback()
    raw.invalidate()
    with engine.connect() as other:
        assert other.execute(text(f'SELECT sum(total) FROM {table}')).scalar() == 0


def test_statements_that_may_have_written_before_they_were_cut_off(table_of_postgresql):
    table = table_of_postgresql
    suicide = 'pg_terminate_backend(pg_backend_pid())'
    with sql_connection() as connection:
        connection.execute(
            f'CREATE FUNCTION {table}_change() RETURNS bool LANGUAGE sql AS '
            f"'INSERT INTO {table} VALUES (3, 0); SELECT {suicide}'"
        )
    for statement, is_unknown in [
        (f'INSERT INTO {table} SELECT 3, 0 WHERE {suicide}', True),
        (f'WITH x AS (INSERT INTO {table} VALUES (3, 0) RETURNING id) SELECT {suicide} FROM x', True),
        (f'WITH x AS (UPDATE {table} SET total = 5 RETURNING id) SELECT {suicide} FROM x', True),
        (f'SELECT {table}_change()', True),
        (f'SELECT public."{table}_change" ()', True),
        (f'SELECT 3 AS id, 0 AS total, {suicide} INTO {table}_2', True),
        (f'SELECT count(*), max(lower(id::varchar(10))) FROM {table} WHERE id IN (1) HAVING (SELECT {suicide})', True),
        (f'SELECT count(*), max(lower(id::varchar(10))) FROM {table} WHERE id IN (1)', False),
    ]:
        with sql_connection() as connection:
            cut = connection
            if not is_unknown:
                cut.execute('SELECT 1')
                with sql_connection() as other:
                    other.execute('SELECT pg_terminate_backend(%s)', [connection.backend_pid])
            with pytest.raises(sql.OperationalError) as error:
                cut.execute(statement)
            assert error.value.is_disconnect
            assert error.value.is_outcome_unknown == is_unknown, statement
        # of a transaction that is still open it is known
        with sql_connection(autocommit=False) as connection:
            connection.execute('SAVEPOINT a')
            with pytest.raises(sql.OperationalError) as error:
                connection.execute(statement if is_unknown else f'SELECT {suicide}')
            assert not error.value.is_outcome_unknown
            connection.rollback()
    with sql_connection() as connection:
        connection.execute(f'DROP FUNCTION {table}_change()')


def sql_connection(autocommit=True):
    return contextlib.closing(sql.connect(POSTGRESQL, autocommit=autocommit))


@pytest.fixture
def table_of_postgresql():
    name = f'busbar_{uuid.uuid4().hex[:12]}'
    with sql_connection() as connection:
        connection.execute(f'CREATE TABLE {name} (id INTEGER, total INTEGER)')
        connection.execute(f'INSERT INTO {name} VALUES (1, 0)')
    yield name
    with sql_connection() as connection:
        connection.execute(f'DROP TABLE {name}')
