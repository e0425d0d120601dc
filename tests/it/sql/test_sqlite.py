"""`busbar.sql` and SQLite: transactions that users end themselves, placeholders as Python's own driver has them."""

from contextlib import closing

import pytest

from busbar import sql


@pytest.fixture
def path(tmp_path):
    url = f'sqlite:///{tmp_path}/lite.db'
    with closing(sql.connect(url, autocommit=True)) as connection:
        connection.execute('CREATE TABLE line (id INTEGER PRIMARY KEY, qty INTEGER)')
    return url


@pytest.fixture
def lite(path):
    with closing(sql.connect(path, paramstyle='qmark')) as connection:
        yield connection


def stored(path):
    """What others see."""
    with closing(sql.connect(path)) as connection:
        return [qty for (qty,) in connection.execute('SELECT qty FROM line ORDER BY id').fetchall()]


@pytest.mark.parametrize(
    ('steps', 'expected'),
    [
        # a savepoint that is the first thing of a transaction is within it
        (['SAVEPOINT a', 'INSERT 1', 'RELEASE a', 'rollback'], []),
        (['SAVEPOINT a', 'INSERT 1', 'RELEASE a', 'INSERT 2', 'commit'], [1, 2]),
        (['SAVEPOINT a', 'INSERT 1', 'ROLLBACK TO a', 'INSERT 2', 'commit'], [2]),
        (['SAVEPOINT a', 'INSERT 1', 'ROLLBACK TO SAVEPOINT a', 'rollback', 'INSERT 2', 'commit'], [2]),
        # and so is whatever the user begins
        (['BEGIN', 'INSERT 1', 'commit'], [1]),
        (['BEGIN IMMEDIATE', 'INSERT 1', 'rollback', 'INSERT 2', 'commit'], [2]),
        (['INSERT 1', 'COMMIT', 'INSERT 2', 'rollback'], [1]),
        (['INSERT 1', 'ROLLBACK', 'INSERT 2', 'commit', 'commit'], [2]),
        (['BEGIN', 'COMMIT', 'commit', 'rollback', 'INSERT 1', 'END', 'commit'], [1]),
        # or what a statement of his ends that fails
        (['INSERT 1', 'OR ROLLBACK', 'INSERT 2', 'rollback', 'INSERT 3', 'rollback'], []),
        (['INSERT 1', 'COMMIT; INSERT INTO line (id) VALUES (1)', 'INSERT 2', 'rollback', 'INSERT 3', 'rollback'], [1]),
        (['INSERT 1', 'INSERT INTO line (qty) VALUES (2); SELECT 1', 'INSERT 3', 'rollback'], []),
    ],
)
def test_transactions_are_what_the_user_makes_of_them(path, lite, steps, expected):
    for step in steps:
        match step.split():
            case ['INSERT', qty]:
                lite.execute('INSERT INTO line (qty) VALUES (?)', [int(qty)])
            case ['commit' | 'rollback']:
                getattr(lite, step)()
            case ['OR', 'ROLLBACK']:
                with pytest.raises(sql.IntegrityError):
                    lite.execute('INSERT OR ROLLBACK INTO line (id) VALUES (1)')
            case ['COMMIT;', *_]:
                with pytest.raises(sql.IntegrityError):
                    lite.execute(step)
            case _:
                lite.execute(step)
    lite.close()
    assert stored(path) == expected


def test_a_transaction_that_a_script_leaves_open_is_known(path, lite):
    lite.execute('INSERT INTO line (qty) VALUES (1)')
    lite.execute('INSERT INTO line (qty) VALUES (2); SELECT 1')
    with pytest.raises(sql.ProgrammingError, match='within a transaction'):
        lite.autocommit = True
    lite.commit()
    lite.autocommit = True
    lite.execute('SAVEPOINT a')
    lite.execute('INSERT INTO line (qty) VALUES (3)')
    lite.rollback()
    assert stored(path) == [1, 2]


def test_placeholders_are_those_of_the_usual_driver(lite):
    assert lite.execute('SELECT :a + :b, :a', {'a': 1, 'b': 2}).fetchall() == [(3, 1)]
    assert lite.execute('SELECT ?2, ?1, ?2', [1, 2]).fetchall() == [(2, 1, 2)]
    assert lite.execute('SELECT ?2, ?, ?1', [1, 2, 3]).fetchall() == [(2, 3, 1)]
    lite.cursor().executemany('INSERT INTO line (qty) VALUES (:qty)', [{'qty': 5}, {'qty': 6}])
    assert lite.execute('SELECT sum(qty) FROM line').fetchone() == (11,)
    with pytest.raises(sql.ProgrammingError, match='give the values in a dictionary'):
        lite.execute('SELECT :a')
    with pytest.raises(sql.ProgrammingError, match='they begin at 1'):
        lite.execute('SELECT ?0', [1])


def test_columns_have_names(lite):
    cursor = lite.execute('SELECT 1 AS one, 2 AS two')
    assert [column.name for column in cursor.description] == ['one', 'two']
    assert cursor.description[0][:2] == ('one', None)
    assert len(cursor.description[0]) == 7
