"""What an editor has to know. Never run: mypy reads it, and fails where ``self.`` would not complete."""

from __future__ import annotations

from typing import assert_type

from zato.server.service import Int, Service


class Typed(Service):
    """Uses everything that services see of the server."""

    class SimpleIO:
        """Declared input and output."""

        input = Int('cust_id'), '-note'
        output = 'name'

    def handle(self) -> None:
        """Uses it."""
        self.identity()
        self.reads()
        self.calls()
        self.stores()
        self.answers()

    def identity(self) -> None:
        """Who and where it is."""
        assert_type(self.cid, str)
        assert_type(self.name, str)
        assert_type(self.impl_name, str)
        assert_type(self.data_format, str)
        assert_type(self.server.name, str)
        assert_type(self.channel.name, str)
        assert_type(self.channel.type, str)
        assert_type(self.channel.security.username, str | None)
        self.logger.info('Request %s in %s', self.cid, self.environ.get('x'))

    def reads(self) -> None:
        """What it was called with."""
        self.logger.info('%s', self.request.payload['cust_id'])
        self.logger.info('%s', self.request.input.cust_id)
        self.request.input.require_any('cust_id', 'note')
        assert_type(self.request.http.method, str)
        assert_type(self.request.http.path, str)
        self.logger.info('%s', self.request.http.GET.get('a'))
        self.logger.info('%s', self.request.http.POST.get('a'))
        self.logger.info('%s', self.request.http.params['id'])
        assert_type(self.request.headers['x-api-key'], str)
        self.logger.info('%s', self.request.raw_request)

    def calls(self) -> None:
        """Other services and systems."""
        self.invoke('crm.get', {'id': 1}, as_bunch=True)
        self.invoke(Typed, cust_id=7)
        crm = self.outgoing.plain_http.get('CRM')
        crm.conn.ping(self.cid)
        for item in (self.outgoing.plain_http['CRM'], self.out.rest['CRM'], crm):
            response = item.conn.post(self.cid, {'a': 1}, params={'id': 1}, headers={'X-A': 'b'})
            assert_type(response.status_code, int)
            assert_type(response.ok, bool)
            assert_type(response.text, str)
            assert_type(response.content, bytes)
            self.logger.info('%s %s %s', response.data, response.json(), response.headers['Content-Type'])
            item.conn.get(self.cid, {'id': 1})
            item.conn.send(self.cid, 'text')
            item.conn.put(self.cid, b'bytes')
            item.conn.patch(self.cid, ['list'])
            item.conn.delete(self.cid)
            item.conn.options(self.cid)
        self.outgoing.zmq.send('message', 'Fraud detection')
        self.outgoing.zmq['Fraud detection'].send('message')

    def stores(self) -> None:
        """The key/value database."""
        conn = self.kvdb.conn
        assert_type(conn.get('key'), str | None)
        assert_type(conn.lrange('key', 0, -1), list[str])
        conn.set('key', 'value', ex=60)
        conn.incr('count')
        conn.expire('key', 60)
        conn.hset('hash', 'field', 'value')
        assert_type(conn.hgetall('hash'), dict[str, str])
        conn.lpush('list', 'a', 'b')
        conn.sadd('set', 'a')
        conn.zadd('sorted', {'a': 1.0})
        conn.publish('topic', 'message')
        conn.execute_command('PING')
        conn.eval('return 1', 0)
        for key in conn.scan_iter('prefix:*'):
            assert_type(key, str)
        with conn.pipeline() as pipeline:
            pipeline.set('a', '1')
            self.logger.info('%s', pipeline.execute())

    def answers(self) -> None:
        """What it answers."""
        self.response.payload.name = 'Ann'
        self.response.payload.append({'name': 'Ann'})
        self.response.payload[:] = [{'name': 'Ann'}]
        self.response.payload = {'name': 'Ann'}
        self.response.status_code = 201
        self.response.content_type = 'application/json'
        self.response.headers['X-A'] = 'b'
