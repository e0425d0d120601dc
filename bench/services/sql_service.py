"""What part `sql` of `make bench` deploys. The peers do the same work in bench/peers/."""

from contextlib import closing
from time import perf_counter

from sqlalchemy import Boolean, Column, Date, DateTime, Float, Integer, Numeric, String, Text
from sqlalchemy.orm import declarative_base

from zato.server.service import Service

Base = declarative_base()

QUERY = 'SELECT name, city, balance, created FROM customer WHERE id = :id'


class Customer(Base):
    __tablename__ = 'customer'

    id = Column(Integer, primary_key=True)
    name = Column(String(50))
    city = Column(Text)
    balance = Column(Numeric(12, 2))
    score = Column(Float)
    is_active = Column(Boolean)
    born = Column(Date)
    created = Column(DateTime)


class GetCustomer(Service):
    """One row by primary key, as JSON."""

    def handle(self):
        with self.outgoing.sql['Bench'].session() as session:
            row = session.execute(QUERY, {'id': self.request.payload['id']}).one()
        self.response.payload = {
            'name': row.name,
            'city': row.city,
            'balance': float(row.balance),
            'created': row.created.isoformat(),
        }


class LookUp(Service):
    """Looks rows up by primary key over and over, each through a session, and tells how often."""

    def handle(self):
        request = self.request.payload
        seconds, how, number = request['seconds'], request['how'], request['first']
        count, until = 0, perf_counter() + seconds
        while perf_counter() < until:
            for _ in range(20):
                number = number % 10000 + 1
                self.look_up(how, number)
            count += 20
        self.response.payload = {'rate': count / seconds}

    def look_up(self, how, number):
        with self.outgoing.sql['Bench'].session() as session:
            if how == 'get':
                name = session.get(Customer, number).name
            else:
                name = session.execute(QUERY, {'id': number}).one().name
        if name != f'Customer {number}':
            raise AssertionError(name)


class ReadRows(Service):
    """Reads 10,000 rows of eight columns so many times, and tells how many milliseconds that takes."""

    def handle(self):
        taken = []
        with closing(self.outgoing.sql['Bench'].pool.engine.raw_connection()) as connection:
            for _ in range(self.request.payload['times']):
                cursor = connection.cursor()
                began = perf_counter()
                cursor.execute('SELECT id, name, city, balance, score, is_active, born, created FROM customer')
                rows = cursor.fetchall()
                taken.append((perf_counter() - began) * 1e3)
                if len(rows) != 10000 or not isinstance(rows[0], tuple):
                    raise AssertionError(rows[:1])
                cursor.close()
        self.response.payload = {'milliseconds': sorted(taken)[len(taken) // 2]}
