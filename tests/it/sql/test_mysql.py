"""`busbar.sql` and MySQL: what values are in a statement, which is what they are with MySQL's usual drivers."""

import datetime as dt
import os
import uuid
from contextlib import closing
from decimal import Decimal

import pytest

from busbar import sql

MARIADB = os.environ.get('BUSBAR_TEST_MYSQL', 'mysql://root@127.0.0.1:3306/test')
POINT = dt.datetime(2024, 1, 1, 2)


@pytest.fixture
def maria():
    with closing(sql.connect(MARIADB)) as connection:
        yield connection


@pytest.fixture
def name():
    """A name that others do not use."""
    return f'busbar_{uuid.uuid4().hex[:12]}'


def rows(connection, statement, values=None):
    return connection.execute(statement, values).fetchall()


@pytest.mark.parametrize(
    ('statement', 'values', 'expected'),
    [
        ('SELECT a FROM (SELECT 9 AS a UNION SELECT 10) x ORDER BY COALESCE(%s, a)', [None], [(9,), (10,)]),
        ('SELECT MAX(IFNULL(%s, a)) FROM (SELECT 9 AS a UNION SELECT 10) x', [None], [(10,)]),
        ("SELECT COALESCE(%s, TIMESTAMP'2024-01-01 02:00:00')", [None], [(POINT,)]),
        ('SELECT SUM(COALESCE(%s, 1.50))', [None], [(Decimal('1.50'),)]),
        ('SELECT 5 UNION ALL SELECT %s', [None], [(5,), (None,)]),
        ('WITH q(a, b) AS (VALUES (%s, %s)) SELECT * FROM q', [1, 'x'], [(1, 'x')]),
        ('SELECT 1 IN (VALUES (%s))', [1], [(1,)]),
        ('SELECT GROUP_CONCAT(a SEPARATOR %s) FROM (SELECT 1 AS a UNION SELECT 2) x', ['-'], [('1-2',)]),
        ('SELECT DATE %s, _utf8mb4 %s', ['2024-02-29', 'a'], [(dt.date(2024, 2, 29), 'a')]),
        ('SELECT SUM(a) OVER (ORDER BY a ROWS %s PRECEDING) FROM (SELECT 2 AS a) x', [1], [(Decimal(2),)]),
        ('EXECUTE IMMEDIATE %s', ['SELECT 7'], [(7,)]),
        ('SHOW CHARACTER SET LIKE %s', ['utf8mb4'], [('utf8mb4', 'UTF-8 Unicode', 'utf8mb4_general_ci', 4)]),
        ('SELECT 5--%s, 5 - %s', [-1, -1], [(4, 6)]),
        ('SELECT /*! %s */ + 1', [5], [(6,)]),
        ('SELECT %s, BIT_OR(%s)', [2**63, 2**63], [(2**63, 2**63)]),
        ('SELECT -%s, -%s', [5, Decimal('1.0')], [(-5, Decimal('-1.0'))]),
        ('SELECT (1, 2) IN %s, (1, 2) IN %s', [[(1, 2), (3, 4)], [(5, 6)]], [(1, 0)]),
        ('SELECT 1 IN %s, 1 IN %s, 1 IN %s', [{1, 3}, frozenset([2]), ()], [(1, 0, None)]),
        (
            'SELECT CONCAT(%s), CONCAT(%s)',
            [dt.timedelta(hours=-26), dt.timedelta(microseconds=5)],
            [('-26:00:00', '00:00:00.000005')],
        ),
        ('SELECT %s + 1, CONCAT(%s)', [b'41', b"\x00a\\'b"], [(42.0, b"\x00a\\'b")]),
        ('SELECT %s, %s, %s', [True, 1.5, 0.1 + 0.2], [(1, 1.5, 0.1 + 0.2)]),
        ('SELECT %s, %s', [Decimal('1E+3'), Decimal('1.5E-30')], [(1000, Decimal('1.5E-30'))]),
        ('SELECT %s', memoryview(b'ab'), [(b'ab',)]),
    ],
)
def test_values_are_what_literals_are(maria, statement, values, expected):
    assert rows(maria, statement, values) == expected


TEXTS = ["it's", "\\' OR 1=1 -- ", '\\', "''", 'a\x00b', 'żółw 😀', '%s %% "`', '\n\t\x1a', "\\\\'", '뽜\\']


NO_ESCAPES = "sql_mode = 'NO_BACKSLASH_ESCAPES'"


@pytest.mark.parametrize(
    'modes',
    [
        [],
        [f'SET {NO_ESCAPES}'],
        [f'/*!40101 SET {NO_ESCAPES} */'],
        ["SET `sql_mode` = 'NO_BACKSLASH_ESCAPES'"],
        [f'SET {NO_ESCAPES}', "/*!40101 SET sql_mode = '' */"],
        [f'SET {NO_ESCAPES}', "SET @@`sql_mode` = ''"],
        [f'SET {NO_ESCAPES}', "EXECUTE IMMEDIATE 'SET sql_mode = DEFAULT'"],
        ["SET @@session.sql_mode = 'ansi'"],
        ['SET NAMES gbk'],
        ['/*!40101 SET NAMES gbk */'],
        ['SET `character_set_client` = gbk'],
        ['BEGIN NOT ATOMIC SET NAMES gbk; END'],
        ['SET CHARACTER SET sjis'],
        ['SET NAMES latin1'],
    ],
)
def test_texts_come_back_as_they_were_in_every_mode(maria, modes):
    for mode in modes:
        maria.execute(mode)
    # what comes back is to be UTF-8 in any case
    maria.execute('SET character_set_results = utf8mb4')
    for text in TEXTS:
        assert rows(maria, 'SELECT HEX(CONVERT(%s USING utf8mb4))', [text]) == [(text.encode().hex().upper(),)], text
        assert rows(maria, 'SELECT 1 FROM dual WHERE 1 = %s AND 1 = %s', [text, ' OR 1=1 -- ']) == [], text


def test_a_script_that_changes_the_mode_has_its_values_in_it(maria):
    cursor = maria.execute(f'SET {NO_ESCAPES}; SELECT HEX(%s)', ["\\' OR 1=1 -- "])
    assert cursor.nextset()
    assert cursor.fetchall() == [(b"\\' OR 1=1 -- ".hex().upper(),)]


def test_a_mode_holds_for_statements_that_were_there_before(maria):
    assert rows(maria, 'SELECT %s || %s', ['a', 'b']) == [(0,)]
    maria.execute("SET sql_mode = 'pipes_as_concat'")
    assert rows(maria, 'SELECT %s || %s', ['a', 'b']) == [('ab',)]


def test_names_of_functions_are_names(maria, name):
    assert 'IGNORE_SPACE' not in rows(maria, 'SELECT @@sql_mode')[0][0]
    maria.execute(f'CREATE DATABASE {name}')
    try:
        maria.execute(f'USE {name}')
        maria.execute('CREATE TABLE position (id INT)')
        assert maria.execute('INSERT INTO position (id) VALUES (%s)', [1]).rowcount == 1
    finally:
        maria.execute(f'DROP DATABASE {name}')


def test_what_stores_its_own_text_has_values_in_it(maria, name):
    maria.execute(f'CREATE TABLE {name} (id INT DEFAULT %s, note VARCHAR(10)) COMMENT %s', [7, "it's"])
    try:
        maria.execute(f'CREATE TRIGGER {name}_t BEFORE INSERT ON {name} FOR EACH ROW SET new.note = %s', ['made'])
        maria.execute(f'INSERT INTO {name} () VALUES ()')
        assert rows(maria, f'SELECT * FROM {name}') == [(7, 'made')]
        assert rows(maria, 'SHOW TABLES LIKE %s', [name]) == [(name,)]
    finally:
        maria.execute(f'DROP TABLE {name}')


def test_procedures_give_values_and_results_without_rows(maria, name):
    maria.execute(
        f'CREATE PROCEDURE {name} (IN a INT, INOUT b INT, OUT c INT) BEGIN SET b = b + a, c = a * 2; '
        'SELECT a WHERE a < 0; SELECT a, b; END'
    )
    try:
        cursor = maria.cursor()
        assert cursor.callproc(name, (1, 2, 3)) == [1, 2, 3]
        assert cursor.fetchall() == []
        assert cursor.nextset() is True
        assert cursor.fetchall() == [(1, 3)]
        assert cursor.nextset() is True
        assert cursor.description is None
        assert cursor.nextset() is None
        assert cursor.execute(f'SELECT @_{name}_0, @_{name}_1, @_{name}_2').fetchall() == [(1, 3, 2)]
        # without values
        assert rows(maria, f'CALL {name}(1, @b, @c)') == []
    finally:
        maria.execute(f'DROP PROCEDURE {name}')


@pytest.mark.parametrize(
    'statement',
    [
        'SHOW WARNINGS',
        '/* first */ show errors',
        'DELETE FROM {} WHERE id < 0 RETURNING id',
        "EXECUTE IMMEDIATE 'SELECT id FROM {} WHERE id < 0'",
        'SET STATEMENT max_statement_time = 5 FOR SELECT id FROM {}',
        '/*!50000 select */ id FROM {}',
        'XA RECOVER',
    ],
)
def test_results_without_rows_are_results(maria, name, statement):
    maria.execute(f'CREATE TEMPORARY TABLE {name} (id INT)')
    assert rows(maria, statement.format(name)) == []
    assert maria.execute(f'DELETE FROM {name}').description is None


def test_columns_are_those_of_the_table_as_it_is(maria, name):
    for columns in ['a INT', 'b INT, c INT']:
        maria.execute(f'CREATE TEMPORARY TABLE {name} ({columns})')
        for _ in range(2):
            found = maria.execute(f'SELECT * FROM {name}').description
            assert [column.name for column in found] == [column.split()[0] for column in columns.split(', ')]
        maria.execute(f'ALTER TABLE {name} ADD z INT')
        assert maria.execute(f'SELECT * FROM {name}').description[-1].name == 'z'
        maria.execute(f'DROP TEMPORARY TABLE {name}')
    assert maria.execute('SELECT 1 INTO @one').description is None


def test_dates_that_are_none_are_text(maria, name):
    maria.execute("SET sql_mode = 'ALLOW_INVALID_DATES'")
    maria.execute(f'CREATE TEMPORARY TABLE {name} (day DATE, at DATETIME(6))')
    days = ['0000-00-00', '2024-00-15', '2024-02-31', '2024-02-29']
    maria.cursor().executemany(f'INSERT INTO {name} VALUES (%s, %s)', [(day, f'{day} 01:02:03.5') for day in days])
    expected = [(day, f'{day} 01:02:03.500000') for day in days[:-1]]
    expected.append((dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 1, 2, 3, 500_000)))
    assert rows(maria, f'SELECT * FROM {name}') == expected
    assert rows(maria, f'SELECT * FROM {name} WHERE 1 = %s', [1]) == expected


def test_many_rows_are_one_statement(maria, name):
    maria.execute(f'CREATE TEMPORARY TABLE {name} (id INT AUTO_INCREMENT PRIMARY KEY, n INT UNIQUE)')
    cursor = maria.cursor()
    cursor.executemany(f'INSERT INTO {name} (n) VALUES (%s)', [(n,) for n in range(3000)])
    assert (cursor.rowcount, cursor.lastrowid) == (3000, 1)
    cursor.executemany(f'INSERT INTO {name} (n) VALUES (%s) /* and one */, (NULL)', [(-1,), (-2,)])
    assert cursor.rowcount == 4
    maria.execute(f'DELETE FROM {name} WHERE n < 0 OR n IS NULL')
    # all or none
    with pytest.raises(sql.IntegrityError):
        cursor.executemany(f'INSERT INTO {name} (n) VALUES (%s)', [(n,) for n in range(5000, 2999, -1)] + [(1,)])
    assert rows(maria, f'SELECT count(*) FROM {name}') == [(3000,)]
    cursor.executemany(f'DELETE FROM {name} WHERE n IN %s', [[(1, 2)], [(3,)]])
    assert cursor.rowcount == 3


def test_long_bytes_go_beside_their_statement(maria, name):
    maria.execute(
        f'CREATE TEMPORARY TABLE {name} (id INT, at DATETIME, blob_1 LONGBLOB, note TEXT, amount DECIMAL(10, 2))'
    )
    long = bytes(range(256)) * 40_000
    maria.cursor().executemany(
        f'INSERT INTO {name} VALUES (%s, %s, %s, %s, %s)',
        [
            (1, POINT, b'short', "it's", Decimal('1.50')),
            (2, POINT, long, "it's", Decimal('2.50')),
            (3, None, None, None, None),
        ],
    )
    found = rows(maria, f'SELECT id, at, length(blob_1), md5(blob_1) = md5(%s), note, amount FROM {name}', [b'short'])
    assert found == [
        (1, POINT, 5, 1, "it's", Decimal('1.50')),
        (2, POINT, len(long), 0, "it's", Decimal('2.50')),
        (3, None, None, None, None, None),
    ]
    assert rows(maria, f'SELECT blob_1 FROM {name} WHERE id = 2') == [(long,)]


@pytest.mark.parametrize(('value', 'expected'), [(5, 5), ('abc', 'abc'), (b'ab', b'ab'), (None, None)])
def test_one_value_may_stand_by_itself(maria, value, expected):
    cursor = maria.cursor()
    if value is not None:
        assert cursor.execute('SELECT %s', value).fetchone() == (expected,)
    cursor.executemany('SET @given = %s', [value])
    if value is not None:
        assert cursor.execute('SELECT @given').fetchone() == (expected,)


def test_lost_connections_have_numbers(maria):
    with closing(sql.connect(MARIADB)) as other:
        maria.execute('SELECT 1')
        other.execute('KILL %s', [maria.backend_pid])
    for statement in ["SET sql_mode = ''", 'SELECT 1']:
        with pytest.raises(sql.OperationalError) as lost:
            maria.execute(statement)
        assert lost.value.args[0] in (2006, 2013)
        assert lost.value.is_disconnect
    with pytest.raises(sql.OperationalError) as refused:
        sql.connect('mysql://root@127.0.0.1:1/test')
    assert refused.value.args[0] == 2003


def test_a_cursor_that_was_closed_knows_what_it_did(maria, name):
    maria.execute(f'CREATE TEMPORARY TABLE {name} (id INT AUTO_INCREMENT PRIMARY KEY, n INT)')
    cursor = maria.cursor()
    cursor.execute(f'INSERT INTO {name} (n) VALUES (1), (2)')
    cursor.close()
    assert (cursor.rowcount, cursor.lastrowid) == (2, 1)
