"""`busbar.sql` and PostgreSQL: sessions in the time zone of the server, as with psycopg2."""

import datetime as dt
import os
import uuid
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Column, DateTime, Integer, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import declarative_base

from busbar import sql

POSTGRESQL = os.environ.get('BUSBAR_TEST_POSTGRESQL', 'postgresql://postgres@127.0.0.1:5432/test')
Base = declarative_base()


def zone(hours):
    return dt.timezone(dt.timedelta(hours=hours))


WINTER, SUMMER, NEW_YORK, TOKYO = zone(1), zone(2), zone(-5), zone(9)
#: Midnight in Warsaw, 1 January and 1 July 2024; and in New York and Tokyo.
JANUARY = dt.datetime(2024, 1, 1, tzinfo=WINTER)
JULY = dt.datetime(2024, 7, 1, tzinfo=SUMMER)
POINTS = "SELECT timestamptz '2023-12-31 23:00+00' AS a, timestamptz '2024-06-30 22:00+00' AS b"


class Event(Base):
    __tablename__ = 'event'

    id = Column(Integer, primary_key=True)
    made = Column(DateTime(timezone=True), server_default=func.now())
    shown = Column(DateTime, server_default=func.now())
    at = Column(DateTime(timezone=True))
    points = Column(ARRAY(DateTime(timezone=True)))


def url_of(name, user=None):
    at = urlsplit(POSTGRESQL)
    who = user or at.netloc.rpartition('@')[0]
    return f'postgresql://{who}@{at.hostname}:{at.port or 5432}/{name}'


@pytest.fixture(scope='module')
def admin():
    with closing(sql.connect(POSTGRESQL, autocommit=True)) as connection:
        yield connection


def create(admin, **settings):
    name = f'busbar_zones_{uuid.uuid4().hex[:12]}'
    admin.execute(f'CREATE DATABASE {name}')
    for setting, value in settings.items():
        admin.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")
    return name


@pytest.fixture(scope='module')
def warsaw(admin):
    """The name of a database in Warsaw."""
    name = create(admin, timezone='Europe/Warsaw', datestyle='SQL, DMY')
    yield name
    admin.execute(f'DROP DATABASE {name} WITH (FORCE)')


@pytest.fixture(scope='module')
def greenwich(admin):
    """The name of a database in UTC."""
    name = create(admin, timezone='UTC', datestyle='ISO, MDY')
    yield name
    admin.execute(f'DROP DATABASE {name} WITH (FORCE)')


@pytest.fixture
def pg(warsaw):
    with closing(sql.connect(url_of(warsaw))) as connection:
        yield connection


def one(connection, statement, values=()):
    return connection.execute(statement, list(values)).fetchone()


def show(connection, name):
    return one(connection, f'SHOW {name}')[0]


def same(found, expected):
    """Whether points are the same, and shown in the same zone."""
    assert repr(found) == repr(expected)


def test_sessions_begin_as_the_server_has_it(pg):
    assert show(pg, 'TimeZone') == 'Europe/Warsaw'
    assert show(pg, 'DateStyle') == 'ISO, DMY'
    assert one(pg, "SELECT '03/04/2024'::date, %s::date", ['03/04/2024']) == (dt.date(2024, 4, 3),) * 2
    assert one(pg, "SELECT current_date = (now() AT TIME ZONE 'Europe/Warsaw')::date") == (True,)
    assert one(pg, "SELECT now()::timestamp = now() AT TIME ZONE 'Europe/Warsaw'") == (True,)
    same(one(pg, "SELECT date_trunc('day', timestamptz '2024-01-01 22:59+00')"), (JANUARY,))
    same(one(pg, "SELECT timestamptz '2024-01-01', %s::timestamptz", ['2024-07-01']), (JANUARY, JULY))


def test_what_the_connection_itself_says_comes_first(warsaw):
    with closing(sql.connect(url_of(warsaw), timezone='Asia/Tokyo')) as connection:
        assert show(connection, 'TimeZone') == 'Asia/Tokyo'
        assert show(connection, 'DateStyle') == 'ISO, DMY'
        same(one(connection, POINTS)[0], dt.datetime(2024, 1, 1, 8, tzinfo=TOKYO))
        connection.execute('RESET TIME ZONE')
        assert show(connection, 'TimeZone') == 'Asia/Tokyo'


def test_sessions_in_utc(greenwich):
    with closing(sql.connect(url_of(greenwich))) as connection:
        assert show(connection, 'TimeZone') == 'UTC'
        for _ in range(3):
            same(one(connection, POINTS)[0], dt.datetime(2023, 12, 31, 23, tzinfo=dt.UTC))
            connection.commit()
        assert one(connection, "SELECT '03/04/2024'::date") == (dt.date(2024, 3, 4),)


@pytest.mark.parametrize('options', [{}, {'statement_cache': 0}, {'autocommit': True}])
def test_points_have_the_offset_of_the_session(warsaw, options):
    with closing(sql.connect(url_of(warsaw), **options)) as connection:
        for _ in range(4):
            same(one(connection, POINTS), (JANUARY, JULY))
            same(one(connection, f'{POINTS} WHERE %s = 1', [1]), (JANUARY, JULY))
            # values whose type the server cannot tell, or that are not written as literals
            same(one(connection, f'{POINTS} WHERE %s IS NOT NULL', [1]), (JANUARY, JULY))
            same(one(connection, f'{POINTS} WHERE %s::float4 < 1', [0.5]), (JANUARY, JULY))
            same(one(connection, f'{POINTS} WHERE %s > time %s', [dt.time(2), '01:00']), (JANUARY, JULY))
            same(one(connection, f'{POINTS} WHERE length(%s) = 600000', ['x' * 600_000]), (JANUARY, JULY))
            connection.commit()
        # as long as nothing is read, columns are known too
        cursor = connection.execute(f'{POINTS} WHERE %s = 2', [1])
        assert [column[0] for column in cursor.description] == ['a', 'b']
        assert cursor.fetchall() == []


def test_arrays_and_what_is_no_point(pg):
    found = one(
        pg,
        "SELECT ARRAY[timestamptz '2023-12-31 23:00+00', NULL, '2024-06-30 22:00+00'], NULL::timestamptz, "
        "timestamptz 'infinity', timestamptz '-infinity', timestamptz '1880-01-01 00:00+00', "
        "'{}'::timestamptz[], ARRAY[[timestamptz '2023-12-31 23:00:00.000001+00']]",
    )
    same(
        found,
        (
            [JANUARY, None, JULY],
            None,
            dt.datetime.max.replace(tzinfo=dt.UTC),
            dt.datetime.min.replace(tzinfo=dt.UTC),
            dt.datetime(1880, 1, 1, 1, 24, tzinfo=dt.timezone(dt.timedelta(minutes=84))),
            [],
            [[JANUARY.replace(microsecond=1)]],
        ),
    )


def test_a_text_with_a_nul_is_refused(pg):
    with pytest.raises(sql.DataError, match='NUL'):
        one(pg, f'{POINTS} WHERE %s = %s', ['a\0', 'b'])
    pg.rollback()
    with pytest.raises(sql.DataError, match='NUL'):
        one(pg, 'SELECT %s IS NULL', ['a\0'])


def test_many_rows_come_piece_by_piece(pg):
    query = "SELECT n, timestamptz '2024-01-01' + n * interval '1 hour' AS at FROM generate_series(0, %s) AS n"
    for _ in range(2):
        cursor = pg.execute(query, [8783])
        count = 0
        while rows := cursor.fetchmany(1000):
            for number, at in rows:
                assert number == count
                assert at == JANUARY + dt.timedelta(hours=number)
                assert at.tzinfo in (WINTER, SUMMER)
                count += 1
        assert count == 8784
        pg.commit()
    cursor = pg.execute(query, [100_000])
    assert cursor.fetchone()[0] == 0
    pg.rollback()
    pg.execute(f'DECLARE c SCROLL CURSOR FOR {POINTS}')
    same(pg.execute('FETCH ALL FROM c').fetchall(), [(JANUARY, JULY)])
    pg.execute('SELECT set_config(%s, %s, true)', ['IntervalStyle', 'postgres'])
    pg.execute('MOVE ABSOLUTE 0 FROM c')
    same(pg.execute('FETCH ALL FROM c').fetchall(), [(JANUARY, JULY)])


SETS = [
    "SET TIME ZONE 'America/New_York'",
    "SET timezone TO 'America/New_York'",
    'SET SESSION "TimeZone" = \'America/New_York\'',
    "SELECT set_config('TimeZone', 'America/New_York', false)",
    "DO $$ BEGIN SET timezone = 'America/New_York'; END $$",
    "SELECT 1; SET TIME ZONE 'America/New_York'",
    "UPDATE pg_settings SET setting = 'America/New_York' WHERE name = 'TimeZone'",
]
THERE = dt.datetime(2023, 12, 31, 18, tzinfo=NEW_YORK)


@pytest.mark.parametrize('how', SETS)
@pytest.mark.parametrize('prepares', [True, False])
@pytest.mark.parametrize('where', ['warsaw', 'greenwich'])
def test_a_session_goes_elsewhere(request, where, prepares, how):
    here = JANUARY if where == 'warsaw' else JANUARY.astimezone(dt.UTC)
    options = {} if prepares else {'statement_cache': 0}
    with closing(sql.connect(url_of(request.getfixturevalue(where)), **options)) as connection:

        def ask(expected):
            same(one(connection, POINTS)[0], expected)
            same(one(connection, f'{POINTS} WHERE %s = 1', [1])[0], expected)
            # what has no zone of its own is in that of the session, also where it is part of the statement
            noon = one(connection, "SELECT timestamptz '2024-01-01 12:00'")[0]
            same(noon, dt.datetime(2024, 1, 1, 12, tzinfo=expected.tzinfo))

        for _ in range(2):
            ask(here)
            connection.execute(how)
            ask(THERE)
            ask(THERE)
            # with the transaction it has never been
            connection.rollback()
            ask(here)
            connection.commit()
            # as its first statement
            connection.execute(how)
            ask(THERE)
            connection.execute('SAVEPOINT a')
            connection.execute("SET LOCAL TIME ZONE 'Asia/Tokyo'")
            ask(THERE.astimezone(TOKYO))
            connection.execute('ROLLBACK TO SAVEPOINT a')
            ask(THERE)
            connection.commit()
            # to stay
            for _ in range(3):
                ask(THERE)
                connection.commit()
            connection.execute("SET LOCAL TIME ZONE 'UTC'")
            ask(THERE.astimezone(dt.UTC))
            connection.execute("SELECT set_config('DateStyle', 'ISO', true)")
            ask(THERE.astimezone(dt.UTC))
            connection.commit()
            ask(THERE)
            connection.execute('RESET TIME ZONE')
            ask(here)
            connection.commit()


def test_the_very_statement_that_goes_elsewhere(greenwich):
    with closing(sql.connect(url_of(greenwich))) as connection:
        for _ in range(3):
            statement = "SELECT set_config('TimeZone', %s, true), timestamptz '2023-12-31 23:00+00'"
            found = one(connection, statement, ['America/New_York'])
            assert found[1] == THERE
            same(one(connection, POINTS)[0], THERE)
            connection.commit()
            same(one(connection, POINTS)[0], THERE.astimezone(dt.UTC))
            connection.commit()


@pytest.mark.parametrize(
    'how',
    [
        'RESET ALL',
        'RESET timezone; RESET datestyle',
        'RESET TIME ZONE; SET datestyle TO DEFAULT',
        'SET TIME ZONE DEFAULT; SET datestyle = DEFAULT',
        'SET TIME ZONE LOCAL; RESET DateStyle',
        'DISCARD ALL',
    ],
)
def test_what_is_reset_is_as_the_server_has_it(warsaw, how):
    options = {'autocommit': how == 'DISCARD ALL', 'search_path': 'pg_catalog', 'statement_timeout': 77}
    with closing(sql.connect(url_of(warsaw), **options)) as connection:
        for _ in range(2):
            connection.execute("SET TIME ZONE 'UTC'")
            connection.execute("SET datestyle TO 'ISO, YMD'")
            connection.execute(how)
            assert show(connection, 'TimeZone') == 'Europe/Warsaw'
            assert show(connection, 'DateStyle') == 'ISO, DMY'
            assert show(connection, 'search_path') == 'pg_catalog'
            assert show(connection, 'statement_timeout') == '77s'
            same(one(connection, POINTS), (JANUARY, JULY))
            connection.commit()
        connection.execute('BEGIN')
        connection.execute('SET LOCAL TIME ZONE DEFAULT')
        assert show(connection, 'TimeZone') == 'Europe/Warsaw'


def test_styles_that_are_not_read(pg):
    """Points in time are the same then, in UTC."""
    for _ in range(3):
        pg.execute("SET datestyle TO 'German'")
        assert one(pg, POINTS) == (JANUARY, JULY)
        pg.commit()
        assert one(pg, POINTS) == (JANUARY, JULY)
        pg.rollback()
        pg.execute("SET LOCAL datestyle TO 'ISO'")
        same(one(pg, POINTS), (JANUARY, JULY))
        pg.commit()
        assert one(pg, POINTS) == (JANUARY, JULY)
        pg.execute('RESET datestyle')
        same(one(pg, POINTS), (JANUARY, JULY))
        pg.commit()


def test_points_that_are_given(pg):
    pg.execute('CREATE TEMPORARY TABLE points (id serial, at timestamptz, shown timestamp)')
    naive, aware = dt.datetime(2024, 1, 1), dt.datetime(2023, 12, 31, 18, tzinfo=NEW_YORK)
    for _ in range(3):
        # what has no zone is in that of the session
        for value in (naive, aware, '2024-01-01', dt.date(2024, 1, 1), JANUARY):
            found = one(pg, 'INSERT INTO points (at, shown) VALUES (%s, %s) RETURNING at, shown', [value, value])
            same(found, (JANUARY, naive))
            assert one(pg, 'SELECT count(*) > 0 FROM points WHERE at = %s AND shown = %s', [value, value]) == (True,)
            same(one(pg, 'SELECT %s::timestamptz', [value]), (JANUARY,))
            same(one(pg, 'SELECT %s::timestamptz[]', [[value, None]]), ([JANUARY, None],))
        pg.commit()
    pg.cursor().executemany('INSERT INTO points (at) VALUES (%s)', [(naive,), (aware,), (None,)] * 100)
    pg.commit()
    assert one(pg, 'SELECT count(*), count(DISTINCT at), max(at) FROM points') == (315, 1, JANUARY)
    same(one(pg, 'SELECT %s', [naive]), (naive,))
    assert one(pg, 'SELECT %s', [aware])[0] == aware


def test_sessions_of_services(bus, warsaw):
    at = urlsplit(POSTGRESQL)
    fields = {'host': at.hostname, 'port': at.port or 5432, 'username': at.username, 'password': at.password or ''}
    crm = bus.sql('CRM', engine='postgresql', db_name=warsaw, **fields)
    crm.run(lambda session: Base.metadata.create_all(session.connection()))
    here = crm.one("SELECT now() AT TIME ZONE 'Europe/Warsaw' AS now")['now']

    def add(session):
        session.add_all([Event(at=dt.datetime(2024, 1, 1), points=[JULY, None]), Event(at=JULY)])
        session.flush()
        for event in session.query(Event):
            # what the server has made by default
            assert event.made.replace(tzinfo=None) == event.shown >= here
            assert event.made.utcoffset() in (dt.timedelta(hours=1), dt.timedelta(hours=2))

    crm.run(add)

    def read(session):
        same(session.scalars(select(Event.at).order_by(Event.id)).all(), [JANUARY, JULY])
        same(session.query(Event.points).order_by(Event.id).first()[0], [JULY, None])
        same(session.execute('SELECT at FROM event ORDER BY id').fetchall()[0][0], JANUARY)
        days = select(func.date_trunc('day', Event.at), func.count()).group_by(text('1')).order_by(text('1'))
        same([tuple(row) for row in session.execute(days)], [(JANUARY, 1), (JULY, 1)])
        stream = session.execute(
            text("SELECT timestamptz '2024-07-01' FROM generate_series(1, 3000)").execution_options(yield_per=100)
        )
        assert [repr(value) for value in stream.scalars()] == [repr(JULY)] * 3000
        return session.execute('SELECT pg_backend_pid()').scalar()

    def leave(session):
        session.execute("SET LOCAL TIME ZONE 'Asia/Tokyo'")
        assert session.query(Event.at).order_by(Event.id).first()[0].tzinfo == TOKYO

    for _ in range(3):
        crm.run(read)
        crm.run(leave)
    same(crm.one('SELECT at FROM event WHERE id = :id', {'id': 1}), {'at': JANUARY})


def test_an_administrator_moves_a_database(admin):
    name = create(admin, timezone='Europe/Warsaw')
    try:
        for there in ('Europe/Warsaw', 'Asia/Tokyo', 'UTC', 'America/New_York'):
            admin.execute(f"ALTER DATABASE {name} SET timezone = '{there}'")
            for _ in range(2):
                with closing(sql.connect(url_of(name))) as connection:
                    assert show(connection, 'TimeZone') == there
        admin.execute(f'ALTER DATABASE {name} RESET timezone')
        with closing(sql.connect(url_of(name))) as connection:
            assert show(connection, 'TimeZone') != 'America/New_York'
    finally:
        admin.execute(f'DROP DATABASE {name} WITH (FORCE)')


def test_a_role_that_has_a_zone_and_one_connection(admin, warsaw):
    role = f'busbar_{uuid.uuid4().hex[:12]}'
    admin.execute(f'CREATE ROLE {role} LOGIN CONNECTION LIMIT 1')
    try:
        for there in ('Asia/Tokyo', 'America/New_York'):
            admin.execute(f"ALTER ROLE {role} IN DATABASE {warsaw} SET timezone = '{there}'")
            admin.execute(f"ALTER ROLE {role} SET datestyle = 'Postgres, YMD'")
            with closing(sql.connect(url_of(warsaw, role))) as connection:
                assert show(connection, 'TimeZone') == there
                assert show(connection, 'DateStyle') == 'ISO, YMD'
            count = 'SELECT count(*) FROM pg_stat_activity WHERE usename = %s'
            while one(admin, count, [role])[0]:
                pass
    finally:
        admin.execute(f'DROP ROLE {role}')
