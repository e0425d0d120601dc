"""What services leave open is rolled back when their call ends, and the log names them."""

import threading
import time

import pytest

from busbar.background import spawn
from zato.server.service import Service

LEFT = 'a session of SQL connection `CRM` was left open by'


@pytest.fixture
def crm(bus):
    crm = bus.sql('CRM')
    crm.execute('CREATE TABLE a (id INTEGER)')
    return crm


def in_use(bus):
    return bus.run(lambda service: service.outgoing.sql['CRM'].pool.stats()['in_use'])


def wait_until(condition):
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


class Forgets(Service):
    def handle(self):
        session = self.outgoing.sql['CRM'].session()
        session.execute('INSERT INTO a VALUES (1)')
        if self.request.raw_request == b'raise':
            raise ValueError('no')
        self.response.payload = 'done'


@pytest.mark.parametrize('sent', [b'', b'raise'])
def test_handle(bus, crm, caplog, sent):
    bus.deploy(Forgets)
    bus.call(Forgets, sent, data_format='')
    assert crm.execute('SELECT * FROM a') == []
    assert in_use(bus) == 0
    assert f'{LEFT} service `test-left-open.forgets`' in caplog.text


class Invokes(Service):
    def handle(self):
        with self.outgoing.sql['CRM'].session() as session:
            session.execute('SELECT * FROM a')
            self.invoke(Forgets.get_name())
            # its own session is still in use
            assert session.in_transaction()
            session.execute('SELECT * FROM a')


def test_invoked(bus, crm, caplog):
    bus.deploy(Forgets, Invokes)
    bus.call(Invokes)
    assert crm.execute('SELECT * FROM a') == []
    assert in_use(bus) == 0
    assert caplog.text.count(LEFT) == 1
    assert 'forgets' in caplog.text


class Streams(Service):
    def handle(self):
        session = self.outgoing.sql['CRM'].session()
        self.response.content_type = 'text/plain'
        self.response.payload = (f'{row.id}\n' for row in session.execute('SELECT * FROM a ORDER BY id'))


def test_stream(bus, crm, caplog):
    crm.execute('INSERT INTO a VALUES (:id)', [{'id': number} for number in range(3000)])
    bus.deploy(Streams)
    answer = bus.call(Streams, data_format='')
    assert answer.text.split() == [str(number) for number in range(3000)]
    # its last piece is here before the service is done with
    wait_until(lambda: in_use(bus) == 0)
    assert f'{LEFT} service `test-left-open.streams`' in caplog.text


class InBackground(Service):
    go_on = threading.Event()
    found = None

    def handle(self):
        self.work()

    def work(self):
        session = self.outgoing.sql['CRM'].session()
        session.execute('INSERT INTO a VALUES (1)')
        self.go_on.wait(10)
        InBackground.found = session.scalar('SELECT count(*) FROM a')


def test_background(bus, crm, caplog):
    bus.deploy(InBackground)
    task = bus.run(lambda service: spawn(service.new_instance(InBackground.get_name()).work))
    # the call has ended, what runs in the background has not
    InBackground.go_on.set()
    task.get(timeout=10)
    assert InBackground.found == 1
    assert in_use(bus) == 0
    assert f'{LEFT} what ran in the background' in caplog.text


def test_closed_sessions_are_no_warning(bus, crm, caplog):
    def close(service):
        session = service.outgoing.sql['CRM'].session()
        session.execute('SELECT * FROM a')
        session.close()
        with service.outgoing.sql['CRM'].session() as session:
            session.execute('SELECT * FROM a')
        session.execute('SELECT * FROM a')
        session.commit()

    bus.run(close)
    assert LEFT not in caplog.text
    assert in_use(bus) == 0
