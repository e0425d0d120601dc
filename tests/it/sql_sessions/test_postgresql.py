"""What is written for psycopg2, with PostgreSQL: values of one type where another is expected, JSON, reflection."""

import datetime as dt
import enum
import uuid
from decimal import Decimal

import pytest
from sqlalchemy import (
    Column,
    Date,
    DateTime,
    Enum,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    create_engine,
    func,
    insert,
    inspect,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import declarative_base
from sqlalchemy.types import UserDefinedType
from test_styles import SERVERS, database

Base = declarative_base()


class Mood(enum.Enum):
    ok = 'ok'
    sad = 'sad'


class CaseInsensitive(UserDefinedType):
    cache_ok = True

    def get_col_spec(self):
        return 'CITEXT'


class Reading(Base):
    __tablename__ = 'reading'

    id = Column(Integer, primary_key=True)
    at = Column(DateTime)
    day = Column(Date)
    amount = Column(Numeric)
    mood = Column(Enum(Mood, name='mood'))
    key = Column(UUID(as_uuid=True))
    data = Column(JSONB)
    tags = Column(ARRAY(String))
    name = Column(CaseInsensitive)
    __table_args__ = (Index('reading_lower', text('lower(name::text)')), Index('reading_day', 'day'))


@pytest.fixture
def crm(bus):
    with database('postgresql') as fields:
        crm = bus.sql('CRM', **fields)

        def fill(session):
            session.execute('CREATE EXTENSION citext')
            Base.metadata.create_all(session.connection())
            session.add(
                Reading(
                    at=dt.datetime(2020, 1, 2, 3),
                    day=dt.date(2020, 1, 2),
                    amount=Decimal(7),
                    mood=Mood.sad,
                    key=uuid.UUID(int=3),
                    data={'a': {'b': [1, 'x']}},
                    tags=['a', 'b'],
                    name='Jane',
                )
            )

        crm.run(fill)
        yield crm


def test_text_is_compared_with_anything(crm):
    wanted = [
        Reading.id == '1',
        Reading.id.in_(['1', '2']),
        Reading.at > '2020-01-01',
        Reading.at.between('2020-01-01', '2020-02-01'),
        Reading.day == '2020-01-02',
        Reading.amount > '5',
        Reading.mood == literal('sad'),
        Reading.key == literal(str(uuid.UUID(int=3))),
        Reading.name == literal('JANE'),
        Reading.data.op('@>', is_comparison=True)(literal('{"a": {}}')),
        func.now() > '2020-01-01',
        func.jsonb_set(Reading.data, '{a,c}', '5').op('->')('a').op('->>')('c') == '5',
    ]
    for condition in wanted:
        for condition_ in (condition, ~condition):
            expected = 1 if condition_ is condition else 0
            found = crm.run(lambda session: session.query(Reading).filter(condition_).count())  # noqa: B023
            assert found == expected, str(condition_)
    assert crm.run(lambda session: session.query(Reading).filter_by(id='1').one().amount) == 7
    series = func.generate_series(dt.date(2020, 1, 1), dt.date(2020, 1, 3), '1 day')
    assert len(crm.run(lambda session: session.query(series).all())) == 3


def test_values_are_written_as_text(crm):
    def write(session):
        values = {'amount': '5', 'at': '2020-01-03', 'day': '2020-01-03'}
        session.query(Reading).filter(Reading.id == 1).update(values, synchronize_session=False)
        session.execute(insert(Reading.__table__), [{'name': 'a', 'amount': None}, {'name': 'b', 'amount': 2}])

    crm.run(write)
    found = crm.execute('SELECT day, amount FROM reading WHERE day = :day', {'day': '2020-01-03'})
    assert found == [{'day': dt.date(2020, 1, 3), 'amount': Decimal(5)}]


def test_numbers_that_fit_no_column_are_in_none(crm):
    for number in (2**40, 2**70):
        assert crm.run(lambda session: session.query(Reading).filter(Reading.id == number).count()) == 0  # noqa: B023
        assert crm.run(lambda session: session.query(Reading).filter(Reading.id < number).count()) == 1  # noqa: B023


def test_what_is_grouped_by_may_have_values(crm):
    month = func.date_trunc('month', Reading.at)
    by_month = select(month, func.count())
    expected = [(dt.datetime(2020, 1, 1), 1)]
    twice = func.date_trunc('month', Reading.at)
    assert crm.run(lambda session: session.execute(by_month.group_by(twice).order_by(twice)).all()) == expected
    statement = 'SELECT date_trunc(:a, at), count(*) FROM reading GROUP BY date_trunc(:b, at)'
    params = {'a': 'month', 'b': 'month'}
    assert crm.run(lambda session: session.execute(statement, params).fetchall()) == expected


def test_json_is_read_once(crm):
    stored = {'a': {'b': [1, 'x']}}

    def read(session):
        for statement, expected in (
            ('SELECT data FROM reading', stored),
            ("SELECT data -> 'a' FROM reading", stored['a']),
            ('SELECT array_agg(data) FROM reading', [stored]),
            ('SELECT row_to_json(x) FROM (SELECT 1 AS a) x', {'a': 1}),
            ("SELECT jsonb_build_object('a', 'b')", {'a': 'b'}),
            ("SELECT to_jsonb('x'::text)", 'x'),
        ):
            assert session.execute(statement).scalar() == expected
        # SQLAlchemy's own way
        session.connection()
        assert session.execute('SELECT data FROM reading').scalar() == stored
        assert session.query(Reading.data).scalar() == stored
        assert session.query(Reading.data['a']['b'][1]).scalar() == 'x'
        assert session.query(Reading.data['a']['b'][1].astext).scalar() == 'x'
        assert session.query(func.array_agg(Reading.data, type_=ARRAY(JSONB))).scalar() == [stored]
        # text that a user says to be JSON
        assert session.query(func.concat('{"a": ', 1, '}', type_=JSONB)).scalar() == {'a': 1}
        session.query(Reading).one().data = 'a string'
        session.flush()
        session.expire_all()
        assert session.query(Reading).one().data == 'a string'

    crm.run(read)


def test_a_json_deserializer_of_ones_own():
    own = f'postgresql+busbar://{SERVERS["postgresql"].partition("://")[2]}'
    engine = create_engine(own, json_deserializer=lambda given: ('read', given))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT '[1]'::jsonb")).scalar() == ('read', '[1]')
        typed = text("SELECT '[1]'::jsonb AS a, '[2]' AS b").columns(a=JSONB, b=JSONB)
        assert connection.execute(typed).one() == (('read', '[1]'), ('read', '[2]'))
    engine.dispose()


def test_reflection(crm):
    def reflect(session):
        found = inspect(session.get_bind())
        # 1.4 leaves out those of expressions
        assert 'reading_day' in {index['name'] for index in found.get_indexes('reading')}
        Base.metadata.create_all(session.get_bind())
        reflected = Table('reading', MetaData(), autoload_with=session.get_bind())
        assert 'data' in reflected.c
        # of a type that is known to nobody but the server; without rows, too
        for condition in ('', ' AND false'):
            rows = session.execute(f'SELECT indexprs, indexrelid FROM pg_index WHERE indexprs IS NOT NULL{condition}')
            assert rows.keys() == ['indexprs', 'indexrelid']
            assert all(isinstance(row[0], str) for row in rows)

    crm.run(reflect)


def test_errors_say_more_by_the_names_of_psycopg2(crm):
    def violate(session):
        session.execute('ALTER TABLE reading ADD CONSTRAINT small CHECK (amount < 100)')
        with pytest.raises(IntegrityError) as caught:
            session.execute('UPDATE reading SET amount = 1000')
        session.rollback()
        return caught.value.orig.diag

    said = crm.run(violate)
    assert (said.sqlstate, said.table_name, said.constraint_name) == ('23514', 'reading', 'small')
    assert 'DETAIL' not in said.message_primary
    assert said.message_detail.startswith('Failing row')
    assert said.message_hint is None
