"""What services leave open is rolled back when their call ends, and the log names them."""

import threading
import time
from typing import ClassVar

import pytest
from sqlalchemy.exc import InvalidRequestError

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


class HandsOver(Service):
    """Opens a session that another thread goes on with."""

    ended = threading.Event()
    seen: ClassVar = []

    def handle(self):
        session = self.outgoing.sql['CRM'].session()
        session.execute('SELECT * FROM a').all()
        outlives = self.request.raw_request == b'outlives'
        thread = threading.Thread(target=self.go_on, args=(session, outlives))
        thread.start()
        if outlives:
            HandsOver.thread = thread
        else:
            thread.join()
            session.execute('SELECT * FROM a').all()
            session.close()

    def go_on(self, session, outlives):
        if outlives:
            self.ended.wait(20)
        for _ in range(2 if outlives else 1):
            try:
                session.execute('INSERT INTO a VALUES (1)')
                session.commit()
            except InvalidRequestError as error:
                self.seen.append(str(error))
        with self.outgoing.sql['CRM'].session() as session:
            self.seen.append(session.scalar('SELECT count(*) FROM a'))


def test_another_thread_goes_on_with_a_session(bus, crm, caplog):
    bus.deploy(HandsOver)
    HandsOver.seen.clear()
    bus.call(HandsOver, data_format='')
    assert HandsOver.seen == [1]
    assert crm.execute('SELECT * FROM a') == [{'id': 1}]
    assert LEFT not in caplog.text
    assert in_use(bus) == 0


def test_another_thread_comes_too_late_to_a_session(bus, crm, caplog):
    bus.deploy(HandsOver)
    HandsOver.seen.clear()
    bus.call(HandsOver, b'outlives', data_format='')
    assert LEFT in caplog.text
    HandsOver.ended.set()
    HandsOver.thread.join(20)
    error, again, count = HandsOver.seen
    assert error == again
    assert 'was closed when the call that had opened it ended' in error
    assert count == 0
    assert crm.execute('SELECT * FROM a') == []
    assert in_use(bus) == 0


def test_a_session_that_is_kept_from_call_to_call(bus, crm, caplog):
    kept = []

    def use(service):
        if not kept:
            kept.append(service.outgoing.sql['CRM'].session())
            return kept[0].scalar('SELECT 1')
        with kept[0] as session:
            return session.scalar('SELECT 2')

    assert [bus.run(use), bus.run(use)] == [1, 2]
    assert caplog.text.count(LEFT) == 1
    assert in_use(bus) == 0
