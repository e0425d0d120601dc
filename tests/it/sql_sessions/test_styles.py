"""Sessions of `self.outgoing.sql`, in the styles of SQLAlchemy 1.3, 1.4 and 2."""

import os
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, create_engine, inspect, select, text
from sqlalchemy.dialects import registry
from sqlalchemy.orm import declarative_base, relationship

from busbar import sql
from zato.common.exception import Inactive
from zato.server.service import Int, Service

Base = declarative_base()
SERVERS = {
    'postgresql': os.environ.get('BUSBAR_TEST_POSTGRESQL', 'postgresql://postgres@127.0.0.1:5432/test'),
    'mysql': os.environ.get('BUSBAR_TEST_MYSQL', 'mysql://root@127.0.0.1:3306/test'),
}


class Customer(Base):
    __tablename__ = 'customer'

    id = Column(Integer, primary_key=True)
    name = Column(String(50))
    orders = relationship('Order', order_by='Order.id')


class Order(Base):
    __tablename__ = 'customer_order'

    id = Column(Integer, primary_key=True)
    customer_id = Column(ForeignKey('customer.id'))
    total = Column(Integer)


@contextmanager
def database(engine):
    """The fields of a connection to an empty database of the test's own."""
    if engine == 'sqlite':
        yield {}
        return
    at, name = urlsplit(SERVERS[engine]), f'busbar_styles_{os.getpid()}'
    with closing(sql.connect(SERVERS[engine], autocommit=True)) as admin:
        admin.execute(f'CREATE DATABASE {name}')
        yield {
            'engine': engine,
            'host': at.hostname,
            'port': at.port,
            'username': at.username,
            'password': at.password or '',
            'db_name': name,
        }
        admin.execute(f'DROP DATABASE {name}' + (' WITH (FORCE)' if engine == 'postgresql' else ''))


@pytest.fixture(params=['sqlite', 'postgresql', 'mysql'])
def engine(request):
    return request.param


@pytest.fixture
def crm(bus, engine):
    with database(engine) as fields:
        crm = bus.sql('CRM', **fields)

        def fill(session):
            for customer in (Customer(name='Jane', orders=[Order(total=5), Order(total=7)]), Customer(name='50% :off')):
                session.add(customer)
                session.flush()

        crm.run(lambda session: Base.metadata.create_all(session.connection()))
        crm.run(fill)
        yield crm


def test_rows(crm):
    def rows(session):
        row = session.execute('SELECT id, name FROM customer WHERE id = :id', {'id': 1}).fetchone()
        assert (row[0], row['name'], row.name) == (1, 'Jane', 'Jane')
        assert row == (1, 'Jane')
        assert tuple(row) == (1, 'Jane')
        assert row.keys() == ['id', 'name']
        assert row.values() == [1, 'Jane']
        assert row.items() == [('id', 1), ('name', 'Jane')]
        assert dict(row) == {'id': 1, 'name': 'Jane'}
        assert row[:1] == (1,)
        number, name = row
        assert (number, name, len(row)) == (1, 'Jane', 2)
        with pytest.raises(KeyError):
            row['nothing']
        with pytest.raises(AttributeError):
            _ = row.nothing
        # as in 1.3, rows of queries can be written
        row = session.query(Customer.id, Customer.name).filter_by(id=2).one()
        row[1] = 'written'
        assert (row.name, row['name'], row[1], list(row)) == ('written', 'written', 'written', [2, 'written'])
        assert row.get_value() == {'id': 2, 'name': 'written'}
        with pytest.raises(AttributeError, match='has no column `nothing`'):
            row.nothing = 1

    crm.run(rows)


def test_statements(crm):
    def statements(session):
        everything = 'SELECT * FROM customer ORDER BY id'
        assert [row.name for row in session.execute(everything)] == ['Jane', '50% :off']
        assert session.execute(everything).first() == (1, 'Jane')
        assert session.execute('SELECT count(*) FROM customer').scalar() == 2
        assert session.scalar('SELECT name FROM customer WHERE id = :id', {'id': 1}) == 'Jane'
        assert session.scalars('SELECT id FROM customer ORDER BY id').all() == [1, 2]
        assert session.execute(everything).mappings().first() == {'id': 1, 'name': 'Jane'}
        result = session.execute('UPDATE customer SET name = :name', {'name': 'all'})
        assert result.rowcount == 2
        session.rollback()
        session.execute(
            'INSERT INTO customer (id, name) VALUES (:id, :name)', [{'id': 8, 'name': 'a'}, {'id': 9, 'name': 'b'}]
        )
        found = session.execute("SELECT '12:30', '100%' WHERE 1 = :one", {'one': 1}).one()
        assert found == ('12:30', '100%')
        # 2.0
        assert session.execute(select(Customer.name).where(Customer.id == 8)).scalar_one() == 'a'
        assert session.execute(text('SELECT 1')).scalar() == 1

    crm.run(statements)


def test_orm(crm):
    def orm(session):
        customer = session.query(Customer).filter(Customer.name == 'Jane').one()
        assert [order.total for order in customer.orders] == [5, 7]
        assert session.query(Order).count() == 2
        assert session.query(Customer.name, Order.total).join(Order).all() == [('Jane', 5), ('Jane', 7)]
        added = Customer(name='new')
        session.add(added)
        session.flush()
        assert added.id == 3
        with session.begin_nested():
            session.add(Customer(name='nested'))
        session.rollback()
        assert session.query(Customer).count() == 2
        session.delete(customer.orders[0])
        session.commit()
        assert session.query(Order).count() == 1
        assert session.scalars(select(Customer).order_by(Customer.id)).first().name == 'Jane'

    crm.run(orm)


def test_raw_connection_and_reflection(crm, engine):
    mark = '?' if engine == 'sqlite' else '%s'

    def raw(session):
        connection = session.get_bind().raw_connection()
        with closing(connection), closing(connection.cursor()) as cursor:
            cursor.execute(f'SELECT name FROM customer WHERE id = {mark}', (1,))
            assert cursor.fetchall() == [('Jane',)]
        found = inspect(session.get_bind())
        assert {column['name'] for column in found.get_columns('customer')} == {'id', 'name'}
        assert found.get_pk_constraint('customer_order')['constrained_columns'] == ['id']
        assert [key['referred_table'] for key in found.get_foreign_keys('customer_order')] == ['customer']
        # MariaDB has an index for a foreign key
        assert [index['column_names'] for index in found.get_indexes('customer_order')] in ([], [['customer_id']])
        assert found.get_indexes('customer') == []
        reflected = Table('customer_order', MetaData(), autoload_with=session.get_bind())
        assert reflected.c.keys() == ['id', 'customer_id', 'total']

    crm.run(raw)


def test_connections_and_engines_take_text(crm, engine):
    mark, named = ('?', ':name') if engine == 'sqlite' else ('%s', '%(name)s')
    one = f'SELECT id, name FROM customer WHERE name = {mark}'

    def connections(session):
        connection = session.connection()
        assert connection.execute(one, ('Jane',)).fetchone()['name'] == 'Jane'
        assert connection.execute(one, 'Jane').first().items() == [('id', 1), ('name', 'Jane')]
        if engine != 'sqlite':
            assert connection.execute(f'SELECT id FROM customer WHERE name = {named}', name='Jane').scalar() == 1
            assert connection.execute(f'SELECT id FROM customer WHERE name = {named}', {'name': 'Jane'}).scalar() == 1
        insert = f'INSERT INTO customer (name) VALUES ({mark})'
        assert connection.execute(insert, [('a',), ('b',)]).rowcount == 2
        connection.execute(insert, ('c',), ('d',))
        connection.execute(Customer.__table__.insert(), {'name': 'e'})
        connection.execute(Customer.__table__.insert(), {'name': 'f'}, {'name': 'g'})
        connection.execute(Customer.__table__.insert(), name='h')
        found = connection.execute(select(Customer.name).where(Customer.id > 2).order_by(Customer.name)).fetchall()
        assert [row['name'] for row in found] == list('abcdefgh')
        assert connection.scalar('SELECT count(*) FROM customer') == 10

    crm.run(connections)

    def engines(session):
        made = session.get_bind()
        assert made.execute(one, 'Jane').fetchall()[0]['id'] == 1
        assert made.execute(f'UPDATE customer SET name = {mark} WHERE id = 1', 'Joan').rowcount == 1
        assert [row.name for row in made.execute(select(Customer.name).order_by(Customer.id).limit(2))] == [
            'Joan',
            '50% :off',
        ]
        assert made.scalar('SELECT name FROM customer WHERE id = 1') == 'Joan'

    crm.run(engines)
    assert crm._run(lambda service: service.outgoing.sql['CRM'].pool.stats()['in_use']) == 0


def test_subtransactions(crm):
    def inner(session, name):
        with session.begin(subtransactions=True):
            session.query(Customer).filter(Customer.id == 1).one().name = name
            if name == 'wrong':
                raise ValueError(name)

    def outer(session):
        session.execute('SELECT 1').first()
        inner(session, 'inner')
        assert session.in_transaction()
        session.commit()
        session.query(Customer).filter(Customer.id == 2).one().name = 'lost'
        session.flush()
        with pytest.raises(ValueError, match='wrong'):
            inner(session, 'wrong')
        session.rollback()

    crm.run(outer)
    assert [row['name'] for row in crm.execute('SELECT name FROM customer ORDER BY id')] == ['inner', '50% :off']


class Answers(Service):
    class SimpleIO:
        output_optional = Int('id'), 'name'

    def handle(self):
        with self.outgoing.sql['CRM'].session() as session:
            if self.request.raw_request == b'one':
                self.response.payload = session.get(Customer, 1)
            elif self.request.raw_request == b'row':
                self.response.payload = session.query(Customer.id, Customer.name).first()
            elif self.request.raw_request == b'written':
                row = session.query(Customer.id, Customer.name).first()
                row[1] = 'written'
                self.response.payload = row
            else:
                self.response.payload[:] = session.query(Customer).order_by(Customer.id)


def test_payloads(bus, crm):
    bus.deploy(Answers)
    jane = {'id': 1, 'name': 'Jane'}
    for sent, expected in [
        (b'one', jane),
        (b'row', jane),
        (b'written', {'id': 1, 'name': 'written'}),
        (b'all', [jane, {'id': 2, 'name': '50% :off'}]),
    ]:
        assert bus.call(Answers, sent, headers={'Content-Type': 'text/plain'}, data_format='').json() in (
            expected,
            {'response': expected},
        )


def test_one_statement(bus, crm, engine):
    def face(service):
        sql = service.outgoing.sql['CRM']
        assert sql.execute('SELECT id, name FROM customer WHERE id = :id', {'id': 1}) == [{'id': 1, 'name': 'Jane'}]
        assert sql.execute('UPDATE customer SET name = :name WHERE id = 2', {'name': 'b'}) == []
        assert sql.one('SELECT name FROM customer WHERE id = 2') == {'name': 'b'}
        assert sql.one_or_none('SELECT name FROM customer WHERE id = 7') is None
        with pytest.raises(Exception, match='one row was expected, and there are 2'):
            sql.one('SELECT name FROM customer')
        assert 0 <= sql.ping() < 10
        assert 0 <= sql.pool.ping({}) < 10
        assert sql.pool.engine.dialect.name == engine
        assert service.out.sql.get('CRM').name == 'CRM'
        assert 'CRM' in service.outgoing.sql
        assert 'nothing' not in service.outgoing.sql
        assert list(service.outgoing.sql) == ['CRM']

    bus.run(face)


def test_unknown_and_inactive(bus, tmp_path):
    with pytest.raises(KeyError, match='nothing'):
        bus.run(lambda service: service.outgoing.sql['nothing'])
    with pytest.raises(KeyError, match='nothing'):
        bus.run(lambda service: service.outgoing.sql.get('nothing').session())
    file = tmp_path / 'paused.yaml'
    file.write_text('outgoing_sql:\n  - {name: Paused, engine: sqlite, db_name: paused.sqlite, is_active: false}\n')
    bus.enmasse(file)
    with pytest.raises(Inactive, match='Paused'):
        bus.run(lambda service: service.outgoing.sql['Paused'])
    assert bus.run(lambda service: 'Paused' in service.outgoing.sql)


def test_engine_of_another_driver(bus, tmp_path):
    registry.register('foreign.pysqlite', 'sqlalchemy.dialects.sqlite.pysqlite', 'dialect')
    foreign = bus.sql('Foreign', engine='foreign+pysqlite', db_name=str(tmp_path / 'foreign.sqlite'), pool_size=2)
    foreign.execute('CREATE TABLE a (id INTEGER)')
    foreign.execute('INSERT INTO a VALUES (:id)', [{'id': 1}, {'id': 2}])
    assert foreign.run(lambda session: session.execute('SELECT * FROM a').fetchall()[1].items()) == [('id', 2)]
    assert bus.run(lambda service: service.outgoing.sql['Foreign'].ping()) >= 0
    missing = bus.sql('Missing', engine='nosuch+driver', host='127.0.0.1', db_name='x')
    with pytest.raises(ImportError, match='`Missing` needs the driver of `nosuch\\+driver`'):
        missing.execute('SELECT 1')


def test_engines_of_ones_own(tmp_path):
    engine = create_engine(f'sqlite+busbar:///{tmp_path}/own.sqlite')
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(Customer.__table__.insert(), [{'name': 'a'}, {'name': 'b'}])
    with engine.connect() as connection:
        assert connection.execute(select(Customer.name)).scalars().all() == ['a', 'b']
    engine.dispose()


def test_a_savepoint_may_be_the_first_of_a_transaction(crm):
    def save(session):
        with session.begin_nested():
            session.add(Order(total=1))
        session.rollback()
        with session.begin_nested():
            session.add(Order(total=2))
        session.commit()
        session.execute(text('SAVEPOINT mine'))
        session.execute(text('INSERT INTO customer_order (total) VALUES (3)'))
        session.execute(text('ROLLBACK TO SAVEPOINT mine'))
        session.commit()

    crm.run(save)
    assert crm.one('SELECT count(*) AS count, max(total) AS most FROM customer_order WHERE total < 5') == {
        'count': 1,
        'most': 2,
    }


def test_inserts_say_how_many_rows_they_made(crm):
    order = Order.__table__

    def insert(session):
        counts = [
            session.execute(order.insert().values(total=1)).rowcount,
            session.execute(order.insert().values([{'total': 2}, {'total': 3}])).rowcount,
            session.execute(
                order.insert().from_select(['total'], select(order.c.total).where(order.c.total < 4))
            ).rowcount,
            session.execute(order.delete().where(order.c.total < 4)).rowcount,
        ]
        session.rollback()
        return counts

    assert crm.run(insert) == [1, 2, 3, 6]


def test_rows_may_be_fetched_before_they_are_changed(crm):
    def change(session):
        orders = session.query(Order).filter(Order.total == 5)
        changed = orders.update({'total': 6}, synchronize_session='fetch')
        return changed, session.query(Order).filter(Order.total > 5).delete(synchronize_session='fetch')

    assert crm.run(change) == (1, 2)


def test_engines_run_inserts(crm):
    def insert(session):
        engine = session.get_bind()
        session.close()
        made = engine.execute(Order.__table__.insert().values(total=1)).inserted_primary_key
        engine.execute(Order.__table__.insert(), {'total': 2})
        engine.execute(Order.__table__.insert(), total=3)
        return tuple(made)

    assert crm.run(insert) == (3,)
    assert crm.one('SELECT count(*) AS count FROM customer_order') == {'count': 5}
