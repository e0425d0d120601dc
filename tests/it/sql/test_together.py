"""`busbar.sql`: statements that go to the server together."""

import datetime as dt
import os
import uuid
from decimal import Decimal

import pytest

from busbar import sql

POSTGRESQL = os.environ.get('BUSBAR_TEST_POSTGRESQL', 'postgresql://postgres@127.0.0.1:5432/test')
MARIADB = os.environ.get('BUSBAR_TEST_MYSQL', 'mysql://root@127.0.0.1:3306/test')
POINT = dt.datetime(2024, 2, 29, 13, 14, 15, 161718)
#: What was prepared, as the server knows it.
PREPARED = (
    r"SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'busbar\_%' AND statement LIKE '% FROM busbar\_%'"
)


@pytest.fixture
def pg():
    connection = sql.connect(POSTGRESQL)
    yield connection
    connection.close()


@pytest.fixture
def lose(pg):
    """Has the server forget what was prepared, in words that say nothing of it."""
    body = "BEGIN EXECUTE 'DEALLOCATE ALL'; END"
    pg.execute(f'CREATE FUNCTION pg_temp.lose() RETURNS void LANGUAGE plpgsql AS $${body}$$')
    pg.commit()
    return 'SELECT pg_temp.lose()'


@pytest.fixture
def table(pg):
    """A table that goes with the connection."""
    name = f'busbar_{uuid.uuid4().hex[:12]}'
    pg.execute(f'CREATE TEMPORARY TABLE {name} (id int PRIMARY KEY, name varchar(50))')
    pg.commit()
    return name


@pytest.mark.parametrize(
    ('kind', 'value'),
    [
        ('int2', 5),
        ('int4', -5),
        ('int8', 2**40),
        ('numeric', Decimal('12345.6789000')),
        ('numeric', Decimal('-1E-7')),
        ('numeric', Decimal('NaN')),
        ('numeric', 7),
        ('float4', 0.1),
        ('float8', 0.1),
        ('float8', 1e300),
        ('float8', float('-inf')),
        ('text', "it's \\ here: %s żółw"),
        ('text', ''),
        ('varchar(10)', 'abc'),
        ('char(3)', 'abc'),
        ('bytea', b"\0\xff'\\"),
        ('bool', True),
        ('bool', False),
        ('date', dt.date(2024, 2, 29)),
        ('date', dt.date(1, 1, 1)),
        ('time', dt.time(1, 2, 3, 4)),
        ('timestamp', POINT),
        ('timestamp', dt.datetime(9999, 12, 31, 23, 59, 59, 999999)),
        ('timestamptz', POINT.replace(tzinfo=dt.UTC)),
        ('timestamptz', POINT.replace(tzinfo=dt.timezone(dt.timedelta(hours=-3)))),
        ('timetz', dt.time(1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=2)))),
        ('interval', dt.timedelta(days=-3, seconds=5, microseconds=7)),
        ('uuid', uuid.UUID(int=7)),
        ('jsonb', {'a': [1, 2]}),
        ('json', {'a': "it's"}),
        ('int4[]', [1, None, 3]),
        ('text[]', ['a"b', None]),
        ('oid', 5),
        ('int4', None),
    ],
)
def test_values_are_the_same_however_they_travel(pg, kind, value):
    name = f'busbar_{uuid.uuid4().hex[:12]}'
    pg.execute(f'CREATE TEMPORARY TABLE {name} (id int, a {kind})')
    pg.execute(f'INSERT INTO {name} VALUES (%s, %s)', [1, value])
    # the second and third time, both go with BEGIN
    for number in range(2, 5):
        pg.commit()
        pg.execute(f'INSERT INTO {name} VALUES (%s, %s)', [number, value])
    pg.cursor().executemany(f'INSERT INTO {name} VALUES (%s, %s)', [(number, value) for number in range(5, 8)])
    seen = []
    for _ in range(3):
        pg.commit()
        cursor = pg.execute(f'SELECT a FROM {name} WHERE id > %s ORDER BY id', [0])
        seen += [cursor.description, cursor.fetchall(), cursor.rowcount]
    rows = seen[1]
    assert all(repr(row) == repr(rows[0]) for row in rows)
    assert repr(seen[:3]) == repr(seen[3:6]) == repr(seen[6:])
    if value == value:  # NaN is equal to nothing
        assert rows == [(value,)] * 7


def test_the_first_statement_goes_with_begin(pg, table):
    statement = f'SELECT name FROM {table} WHERE id = %s'
    pg.execute(f'INSERT INTO {table} VALUES (1, %s)', ['Jane'])
    for _ in range(3):
        pg.commit()
        assert not pg.in_transaction
        cursor = pg.execute(statement, [1])
        assert pg.in_transaction
        assert (cursor.fetchall(), cursor.rowcount) == ([('Jane',)], 1)
        assert pg.execute(statement, [2]).fetchall() == []
    assert pg.execute(PREPARED).fetchone() == (1,)
    # what such a statement changes is rolled back with the rest
    for name in 'Jim', 'John':
        pg.commit()
        assert pg.execute(f'UPDATE {table} SET name = %s', [name]).rowcount == 1
        pg.rollback()
    assert pg.execute(statement, [1]).fetchone() == ('Jane',)
    # and it has the isolation that was asked for
    pg.rollback()
    pg.isolation_level = 'SERIALIZABLE'
    for _ in range(3):
        assert pg.execute("SELECT current_setting('transaction_isolation')").fetchone() == ('serializable',)
        pg.rollback()


def test_an_error_leaves_a_transaction_that_has_failed(pg, table):
    statement = 'SELECT 1 / %s::int'
    for value in 1, 1, 0, 1:
        if value:
            assert pg.execute(statement, [value]).fetchone() == (1,)
        else:
            with pytest.raises(sql.DataError, match='division by zero') as error:
                pg.execute(statement, [value])
            assert error.value.sqlstate == '22012'
            assert pg.in_transaction
            with pytest.raises(sql.InternalError, match='aborted'):
                pg.execute(statement, [1])
        pg.rollback()
    with pytest.raises(sql.DataError, match='NUL'):
        pg.execute(f'SELECT * FROM {table} WHERE name = %s', ['a\0b'])


def test_a_table_that_has_changed(pg, table):
    statement = f'SELECT * FROM {table}'
    pg.execute(f'INSERT INTO {table} VALUES (1, %s)', ['Jane'])
    for column in range(3):
        for _ in range(3):
            pg.commit()
            assert len(pg.execute(statement).fetchone()) == 2 + column
        pg.commit()
        # in words that say nothing of it
        pg.execute(f"SELECT set_config('x.y', '', false); DO $$ BEGIN ALTER TABLE {table} ADD c{column} int; END $$")
    # what is of no use any more is not kept on the server
    pg.commit()
    for _ in range(2):
        pg.execute(statement).fetchall()
        pg.commit()
    assert pg.execute(PREPARED).fetchone()[0] <= 2


def test_values_that_are_cast_go_together_as_well(pg, table):
    pg.execute(f'ALTER TABLE {table} ADD day date')
    pg.commit()
    cursor = pg.cursor()
    rows = [(str(number), None if number % 2 else '2024-01-10') for number in range(1000)]
    cursor.executemany(f'INSERT INTO {table} (id, day) VALUES (%s, %s)', rows)
    assert cursor.rowcount == 1000
    statement = f'SELECT day FROM {table} WHERE id = %s'
    for _ in range(3):
        pg.commit()
        assert pg.execute(statement, ['8']).fetchall() == [(dt.date(2024, 1, 10),)]
    assert pg.execute(PREPARED).fetchone() == (1,)
    # text goes as it is, for which nothing has to be prepared anew
    for count in range(40):
        pg.commit()
        wheres = ' OR '.join(['id = %s'] * 6)
        values = [str(place) if count >> place & 1 else place for place in range(6)]
        for _ in range(2):
            assert len(pg.execute(f'SELECT id FROM {table} WHERE {wheres}', values).fetchall()) == 6
            pg.commit()
    assert pg.execute(PREPARED).fetchone() == (2,)


def test_results_that_grow_and_shrink(pg):
    statement = 'SELECT i, i * 1.5 FROM generate_series(1, %s) i'
    for count in 1, 1, 2000, 2000, 1, 1:
        rows = pg.execute(statement, [count]).fetchall()
        assert rows == [(i, Decimal(i * 3) / 2) for i in range(1, count + 1)]
        pg.rollback()


def test_statements_that_cannot_be_prepared_in_sql(pg, table):
    for number in range(3):
        pg.execute(f'SELECT 1 AS a INTO TEMPORARY {table}_{number}')
        pg.commit()
        assert pg.execute(f'SELECT a FROM {table}_{number} -- as it is').fetchall() == [(1,)]
        pg.rollback()
        assert pg.execute('WITH x AS (SELECT 1) TABLE x;').fetchall() == [(1,)]
        pg.rollback()


@pytest.mark.parametrize('autocommit', [False, True])
def test_many_times_in_one_round_trip(pg, table, autocommit):
    pg.autocommit = autocommit
    cursor = pg.cursor()
    rows = [(number, 'x' * (number % 50)) for number in range(20000)]
    cursor.executemany(f'INSERT INTO {table} VALUES (%s, %s)', rows)
    assert cursor.rowcount == 20000
    assert pg.execute(f'SELECT * FROM {table} ORDER BY id').fetchall() == rows
    cursor.executemany(
        f'UPDATE {table} SET name = %(name)s WHERE id = %(id)s', [{'id': i, 'name': None} for i in (3, 5, 20001)]
    )
    assert cursor.rowcount == 2
    # values that need a cast go alone, in their order
    cursor.executemany(f'UPDATE {table} SET name = name || %s WHERE id = %s', [('a', 7), (5, 7), ('b', 7)])
    assert pg.execute(f'SELECT name FROM {table} WHERE id = 7').fetchone() == ('xxxxxxxa5b',)
    # the results of a query are not kept
    assert cursor.executemany(f'SELECT * FROM {table} WHERE id = %s', [(1,), (2,)]).rowcount == 2


def test_many_times_with_an_error(pg, table):
    cursor = pg.cursor()
    with pytest.raises(sql.IntegrityError) as error:
        cursor.executemany(f'INSERT INTO {table} VALUES (%s, %s)', [(1, 'a'), (2, 'b'), (1, 'c'), (3, 'd')])
    assert error.value.sqlstate == '23505'
    assert pg.in_transaction
    pg.rollback()
    assert pg.execute(f'SELECT count(*) FROM {table}').fetchone() == (0,)


def test_rows_of_mariadb_are_inserted_together():
    connection = sql.connect(MARIADB)
    table = f'busbar_{uuid.uuid4().hex[:12]}'
    connection.execute(
        f'CREATE TEMPORARY TABLE {table} (id int PRIMARY KEY AUTO_INCREMENT, name varchar(50), at datetime(6))'
    )

    def inserts():
        return int(connection.execute("SHOW SESSION STATUS LIKE 'Com_insert'").fetchone()[1])

    before = inserts()
    rows = [(number, f"it's {number} ?", POINT) for number in range(1, 1001)]
    cursor = connection.cursor().executemany(f'INSERT INTO {table} (id, name, at) VALUES (%s, %s, %s)', rows)
    assert cursor.rowcount == 1000
    assert inserts() - before < 10
    assert connection.execute(f'SELECT * FROM {table} ORDER BY id').fetchall() == rows
    again = f'INSERT INTO {table} (id, name) VALUES (%s, %s) ON DUPLICATE KEY UPDATE name = VALUES(name)'
    connection.cursor().executemany(again, [(number, None if number % 2 else 'new') for number in range(999, 1004)])
    found = connection.execute(f'SELECT id, name FROM {table} WHERE id > 998 ORDER BY id').fetchall()
    assert found == [(999, None), (1000, 'new'), (1001, None), (1002, 'new'), (1003, None)]
    with pytest.raises(sql.IntegrityError):
        connection.cursor().executemany(f'INSERT INTO {table} (id) VALUES (%s)', [(2000,), (1,)])
    connection.rollback()
    connection.close()


STYLED = (
    "SELECT date '2024-02-03' AS a, timestamp '2024-02-03 13:14:15.161718' AS b, "
    "timestamptz '2024-02-03 13:14:15+01' AS c, interval '1 day -02:03:04.5' AS d, "
    "0.1::float8 + 0.2 AS e, 0.1::float4 AS f, bytea '\\x00ff' AS g, "
    "ARRAY[date '2024-02-03'] AS h WHERE 1 = %s"
)
STYLES = [
    ('DateStyle', 'German'),
    ('DateStyle', 'SQL, DMY'),
    ('DateStyle', 'Postgres, MDY'),
    ('IntervalStyle', 'sql_standard'),
    ('IntervalStyle', 'iso_8601'),
    ('IntervalStyle', 'postgres_verbose'),
    ('bytea_output', 'escape'),
]


@pytest.mark.parametrize(
    'how', ['SET {} = {}', "SELECT set_config('{}', {}, false)", 'DO $$ BEGIN SET {} = {}; END $$']
)
@pytest.mark.parametrize(('name', 'value'), STYLES)
def test_values_are_the_same_whatever_style_a_session_has(pg, name, value, how):
    rows = []
    for number in range(4):
        if number == 2:
            pg.execute(how.format(name, f"'{value}'"))
        pg.commit()
        rows.append(pg.execute(STYLED, [1]).fetchone())
    # what is written into the statement, as values whose type cannot be inferred are
    literal = STYLED.replace('SELECT', 'SELECT %s IS NULL,')
    rows += [pg.execute(literal, [1, 1]).fetchone()[1:] for _ in range(2)]
    span = dt.timedelta(days=-3, seconds=5)
    assert pg.execute('SELECT %s IS NULL, %s', [1, span]).fetchone() == (False, span)
    assert all(repr(row) == repr(rows[0]) for row in rows)
    assert rows[0][0] == dt.date(2024, 2, 3)
    assert rows[0][4] == 0.1 + 0.2
    # and it is the style that the user has asked for
    assert pg.execute(f'SHOW {name}').fetchone()[0].startswith(value)
    pg.rollback()
    # as long as the transaction
    pg.execute(f'RESET {name}')
    pg.commit()
    pg.execute(f"SET LOCAL {name} = '{value}'")
    rows.append(pg.execute(STYLED, [1]).fetchone())
    for _ in range(2):
        pg.commit()
        rows.append(pg.execute(STYLED, [1]).fetchone())
    assert all(repr(row) == repr(rows[0]) for row in rows)


def test_styles_that_a_role_begins_with(pg):
    role = f'busbar_{uuid.uuid4().hex[:12]}'
    pg.execute(f'CREATE ROLE {role} LOGIN')
    styles = {'DateStyle': 'German', 'IntervalStyle': 'iso_8601', 'extra_float_digits': '0', 'bytea_output': 'escape'}
    for name, value in styles.items():
        pg.execute(f"ALTER ROLE {role} SET {name} = '{value}'")
    pg.commit()
    rows = [pg.execute(STYLED, [1]).fetchone()]
    place = POSTGRESQL.split('@')[1]
    connection = sql.connect(f'postgresql://{role}@{place}')
    try:
        for _ in range(3):
            rows.append(connection.execute(STYLED, [1]).fetchone())
            connection.commit()
        connection.execute('RESET ALL')
        for _ in range(3):
            rows.append(connection.execute(STYLED, [1]).fetchone())
            connection.commit()
    finally:
        connection.close()
        pg.execute(f'DROP ROLE {role}')
        pg.commit()
    assert all(repr(row) == repr(rows[0]) for row in rows)


@pytest.mark.parametrize(
    'how',
    [
        'DEALLOCATE ALL',
        'DEALLOCATE PREPARE ALL',
        'DISCARD ALL',
        # nobody can tell from the text
        "DO $$ BEGIN EXECUTE 'DEAL' || 'LOCATE ALL'; END $$",
        'SELECT pg_temp.lose()',
    ],
)
def test_prepared_statements_that_are_gone(pg, table, lose, how):
    statements = [f'SELECT id FROM {table} WHERE id = %s', 'SELECT 1 + %s::int', 'SELECT %s::text WHERE 1 = 2']

    def ask():
        found = [pg.execute(statement, [7]).fetchall() for statement in statements]
        pg.commit()
        return found

    def forget():
        if how == 'DISCARD ALL':
            pg.autocommit = True
        pg.execute(how)
        pg.commit()
        pg.autocommit = False

    # which takes the table along
    if how == 'DISCARD ALL':
        statements = statements[1:]
    for _ in range(3):
        before = ask()
    for _ in range(3):
        forget()
        assert ask() == before
        assert ask() == before
    # each statement alone, and those that are run many times
    pg.autocommit = True
    for _ in range(3):
        before = ask()
        pg.execute(how)
        assert ask() == before
    pg.execute(f'CREATE TEMPORARY TABLE {table}_many (id int)')
    for _ in range(3):
        pg.cursor().executemany(f'INSERT INTO {table}_many VALUES (%s)', [(1,), (2,)])
        if how != 'DISCARD ALL':
            pg.execute(lose)
    assert pg.execute(f'SELECT count(*) FROM {table}_many').fetchone() == (6,)


def test_prepared_statements_of_others(pg):
    """Behind a proxy that shares its connections, statements of the same name are there already, or those of others."""
    for number in range(1, 60):
        pg.execute(f'PREPARE sqlx_s_{number} AS SELECT 42')
        pg.commit()
    for value in 1, 2:
        assert pg.execute('SELECT 1 + %s::int', [value]).fetchall() == [(1 + value,)]
        # in the middle of a transaction too
        assert pg.execute('SELECT 2 + %s::int', [value]).fetchall() == [(2 + value,)]
        cursor = pg.execute('SELECT %s::int AS a WHERE 1 = 2', [value])
        assert cursor.description[0][:2] == ('a', 23)
        assert cursor.fetchall() == []
        pg.commit()


def test_prepared_statements_that_are_those_of_others_by_now(pg, lose):
    pg.autocommit = True
    statement = 'SELECT 1 + %s::int'
    pg.execute(statement, [1])
    pg.execute(lose)
    for number in range(1, 20):
        pg.execute(f'PREPARE sqlx_s_{number} AS SELECT 42')
    assert pg.execute(statement, [2]).fetchone() == (3,)


def test_a_prepared_statement_that_goes_within_a_transaction(pg, lose):
    statement = 'SELECT 1 + %s::int'
    pg.execute(statement, [1])
    pg.commit()
    pg.execute(lose)
    with pytest.raises(sql.OperationalError, match='statement_cache=0') as error:
        pg.execute(statement, [1])
    assert error.value.sqlstate == '26000'
    assert error.value.is_retriable
    pg.rollback()
    assert pg.execute(statement, [1]).fetchone() == (2,)
    assert pg.execute(statement, [2]).fetchone() == (3,)


def test_nothing_is_prepared_if_that_is_asked_for():
    connection = sql.connect(POSTGRESQL, statement_cache=0)
    table = f'busbar_{uuid.uuid4().hex[:12]}'
    connection.execute(f'CREATE TEMPORARY TABLE {table} (id int, at timestamptz)')
    for number in range(3):
        connection.execute(f'INSERT INTO {table} VALUES (%s, %s)', [number, POINT.replace(tzinfo=dt.UTC)])
        connection.commit()
    connection.cursor().executemany(f'INSERT INTO {table} (id) VALUES (%s)', [(3,), (4,)])
    found = connection.execute(f'SELECT * FROM {table} WHERE id > %s ORDER BY id', [1]).fetchall()
    assert found == [(2, POINT.replace(tzinfo=dt.UTC)), (3, None), (4, None)]
    cursor = connection.execute(f'SELECT * FROM {table} WHERE id > %s', [10])
    assert [column[0] for column in cursor.description] == ['id', 'at']
    assert connection.execute('SELECT count(*) FROM pg_prepared_statements').fetchone() == (0,)
    connection.close()
