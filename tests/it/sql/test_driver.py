"""`busbar.sql` against real databases: values, placeholders, transactions, large results, and what goes wrong."""

import datetime as dt
import os
import threading
import uuid
from decimal import Decimal

import pytest

from busbar import sql

POSTGRESQL = os.environ.get('BUSBAR_TEST_POSTGRESQL', 'postgresql://postgres@127.0.0.1:5432/test')
MARIADB = os.environ.get('BUSBAR_TEST_MYSQL', 'mysql://root@127.0.0.1:3306/test')
UTC = dt.UTC
POINT = dt.datetime(2024, 2, 29, 13, 14, 15, 161718)


@pytest.fixture
def table():
    """A name that nobody else has."""
    return f'busbar_{uuid.uuid4().hex[:12]}'


@pytest.fixture(params=[POSTGRESQL, MARIADB, 'sqlite://'], ids=['postgresql', 'mariadb', 'sqlite'])
def connection(request):
    connection = sql.connect(request.param)
    yield connection
    connection.close()


@pytest.fixture
def pg():
    connection = sql.connect(POSTGRESQL)
    yield connection
    connection.close()


@pytest.fixture
def maria():
    connection = sql.connect(MARIADB)
    yield connection
    connection.close()


def temporary(connection, table, columns):
    connection.execute(f'CREATE TEMPORARY TABLE {table} ({columns})')
    return table


# === what all have ===


def test_rows_are_written_read_changed_and_rolled_back(connection, table):
    temporary(connection, table, 'id INTEGER PRIMARY KEY, name VARCHAR(50), total NUMERIC(10,2)')
    cursor = connection.cursor()
    assert cursor.execute(f'INSERT INTO {table} VALUES (%s, %s, %s)', (1, 'żółw', Decimal('1.50'))).rowcount == 1
    rows = [{'i': i, 'n': f'n{i}', 't': Decimal(i)} for i in range(2, 3001)]
    cursor.executemany(f'INSERT INTO {table} VALUES (%(i)s, %(n)s, %(t)s)', rows)
    assert cursor.rowcount == 2999
    connection.commit()

    cursor.execute(f'SELECT * FROM {table} ORDER BY id')
    assert [column[0] for column in cursor.description] == ['id', 'name', 'total']
    assert cursor.fetchone() == (1, 'żółw', Decimal('1.5'))
    assert cursor.fetchmany(2) == [(2, 'n2', 2), (3, 'n3', 3)]
    assert cursor.rownumber == 3
    assert len(cursor.fetchall()) == 2997
    assert cursor.rowcount == 3000
    assert cursor.fetchone() is None

    assert cursor.execute(f'UPDATE {table} SET name = %s WHERE id < %s', ('z', 11)).rowcount == 10
    assert connection.in_transaction
    connection.rollback()
    assert not connection.in_transaction
    assert connection.execute(f'SELECT name FROM {table} WHERE id = 2').fetchone() == ('n2',)


def test_a_result_without_rows_has_columns(connection, table):
    temporary(connection, table, 'id INTEGER, name VARCHAR(50)')
    for statement, parameters in (f'SELECT name FROM {table}', None), (f'SELECT name FROM {table} WHERE id = %s', [1]):
        cursor = connection.execute(statement, parameters)
        assert [column[0] for column in cursor.description] == ['name']
        assert cursor.fetchall() == []
        assert cursor.rowcount == 0
    cursor = connection.execute(f'DELETE FROM {table}')
    assert cursor.description is None
    assert cursor.rowcount == 0
    with pytest.raises(sql.ProgrammingError, match='gives none'):
        cursor.fetchone()


def test_cursors_can_be_read_in_turns(connection, table):
    temporary(connection, table, 'id INTEGER')
    connection.cursor().executemany(f'INSERT INTO {table} VALUES (%s)', [(i,) for i in range(5000)])
    outer = connection.execute(f'SELECT id FROM {table} ORDER BY id')
    assert outer.fetchone() == (0,)
    assert connection.execute(f'SELECT COUNT(*) FROM {table}').fetchone() == (5000,)
    assert [row[0] for row in outer] == list(range(1, 5000))
    given_up = connection.execute(f'SELECT id FROM {table}')
    given_up.fetchone()
    given_up.close()
    assert connection.execute(f'SELECT COUNT(*) FROM {table}').fetchone() == (5000,)


@pytest.mark.parametrize(
    ('style', 'statement', 'parameters'),
    [
        ('qmark', "SELECT ?, ?, '?'", (1, 'a')),
        ('numeric', "SELECT :2, :1, ':1'", ('a', 1)),
        ('named', "SELECT :b, :a, ':a'", {'a': 'a', 'b': 1}),
        ('format', "SELECT %s, %s, '%%s'", (1, 'a')),
        ('pyformat', "SELECT %(b)s, %(a)s, '%%(a)s'", {'a': 'a', 'b': 1}),
    ],
)
def test_all_styles_of_placeholders(connection, style, statement, parameters):
    connection.paramstyle = style
    assert connection.execute(statement, parameters).fetchone()[:2] == (1, 'a')


def test_wrong_numbers_of_values_are_told(connection):
    for statement, parameters in ('SELECT %s', ()), ('SELECT %s', (1, 2)), ('SELECT %(a)s', {}), ('SELECT 1', (1,)):
        with pytest.raises(sql.ProgrammingError):
            connection.execute(statement, parameters)
    with pytest.raises(sql.ProgrammingError, match='type `object`'):
        connection.execute('SELECT %s', [object()])
    with pytest.raises(sql.ProgrammingError, match='NUL'):
        connection.execute('SELECT 1 \0')
    assert connection.execute('SELECT 1').fetchone() == (1,)


def test_a_list_after_in_is_spread(connection):
    for values, expected in ((1, 3), 1), ((3,), 0), ((), 0):
        cursor = connection.execute('SELECT COUNT(*) FROM (SELECT 1 AS a) AS t WHERE a IN %s', [tuple(values)])
        assert cursor.fetchone() == (expected,)


def test_constraints_and_wrong_names_have_their_exceptions(connection, table):
    temporary(connection, table, 'id INTEGER PRIMARY KEY')
    connection.execute(f'INSERT INTO {table} VALUES (1)')
    connection.commit()
    with pytest.raises(sql.IntegrityError) as caught:
        connection.execute(f'INSERT INTO {table} VALUES (%s)', [1])
    expected = {'postgresql': ('23505', None), 'mysql': ('23000', 1062), 'sqlite': (None, 1555)}
    assert (caught.value.sqlstate, caught.value.errno) == expected[connection.engine]
    assert not caught.value.is_disconnect
    connection.rollback()
    with pytest.raises(connection.Error):
        connection.execute('SELECT nothing FROM nowhere')
    connection.rollback()


def test_savepoints_and_autocommit(connection, table):
    temporary(connection, table, 'id INTEGER')
    connection.commit()
    connection.execute(f'INSERT INTO {table} VALUES (1)')
    connection.execute('SAVEPOINT a')
    connection.execute(f'INSERT INTO {table} VALUES (2)')
    connection.execute('ROLLBACK TO SAVEPOINT a')
    with pytest.raises(sql.ProgrammingError, match='within a transaction'):
        connection.autocommit = True
    connection.commit()
    connection.autocommit = True
    assert connection.isolation_level == 'AUTOCOMMIT'
    connection.execute(f'INSERT INTO {table} VALUES (3)')
    assert not connection.in_transaction
    connection.autocommit = False
    connection.rollback()
    assert connection.execute(f'SELECT id FROM {table} ORDER BY id').fetchall() == [(1,), (3,)]
    connection.rollback()
    connection.isolation_level = 'serializable'
    assert connection.execute('SELECT 1').fetchone() == (1,)
    connection.rollback()
    with pytest.raises(sql.ProgrammingError, match='isolation level `CHAOS`'):
        connection.isolation_level = 'chaos'


def test_closed_ones_say_so(connection):
    cursor = connection.cursor()
    cursor.close()
    with pytest.raises(sql.InterfaceError, match='cursor is closed'):
        cursor.execute('SELECT 1')
    connection.close()
    connection.close()
    with pytest.raises(sql.InterfaceError, match='connection is closed'):
        connection.execute('SELECT 1')


# === PostgreSQL ===

VALUES = [
    ('int2', 5),
    ('int4', -5),
    ('int8', 2**40),
    ('numeric', Decimal('12345.6789000')),
    ('numeric', Decimal('-0.00001')),
    ('float4', 0.1),
    ('float8', 1e300),
    ('text', 'hé'),
    ('bytea', b'\0\xff'),
    ('bool', True),
    ('date', dt.date(2024, 2, 29)),
    ('date', dt.date(1, 1, 1)),
    ('time', dt.time(1, 2, 3, 4)),
    ('timestamp', POINT),
    ('timestamptz', POINT.replace(tzinfo=UTC)),
    ('timestamptz', POINT.replace(tzinfo=dt.timezone(dt.timedelta(hours=-3)))),
    ('timetz', dt.time(1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=2)))),
    ('interval', dt.timedelta(days=-3, seconds=5, microseconds=7)),
    ('uuid', uuid.UUID(int=7)),
    ('jsonb', {'a': [1, 2]}),
    ('json', {'a': None}),
    ('int4[]', [1, None, 3]),
    ('text[]', ['a"b', 'c,d', None, '', '{}']),
    ('int8[]', [[1, 2], [3, 4]]),
    ('numeric[]', [Decimal('1.50')]),
    ('varchar(10)', 'abc'),
    ('char(3)', 'abc'),
    ('xml', '<a/>'),
    ('oid', 5),
    ('name', 'x'),
]


@pytest.mark.parametrize(('kind', 'value'), VALUES)
def test_values_of_postgresql_there_and_back(pg, table, kind, value):
    assert pg.execute(f'SELECT %s::{kind}', [value]).fetchone() == (value,)
    assert pg.execute(f'SELECT %s::{kind}', [None]).fetchone() == (None,)
    temporary(pg, table, f'a {kind}')
    pg.execute(f'INSERT INTO {table} VALUES (%s)', [value])
    # prepared, in the binary form; and plain, in the text form
    assert pg.execute(f'SELECT a FROM {table} WHERE %s', [True]).fetchone() == (value,)
    assert pg.execute(f'SELECT 1; SELECT a FROM {table}').fetchone() == (value,)


@pytest.mark.parametrize(
    ('kind', 'text', 'read'),
    [
        ('int4', '7', 7),
        ('date', '2024-01-02', dt.date(2024, 1, 2)),
        ('interval', '1 mon', dt.timedelta(days=30)),
        ('int4[]', '{1,2}', [1, 2]),
        ('jsonb', '{"a": 1}', {'a': 1}),
        ('inet', '10.0.0.1', '10.0.0.1'),
        ('bit(3)', '101', '101'),
        ('int4range', '[1,5)', '[1,5)'),
        ('point', '(1,2)', '(1,2)'),
        ('tsvector', "'a' 'b'", "'a' 'b'"),
        ('macaddr', '08:00:2b:01:02:03', '08:00:2b:01:02:03'),
        ('timestamptz', 'infinity', dt.datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_text_fits_every_type(pg, table, kind, text, read):
    assert pg.execute(f'SELECT %s::{kind}', [text]).fetchone() == (read,)
    temporary(pg, table, f'a {kind}')
    pg.execute(f'INSERT INTO {table} VALUES (%s)', [text])
    assert pg.execute(f'SELECT a, 1.50 FROM {table} WHERE %s <> %s', ['x', 'y']).fetchone() == (read, Decimal('1.50'))


@pytest.mark.parametrize(
    ('expression', 'values', 'expected'),
    [
        ('%s', [5], 5),
        ('%s', [2.5], Decimal('2.5')),
        ('%s + 1', [2.5], Decimal('3.5')),
        ('%s * 2::float8', [2.5], 5.0),
        ('round(%s)', [0.5], Decimal(1)),
        ("jsonb_build_object('a', %s)", [['x', 'y']], {'a': ['x', 'y']}),
        ('%s', [[0.5, None]], [Decimal('0.5'), None]),
        ('%s', [float('inf')], float('inf')),
        ('%s', [Decimal('2.50')], Decimal('2.50')),
        ('%s', [[1, 2]], [1, 2]),
        ('%s IS NULL', [None], True),
        ('%s IS NULL', ['x'], False),
        ('concat(%s, %s)', ['a', 5], 'a5'),
        ('%s + %s', [1, 2], 3),
        ("date '2024-01-10' - %s", [dt.timedelta(days=1)], dt.datetime(2024, 1, 9)),
        ("date '2024-01-10' - %s", [3], dt.date(2024, 1, 7)),
        ("date '2024-01-10' = %s", ['2024-01-10'], True),
        ('5 = ANY(%s)', [[1, 5]], True),
        ('5 = ANY(%s)', [[1.5, 5]], True),
        ('5 = ANY(%s)', [[2**40, 5]], True),
        ("daterange '[2024-01-01,)' = ANY(%s)", [[]], False),
        ("'a' || %s", [5], 'a5'),
        ('10 / %s', [4], 2),
        ('1 < %s', [Decimal('1.5')], True),
        ('2147483647 < %s', [2**40], True),
        ('1 < %s', [2**70], True),
        ('\'{"a": 1}\'::json -> %s', ['a'], 1),
        ("'[1,2]'::json -> %s", [1], 2),
        ('abs(%s)', [-5], 5),
        ('abs(%s)', [-(2**40)], 2**40),
        ('array_cat(%s, %s)', [[1], [2]], [1, 2]),
        ('array(SELECT unnest(%s))', [['x', 'y']], ['x', 'y']),
        ('interval %s', ['3 days'], dt.timedelta(days=3)),
        ("interval '%s days' * %s", [3, 2], dt.timedelta(days=6)),
        ('date %s', ['2024-01-10'], dt.date(2024, 1, 10)),
        ('1 = %s::INTEGER', [2**40], False),
        ('1 = %s::INTEGER', [2**70], False),
        ("jsonb_build_object('a', %s)", ['x'], {'a': 'x'}),
        ('%s::text', ["it's \\ %% here"], "it's \\ %% here"),
        ('concat(%s)', ["it's \\ here"], "it's \\ here"),
    ],
)
def test_types_are_inferred_as_for_literals(pg, expression, values, expected):
    # twice: the second time the way is known; and within a transaction that has begun
    for _ in range(2):
        (found,) = pg.execute(f'SELECT {expression}', values).fetchone()
        assert (type(found), found) == (type(expected), expected)


def test_parameters_that_stand_for_the_same(pg):
    statement = 'SELECT x %% %s FROM generate_series(1, 4) x GROUP BY x %% %s ORDER BY x %% %s'
    assert pg.execute(statement, [2, 2, 2]).fetchall() == [(0,), (1,)]
    with pytest.raises(sql.ProgrammingError, match='GROUP BY'):
        pg.execute(statement, [2, 3, 2])


def test_types_that_only_the_server_knows(pg):
    statement = 'SELECT relpartbound AS bound, relname FROM pg_class WHERE relname = %s'
    for _ in range(2):
        assert pg.execute(statement, ['pg_class']).fetchall() == [(None, 'pg_class')]
        # within a transaction, and without rows
        cursor = pg.execute(statement, ['nothing'])
        assert ([column[0] for column in cursor.description], cursor.fetchall()) == (['bound', 'relname'], [])
    pg.commit()
    assert pg.execute(statement, ['nothing']).description[1][0] == 'relname'


def test_copies_through_the_client_are_refused(pg, table):
    temporary(pg, table, 'a int')
    pg.execute(f'INSERT INTO {table} VALUES (1)')
    for statement in f'COPY {table} TO STDOUT', f'COPY {table} FROM STDIN':
        with pytest.raises(sql.NotSupportedError, match='executemany'):
            pg.execute(statement)
    assert pg.execute(f'SELECT a FROM {table}').fetchall() == [(1,)]


def test_json_is_read_by_the_user_s_own_function(pg):
    assert pg.execute('SELECT \'"\\ud800"\'::json').fetchone() == ('\ud800',)
    (deep,) = pg.execute("SELECT (repeat('[', 500) || repeat(']', 500))::json").fetchone()
    assert str(deep) == '[' * 500 + ']' * 500
    statement = "SELECT '[1]'::json, ARRAY['{}'::jsonb]"
    assert pg.execute(statement).fetchone() == ([1], [{}])
    pg.json_loads = lambda text: ('read', text)
    assert pg.execute(statement).fetchone() == (('read', '[1]'), [('read', '{}')])
    pg.json_text = True
    assert pg.execute(statement).fetchone() == ('[1]', ['{}'])
    with pytest.raises(sql.ProgrammingError, match='already'):
        pg.json_loads = str


def test_enums_domains_and_rows(pg, table):
    pg.execute(f"CREATE TYPE {table}_mood AS ENUM ('sad', 'ok')")
    pg.execute(f'CREATE DOMAIN {table}_positive AS int CHECK (value > 0)')
    statement = f"SELECT %s::{table}_mood, ARRAY['ok', 'sad']::{table}_mood[], %s::{table}_positive, row(1, 'a')"
    for number in '7', 7:
        assert pg.execute(statement, ['ok', number]).fetchone() == ('ok', ['ok', 'sad'], 7, '(1,a)')


def test_text_with_nul_and_dates_before_christ_are_refused(pg):
    with pytest.raises(sql.DataError, match='NUL'):
        pg.execute('SELECT %s', ['a\0b'])
    with pytest.raises(sql.DataError, match='years 1 to 9999'):
        pg.execute("SELECT '0044-03-15 BC'::date").fetchone()
    assert pg.execute('SELECT 1').fetchone() == (1,)


def test_a_table_that_somebody_else_changes(pg, table):
    other = sql.connect(POSTGRESQL, autocommit=True)
    other.execute(f'CREATE TABLE {table} (a int)')
    try:
        for _ in range(2):
            assert len(pg.execute(f'SELECT * FROM {table} WHERE %s = 1', [1]).description) == 1
        pg.rollback()
        # in words that say nothing of it
        other.execute(f"SELECT set_config('x.y', '', false); DO $$ BEGIN ALTER TABLE {table} ADD b text; END $$")
        assert len(pg.execute(f'SELECT * FROM {table} WHERE %s = 1', [1]).description) == 2
        pg.rollback()
    finally:
        other.execute(f'DROP TABLE {table}')
        other.close()


def test_large_results_are_read_piece_by_piece(pg):
    cursor = pg.execute("SELECT i, repeat('x', 1000) FROM generate_series(1, 100000) i")
    assert sum(1 for _ in cursor) == 100000
    assert cursor.rowcount == 100000


def test_two_threads_cannot_share_a_connection(pg):
    # holds the connection until the other thread was refused
    locker = sql.connect(POSTGRESQL)
    locker.execute('SELECT pg_advisory_xact_lock(424242)')
    thread = threading.Thread(target=lambda: pg.execute('SELECT pg_advisory_xact_lock(424242)'))
    watcher = sql.connect(POSTGRESQL, autocommit=True)
    thread.start()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
    while watcher.execute(waiting, [pg.backend_pid]).fetchone() != (1,):
        pass
    with pytest.raises(sql.ProgrammingError, match='used by another thread'):
        pg.execute('SELECT 1')
    locker.close()
    thread.join()
    watcher.close()
    assert pg.execute('SELECT 1').fetchone() == (1,)


def test_threads_may_have_a_connection_one_after_the_other(pg, table):
    temporary(pg, table, 'id INTEGER')
    thread = threading.Thread(target=lambda: pg.execute(f'INSERT INTO {table} VALUES (1)'))
    thread.start()
    thread.join()
    # it is the transaction that the other thread has written in
    cursor = pg.execute(f'SELECT id FROM {table}')
    rows = []
    thread = threading.Thread(target=lambda: rows.extend(cursor.fetchall()))
    thread.start()
    thread.join()
    assert rows == [(1,)]
    pg.rollback()


def test_a_connection_that_the_administrator_ends(pg):
    pg.execute('SELECT 1')
    other = sql.connect(POSTGRESQL, autocommit=True)
    other.execute('SELECT pg_terminate_backend(%s)', [pg.backend_pid])
    other.close()
    with pytest.raises(sql.OperationalError) as caught:
        pg.execute('SELECT 1')
    assert caught.value.is_disconnect
    assert pg.is_broken
    with pytest.raises(sql.OperationalError, match='of no use any more'):
        pg.execute('SELECT 1')


def test_deadlocks_and_serialisation_failures_can_be_retried(pg, table):
    other = sql.connect(POSTGRESQL, isolation_level='REPEATABLE READ')
    pg.execute(f'CREATE TABLE {table} (a int)')
    pg.execute(f'INSERT INTO {table} VALUES (1)')
    pg.commit()
    try:
        other.execute(f'SELECT * FROM {table}').fetchall()
        pg.execute(f'UPDATE {table} SET a = 2')
        pg.commit()
        with pytest.raises(sql.OperationalError) as caught:
            other.execute(f'UPDATE {table} SET a = 3')
        assert caught.value.pgcode == '40001'
        assert caught.value.is_retriable
        other.rollback()
        assert other.execute(f'SELECT a FROM {table}').fetchone() == (2,)
        other.rollback()

        pg.execute('SELECT pg_advisory_xact_lock(424243)')
        other.execute('SELECT pg_advisory_xact_lock(424244)')
        caught = []

        def lock():
            try:
                pg.execute('SELECT pg_advisory_xact_lock(424244)')
            except sql.OperationalError as error:
                caught.append(error)

        thread = threading.Thread(target=lock)
        thread.start()
        try:
            other.execute('SELECT pg_advisory_xact_lock(424243)')
        except sql.OperationalError as error:
            caught.append(error)
            other.rollback()
        thread.join()
        assert [(error.pgcode, error.is_retriable) for error in caught] == [('40P01', True)]
    finally:
        other.close()
        pg.rollback()
        pg.execute(f'DROP TABLE {table}')
        pg.commit()


def test_a_statement_that_takes_too_long():
    connection = sql.connect(POSTGRESQL, statement_timeout=0.05)
    with pytest.raises(sql.OperationalError) as caught:
        connection.execute('SELECT pg_sleep(60)')
    assert caught.value.sqlstate == '57014'
    connection.rollback()
    assert connection.execute('SELECT 1').fetchone() == (1,)
    connection.close()
    connection = sql.connect('sqlite://', statement_timeout=0.05)
    endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n'
    with pytest.raises(sql.OperationalError, match='interrupted'):
        connection.execute(endless)
    connection.close()


@pytest.mark.parametrize(
    ('url', 'error', 'words'),
    [
        ('postgresql://nobody@127.0.0.1:1/test', sql.OperationalError, 'nobody@127.0.0.1:1/test'),
        ('mysql://nobody:hunter2@127.0.0.1:1/test', sql.OperationalError, 'nobody@127.0.0.1:1/test'),
        ('sqlite:////no/such/directory/a.db', sql.OperationalError, 'unable to open'),
        ('sqlite:///a.db?mode=rx', sql.InterfaceError, 'mode: must be'),
        ('db2://host/x', sql.InterfaceError, 'engine `db2`'),
    ],
)
def test_databases_that_cannot_be_reached(url, error, words):
    with pytest.raises(error) as caught:
        sql.connect(url)
    assert words in str(caught.value)
    assert 'hunter2' not in str(caught.value)


# === MySQL and MariaDB ===


def test_values_of_mariadb_there_and_back(maria, table):
    columns = (
        'a tinyint, b tinyint unsigned, c bigint unsigned, d decimal(20,5), e float, f double, g bit(5), h time(6), '
        'i year, j date, k datetime(6), l json, m blob, n text, o varchar(10) collate utf8mb4_bin, p varbinary(5), '
        "q enum('x','y'), r set('s','t'), s bool, t mediumint"
    )
    row = (
        *(-1, 200, 2**64 - 1, Decimal('12345.67890'), 0.1, 0.2, b'\x05', dt.timedelta(hours=-30, microseconds=5)),
        *(2024, dt.date(2024, 2, 29), POINT, '{"a": 1}', b'\0\xff', 'té', 'bin', b'\xfe', 'x', 's,t', 1, -70000),
    )
    temporary(maria, table, columns)
    maria.execute(f'INSERT INTO {table} VALUES ({", ".join(["%s"] * len(row))})', row)
    # plain, in the text form; and prepared, in the binary form
    assert maria.execute(f'SELECT * FROM {table}').fetchone() == row
    assert maria.execute(f'SELECT * FROM {table} WHERE a = %s', [-1]).fetchone() == row
    assert maria.execute(f'SELECT d = %s FROM {table}', [Decimal('12345.6789')]).fetchone() == (1,)
    maria.execute(f'UPDATE {table} SET a = NULL, d = %s', [None])
    assert maria.execute(f'SELECT a, d FROM {table} WHERE %s', [True]).fetchone() == (None, None)


@pytest.mark.parametrize('value', [float('nan'), float('-inf'), Decimal('NaN'), Decimal('Infinity')])
def test_mariadb_has_no_number_that_is_none(maria, table, value):
    temporary(maria, table, 'a decimal(10, 2), b double')
    for column in 'a', 'b':
        with pytest.raises(sql.DataError, match='no number'):
            maria.execute(f'INSERT INTO {table} ({column}) VALUES (%s)', [value])
    assert maria.execute(f'SELECT * FROM {table}').fetchall() == []


def test_ids_that_are_made(maria, table):
    temporary(maria, table, 'id INT AUTO_INCREMENT PRIMARY KEY, a INT')
    assert maria.execute(f'INSERT INTO {table} (a) VALUES (%s)', [1]).lastrowid == 1
    lite = sql.connect('sqlite://')
    lite.execute('CREATE TABLE t (id INTEGER PRIMARY KEY, a INT)')
    assert lite.execute('INSERT INTO t (a) VALUES (%s)', [1]).lastrowid == 1
    assert lite.execute('INSERT INTO t (a) VALUES (2) RETURNING id').fetchall() == [(2,)]
    lite.close()


def test_scripts_give_their_results_one_after_the_other(maria):
    cursor = maria.execute('SELECT 1; SELECT 2, 3')
    assert cursor.fetchall() == [(1,)]
    assert cursor.nextset()
    assert (len(cursor.description), cursor.fetchall()) == (2, [(2, 3)])
    assert cursor.nextset() is None


# === SQLite ===


def test_values_of_sqlite_by_their_storage_class():
    lite = sql.connect('sqlite://', foreign_keys=True)
    values = [1, 2.5, 'té', b'\0', None, True, POINT, dt.date(2024, 2, 29), uuid.UUID(int=7), b'', 'a\0b']
    read = lite.execute(f'SELECT {", ".join(["%s"] * len(values))}', values).fetchone()
    text = ['2024-02-29 13:14:15.161718', '2024-02-29', '00000000-0000-0000-0000-000000000007', b'', 'a\0b']
    assert read == (1, 2.5, 'té', b'\0', None, 1, *text)
    assert lite.execute('PRAGMA foreign_keys').fetchone() == (1,)
    with pytest.raises(sql.DataError, match='64 bits'):
        lite.execute('SELECT %s', [2**70])
    lite.close()
