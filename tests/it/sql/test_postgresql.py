"""`busbar.sql` and PostgreSQL: what is easily lost between statements, forms and styles."""

import os
import time
import uuid
from contextlib import closing

import pytest

from busbar import sql

POSTGRESQL = os.environ.get('BUSBAR_TEST_POSTGRESQL', 'postgresql://postgres@127.0.0.1:5432/test')


@pytest.fixture
def pg():
    with closing(sql.connect(POSTGRESQL)) as connection:
        yield connection


@pytest.fixture
def name():
    """The beginning of names that others do not use."""
    return f'busbar_{uuid.uuid4().hex[:12]}'


@pytest.mark.parametrize('style', ["IntervalStyle = 'iso_8601'", "DateStyle = 'German'", "IntervalStyle = 'postgres'"])
@pytest.mark.parametrize('autocommit', [False, True])
def test_statements_are_run_in_every_style(name, style, autocommit):
    """Where neither the types of values can be inferred nor the text of a session can be read."""
    with closing(sql.connect(POSTGRESQL, autocommit=autocommit)) as pg:
        pg.execute(f'SET {style}')
        pg.execute(f'CREATE TEMPORARY TABLE {name} (id int)')
        pg.commit()
        for _ in range(2):
            assert pg.execute(f'INSERT INTO {name} SELECT 1 WHERE %s IS NULL', [None]).rowcount == 1
            pg.commit()
            assert pg.execute('SELECT %s IS NULL, 7', [1]).fetchall() == [(False, 7)]
            pg.commit()
        assert pg.execute(f'SELECT count(*) FROM {name}').fetchone() == (2,)
        if not autocommit:
            pg.execute(f'DECLARE {name}_c CURSOR WITH HOLD FOR SELECT generate_series(1, 3)')
            pg.commit()
            assert pg.execute(f'FETCH 2 FROM {name}_c').fetchall() == [(1,), (2,)]
            pg.commit()
            pg.execute(f'MOVE ALL FROM {name}_c')
            cursor = pg.execute(f'FETCH 2 FROM {name}_c')
            assert ([column[0] for column in cursor.description], cursor.fetchall()) == (['generate_series'], [])


@pytest.mark.parametrize('style', ['iso_8601', 'postgres'])
def test_types_of_users_are_the_same_from_the_first_time_on(name, style):
    with closing(sql.connect(POSTGRESQL, autocommit=True)) as pg:
        pg.execute(f"CREATE TYPE {name} AS ENUM ('a', 'b')")
    try:
        for _ in range(2):
            with closing(sql.connect(POSTGRESQL, autocommit=True)) as pg:
                pg.execute(f"SET IntervalStyle = '{style}'")
                statement = f"SELECT %s IS NULL, ARRAY['a', NULL]::{name}[], 'b'::{name}"
                assert pg.execute(statement, [1]).fetchone() == (False, ['a', None], 'b')
                assert pg.execute(statement.replace('%s IS NULL', 'true')).fetchone() == (True, ['a', None], 'b')
                pg.execute(f'CREATE TEMPORARY TABLE {name}_t (id int)')
                assert pg.execute(statement, [1]).fetchone() == (False, ['a', None], 'b')
    finally:
        with closing(sql.connect(POSTGRESQL, autocommit=True)) as pg:
            pg.execute(f'DROP TYPE {name}')


def test_what_may_have_been_committed_is_not_repeated(name):
    """A procedure that commits, and then fails as a prepared statement does that is not what it was."""
    with (
        closing(sql.connect(POSTGRESQL, autocommit=True)) as pg,
        closing(sql.connect(POSTGRESQL, autocommit=True)) as other,
    ):
        pg.execute(f'CREATE TABLE {name} (id int)')
        try:
            pg.execute(f'CREATE TABLE {name}_log (id int)')
            pg.execute(f'PREPARE {name}_p AS SELECT * FROM {name}')
            body = f"BEGIN INSERT INTO {name}_log VALUES (1); COMMIT; EXECUTE 'EXECUTE {name}_p'; END"
            pg.execute(f'CREATE PROCEDURE {name}_c() LANGUAGE plpgsql AS $${body}$$')
            pg.execute(f'EXECUTE {name}_p')
            other.execute(f'ALTER TABLE {name} ADD more int')
            with pytest.raises(sql.Error, match='cached plan'):
                pg.execute(f'CALL {name}_c()')
            assert pg.execute(f'SELECT count(*) FROM {name}_log').fetchone() == (1,)
        finally:
            other.execute(f'DROP TABLE IF EXISTS {name}, {name}_log')
            other.execute(f'DROP PROCEDURE IF EXISTS {name}_c')


@pytest.mark.parametrize('count', [10, 1500, 3000, 50_000])
def test_the_last_result_of_several_counts(pg, count):
    many = f'SELECT i, i FROM generate_series(1, {count}) i'
    for _ in range(5):
        cursor = pg.execute(f'{many}; SELECT pg_sleep(0.001)::text')
        assert (cursor.fetchall(), len(cursor.description), cursor.rowcount) == ([('',)], 1, 1)
        cursor = pg.execute(f'SELECT 1; {many}')
        assert (len(cursor.fetchall()), len(cursor.description), cursor.rowcount) == (count, 2, count)
        cursor = pg.execute(f'{many}; SET LOCAL work_mem TO DEFAULT')
        assert (cursor.description, cursor.rowcount) == (None, -1)


def test_how_many_rows_there_are(pg, name):
    for statement, count in [
        ('SHOW TimeZone', 1),
        ('EXPLAIN (COSTS off) SELECT 1', 1),
        ('VALUES (1), (2)', 2),
        (f'CREATE TEMPORARY TABLE {name} AS SELECT 1 AS id', 1),
        (f'UPDATE {name} SET id = 2', 1),
        (f'DROP TABLE {name}', -1),
        ('SET LOCAL work_mem TO DEFAULT', -1),
    ]:
        assert pg.execute(statement).rowcount == count, statement


def test_a_failure_fails_its_transaction(pg, name):
    pg.execute(f'CREATE TEMPORARY TABLE {name} (id int)')
    pg.commit()
    for wrong, values in [
        (f'SELECT nope FROM {name} WHERE id = %s', [1]),
        ('SELECT 1 / %s', [0]),
        ('SELECT nope', []),
        ('SELEC 1', []),
        ('SELECT FROM WHERE %s', [1]),
        ('SET nosuch TO 1', []),
    ]:
        pg.execute(f'INSERT INTO {name} VALUES (%s)', [1])
        with pytest.raises(sql.Error):
            pg.execute(wrong, values)
        with pytest.raises(sql.InternalError, match='aborted'):
            pg.execute('SELECT 1')
        pg.commit()
        assert pg.execute(f'SELECT count(*) FROM {name}').fetchone() == (0,)
        pg.commit()
        # also as the first one of a transaction
        with pytest.raises(sql.Error):
            pg.execute(wrong, values)
        assert pg.in_transaction
        with pytest.raises(sql.InternalError, match='aborted'):
            pg.execute('SELECT 1')
        pg.rollback()


def test_names_are_looked_for_where_they_are_now(pg, name):
    pg.execute(f'CREATE SCHEMA {name}_a; CREATE SCHEMA {name}_b')
    pg.execute(f'CREATE TABLE {name}_a.t (a int); CREATE TABLE {name}_b.t (a text, b int)')
    pg.commit()
    try:
        for how in 'SET LOCAL search_path TO {}', "SELECT set_config('search_path', '{}', true)":
            for place, value, width in [('a', 7, 1), ('b', '007', 2)] * 3:
                pg.execute(how.format(f'{name}_{place}'))
                pg.execute('INSERT INTO t VALUES (%s)', ['007'])
                assert pg.execute('SELECT a FROM t WHERE a = %s', ['007']).fetchone() == (value,)
                assert len(pg.execute('SELECT * FROM t').description) == width
                pg.rollback()
    finally:
        pg.rollback()
        pg.execute(f'DROP SCHEMA {name}_a, {name}_b CASCADE')
        pg.commit()


def test_what_functions_raise_ends_no_session(pg):
    for code in '57P01', '08006', '57P03':
        with pytest.raises(sql.Error) as error:
            pg.execute(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$")
        assert error.value.sqlstate == code
        pg.rollback()
        assert pg.execute('SELECT 1').fetchone() == (1,)


def test_arrays_of_what_has_no_form_of_its_own_are_lists(pg):
    found = pg.execute("SELECT ARRAY['10.0.0.1', NULL]::inet[], '{10.0.0.0/8}'::cidr[], inet '::1'").fetchone()
    assert found == (['10.0.0.1', None], ['10.0.0.0/8'], '::1')


def test_what_is_written_into_strings_cannot_end_them(pg):
    assert pg.execute("SELECT '%(a)s%%', %(b)s", {'a': 5, 'b': 'x'}).fetchone() == ('5%', 'x')
    for value in "' OR 1=1 --", '5', None, [1]:
        with pytest.raises(sql.ProgrammingError, match='only a number'):
            pg.execute("SELECT * FROM pg_class WHERE relname LIKE '%%%s%%'", [value])
    with pytest.raises(sql.ProgrammingError, match='executemany'):
        pg.cursor().executemany("SELECT '%s'", [(1,), (2,)])
    assert pg.execute("SELECT '%s'").fetchone() == ('%s',)


def test_a_session_that_was_ended_says_why(pg):
    pg.execute('SET idle_in_transaction_session_timeout = 100')
    time.sleep(0.5)
    with pytest.raises(sql.InternalError, match='idle-in-transaction') as error:
        pg.execute('SELECT 1')
    assert error.value.sqlstate == '25P03'
    with pytest.raises(sql.OperationalError, match='of no use'):
        pg.execute('SELECT 1')


def test_more_values_than_a_message_can_hold(pg):
    numbers = tuple(range(70_000))
    statement = 'SELECT count(*) FROM generate_series(69990, 70010) i WHERE i IN %s'
    assert pg.execute(statement, [numbers]).fetchone() == (10,)
    pg.commit()
    assert pg.execute('SELECT 1').fetchone() == (1,)


def test_now_is_now():
    with closing(sql.connect(POSTGRESQL, autocommit=True)) as pg:
        seen = []
        for _ in range(3):
            seen.append(pg.execute("SELECT 'now'::timestamp, %s::timestamp", ['now']).fetchone())
            time.sleep(0.01)
        assert len({first for first, _ in seen}) == len({second for _, second in seen}) == 3


@pytest.mark.parametrize('autocommit', [False, True])
@pytest.mark.parametrize('statement', ['', ';', '-- nothing'])
def test_nothing_comes_of_nothing(statement, autocommit):
    with closing(sql.connect(POSTGRESQL, autocommit=autocommit)) as pg:
        cursor = pg.execute(statement)
        assert (cursor.rowcount, cursor.description) == (-1, None)
        assert pg.execute('SELECT 1').fetchone() == (1,)


def test_transactions_of_the_users_own_are_followed(pg):
    """A textual end of a transaction, and a beginning in autocommit."""
    pg.execute('SELECT 1')
    pg.execute('COMMIT')
    assert pg.execute('SELECT %s::int', [5]).fetchone() == (5,)
    assert pg.execute('SELECT %s IS NULL', [5]).fetchone() == (False,)
    with closing(sql.connect(POSTGRESQL, autocommit=True)) as own:
        own.execute('BEGIN')
        assert own.execute('SELECT %s IS NULL', [5]).fetchone() == (False,)
        assert own.execute('SELECT now() = statement_timestamp(), %s::int', [1]).fetchone() == (False, 1)
        own.execute('ROLLBACK')


def test_rows_are_looked_for_in_a_list_of_rows(pg, name):
    pg.execute(f'CREATE TEMPORARY TABLE {name} (id int, note text, tags int[])')
    pg.execute(f"INSERT INTO {name} VALUES (1, 'a', '{{1,2}}'), (2, 'b', '{{3}}')")
    found = pg.execute(f'SELECT id FROM {name} WHERE (id, note) IN %s', [((2, 'b'), (1, 'x'))]).fetchall()
    assert found == [(2,)]
    found = pg.execute(f'SELECT id FROM {name} WHERE (id, note) NOT IN %s', [[(2, 'b')]]).fetchall()
    assert found == [(1,)]
    assert pg.execute(f'SELECT id FROM {name} WHERE tags IN %s', [([3], [4, 5])]).fetchall() == [(2,)]
    assert pg.execute(f'SELECT id FROM {name} WHERE id IN %s', [{2, 5}]).fetchall() == [(2,)]
