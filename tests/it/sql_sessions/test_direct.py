"""Queries given as text: they go to the driver, and nobody can tell but by the time that it takes."""

import os
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Column, Integer, String, bindparam, event, exc, text
from sqlalchemy.orm import declarative_base

from busbar.sql.direct import DirectResult
from busbar.sql.session import Session

Base = declarative_base()
ALL = 'SELECT id, name FROM customer ORDER BY id'
#: Options are SQLAlchemy's.
PLAIN = {'plain': True}


class Customer(Base):
    __tablename__ = 'customer'

    id = Column(Integer, primary_key=True)
    name = Column(String(50))


def make(bus, name):
    crm = bus.sql(name)
    crm.run(lambda session: Base.metadata.create_all(session.connection()))
    crm.run(lambda session: session.add_all([Customer(id=1, name='Jane'), Customer(id=2, name='John')]))
    return crm


@pytest.fixture
def crm(bus):
    return make(bus, 'CRM')


def in_use(crm):
    return crm._run(lambda service: service.outgoing.sql['CRM'].pool.stats()['in_use'])


def test_results_are_those_of_sqlalchemy(crm):
    ways = [
        lambda result: result.all(),
        lambda result: result.first(),
        lambda result: result.scalar(),
        lambda result: result.scalars().all(),
        lambda result: result.mappings().all(),
        lambda result: result.columns('name').all(),
        lambda result: result.unique().all(),
        lambda result: list(result),
        lambda result: list(result.keys()),
        lambda result: list(result.yield_per(1).partitions()),
        lambda result: (result.fetchone(), result.fetchmany(5), result.fetchmany(5), result.fetchall()),
        lambda result: (next(result), result.fetchall(), result.fetchone(), result.closed),
        lambda result: (result.fetchall(), result.rowcount, result.returns_rows, result.closed),
        lambda result: result.freeze()().all(),
        lambda result: [dict(row) for row in result],
        lambda result: (result.close(), result.closed),
    ]
    for way in ways:
        for statement in (ALL, text(ALL)):

            def run(session, **options):
                result = session.execute(statement, **options)  # noqa: B023
                return type(result), way(result)  # noqa: B023

            direct = crm.run(run)
            plain = crm.run(lambda session: run(session, execution_options=PLAIN))
            assert direct[0] is DirectResult
            assert plain[0] is not DirectResult
            assert direct[1] == plain[1]


def test_errors_are_those_of_sqlalchemy(crm):
    statements = [
        ('SELECT * FROM nothing', None),
        ('SELECT * FROM customer WHERE id = :id', None),
        ('SELECT * FROM customer WHERE id = :id', {'other': 1}),
        ('SELECT * FROM customer WHERE id = :id', {'id': object()}),
        ('SELECT id, id FROM customer', None),
        ('SELECT id FROM customer WHERE id < 0', None),
    ]
    for statement, params in statements:
        raised = []
        for options in ({}, {'execution_options': PLAIN}):

            def run(session):
                with pytest.raises(exc.SQLAlchemyError) as error:
                    _ = session.execute(statement, params, **options).one()['id']  # noqa: B023
                raised.append(error.value)  # noqa: B023
                # and the session is of use afterwards
                session.rollback()
                assert session.execute(ALL).first() == (1, 'Jane')

            crm.run(run)
        direct, plain = raised
        assert type(direct) is type(plain)
        assert str(direct) == str(plain)
        assert getattr(direct, 'params', None) == getattr(plain, 'params', None)
        assert type(getattr(direct, 'orig', None)) is type(getattr(plain, 'orig', None))
    assert in_use(crm) == 0

    def closed(session):
        result = session.execute(ALL)
        result.close()
        with pytest.raises(exc.ResourceClosedError):
            result.all()

    crm.run(closed)


def test_the_rest_of_the_transaction_is_on_the_same_connection(crm):
    def in_one(session):
        assert session.execute(ALL).first() == (1, 'Jane')
        assert in_use(crm) == 1
        session.execute('INSERT INTO customer (id, name) VALUES (3, :name)', {'name': 'Jim'})
        assert session.execute(ALL).all()[-1] == (3, 'Jim')
        assert session.get(Customer, 3).name == 'Jim'
        assert in_use(crm) == 1
        assert session.in_transaction()
        session.rollback()
        assert session.execute(ALL).all()[-1] == (2, 'John')

    crm.run(in_one)
    assert in_use(crm) == 0


def test_parameters_of_which_more_is_known_are_left_to_sqlalchemy(crm):
    statement = text('SELECT id FROM customer WHERE id IN :ids ORDER BY id')
    spread = statement.bindparams(bindparam('ids', expanding=True))
    assert crm.run(lambda session: session.execute(spread, {'ids': [1, 2]}).scalars().all()) == [1, 2]
    valued = text('SELECT name FROM customer WHERE id = :id').bindparams(id=2)
    assert crm.run(lambda session: session.execute(valued).scalar()) == 'John'
    assert crm.run(lambda session: session.execute(text("SELECT '\\:id' WHERE 1 = :one"), {'one': 1}).scalar()) == ':id'
    typed = text('SELECT 1 AS one').columns(one=String)
    assert crm.run(lambda session: session.execute(typed).one()) == (1,)


def test_what_is_written_by_a_query_is_committed_or_not(bus):
    at = urlsplit(os.environ.get('BUSBAR_TEST_POSTGRESQL', 'postgresql://postgres@127.0.0.1:5432/test'))
    where = {'host': at.hostname, 'port': at.port, 'db_name': at.path[1:], 'username': at.username}
    crm = bus.sql('CRM', engine='postgresql', **where)
    table = f'busbar_direct_{os.getpid()}'
    crm.execute(f'DROP TABLE IF EXISTS {table}')
    crm.execute(f'CREATE TABLE {table} (id serial)')
    try:
        sequence = f"SELECT setval('{table}_id_seq', :value)"
        crm.run(lambda session: session.execute(sequence, {'value': 7}).one())
        assert crm.one(f'SELECT last_value FROM {table}_id_seq') == {'last_value': 7}
        lock = 'SELECT pg_try_advisory_xact_lock(42) AS got'
        with_lock = crm.run(lambda session: (session.scalar(lock), crm.one(lock), session.rollback(), crm.one(lock)))
        assert with_lock == (True, {'got': False}, None, {'got': True})

        # a savepoint within what a query began
        def nested(session):
            session.execute(f'SELECT * FROM {table}').all()
            with session.begin_nested():
                session.execute(f'INSERT INTO {table} VALUES (1)')
            with pytest.raises(exc.InvalidRequestError):
                session.begin()

        crm.run(nested)
        assert crm.execute(f'SELECT * FROM {table}') == [{'id': 1}]
        # what makes a table is no query
        crm.run(lambda session: session.execute(f'SELECT id INTO {table}_2 FROM {table}'))
        assert crm.execute(f'SELECT * FROM {table}_2') == [{'id': 1}]
    finally:
        crm.execute(f'DROP TABLE IF EXISTS {table}, {table}_2')


def test_a_session_that_has_ended_gives_its_connection_back(crm):
    def ended(session):
        for end in (session.commit, session.rollback, session.close):
            session.execute(ALL).first()
            assert in_use(crm) == 1
            end()
            assert in_use(crm) == 0
            # once more, and before anything was read
            end()

    crm.run(ended)


def test_who_listens_sees_everything(crm):
    seen = []
    engine = crm.run(lambda session: session.get_bind())

    def of_engine(connection, cursor, statement, *_):
        seen.append(statement)

    def of_session(state):
        seen.append(str(state.statement))

    for target, name, listener in (
        (engine, 'before_cursor_execute', of_engine),
        (Session, 'do_orm_execute', of_session),
    ):
        event.listen(target, name, listener)
        try:
            crm.run(lambda session: session.execute(ALL).all())
        finally:
            event.remove(target, name, listener)
        assert seen == [ALL]
        seen.clear()
        # and once nobody does any more, nothing is left of it
        assert crm.run(lambda session: type(session.execute(ALL))) is DirectResult


def test_who_listens_to_transactions_hears_what_sqlalchemy_tells(crm):
    names = [
        'after_transaction_create',
        'after_transaction_end',
        'after_soft_rollback',
        'after_begin',
        'after_rollback',
        'before_commit',
    ]

    def heard_of(name, on, **options):
        heard = []

        def listener(session, *arguments):
            heard.append([type(session), session.in_transaction(), *(type(argument) for argument in arguments)])

        def run(session):
            for end in (session.rollback, session.commit, session.close):
                session.execute(ALL, **options).all()
                end()

        event.listen(on, name, listener)
        try:
            crm.run(run)
        finally:
            event.remove(on, name, listener)
        return heard

    for name in names:
        for on in (Session, Session.__mro__[1]):
            plain = heard_of(name, on, execution_options=PLAIN)
            assert plain
            assert heard_of(name, on) == plain
    # and nothing is left of it
    assert crm.run(lambda session: type(session.execute(ALL))) is DirectResult


def test_who_begins_to_listen_in_the_middle_hears_of_the_end(crm):
    heard = []

    def listener(session, *_):
        heard.append(session)

    def run(session):
        for name, end in (
            ('after_soft_rollback', session.rollback),
            ('after_transaction_end', session.close),
            ('after_commit', session.commit),
        ):
            session.execute(ALL).all()
            event.listen(session if name == 'after_commit' else Session, name, listener)
            try:
                end()
            finally:
                event.remove(session if name == 'after_commit' else Session, name, listener)
            assert heard == [session]
            heard.clear()

    crm.run(run)
    assert in_use(crm) == 0
