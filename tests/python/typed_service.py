"""What an editor has to know. Never run: mypy and pyright read it, and fail where ``self.`` would not complete.

``test_typed_service.py`` sees to it that every public name on ``self`` is used here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, assert_type

from bunch import Bunch
from zato.common.api import SMTPMessage
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
        self.waits()
        self.sends()
        self.remembers()

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
        assert_type(self.chan.data_format, str)
        assert_type(self.transport, str)
        assert_type(self.in_reply_to, str | None)
        assert_type(self.job_type, str)
        assert_type(self.usage, int)
        assert_type(self.invocation_time, datetime)
        assert_type(self.handle_return_time, datetime | None)
        assert_type(self.processing_time_raw, timedelta | None)
        assert_type(self.processing_time, int | None)
        assert_type(self.environ, Bunch)
        assert_type(self.wsgi_environ, dict[str, Any])
        assert_type(self.get_name(), str)
        assert_type(self.get_impl_name(), str)
        assert_type(self.invokes, list[str])
        assert_type(self.call_hooks, bool)
        assert_type(self.schema, str)
        assert_type(self.slow_threshold, int)
        assert_type(self.process_name, str)
        assert_type(self.component_enabled_cassandra, bool)
        assert_type(self.component_enabled_email, bool)
        assert_type(self.component_enabled_hl7, bool)
        assert_type(self.component_enabled_ibm_mq, bool)
        assert_type(self.component_enabled_invoke_matcher, bool)
        assert_type(self.component_enabled_live_msg_browser, bool)
        assert_type(self.component_enabled_msg_path, bool)
        assert_type(self.component_enabled_odoo, bool)
        assert_type(self.component_enabled_patterns, bool)
        assert_type(self.component_enabled_search, bool)
        assert_type(self.component_enabled_sms, bool)
        assert_type(self.component_enabled_target_matcher, bool)
        assert_type(self.component_enabled_zeromq, bool)
        assert_type(self.server.base_dir, Path | None)
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
        self.invoke_by_id('crm.get', timeout=1.5, raise_timeout=False)
        self.invoke_by_impl_name('crm.Get', serialize=True, data_format='json')
        assert_type(self.invoke_async('crm.get', {'id': 1}, expiration=60, callback=self), str)
        assert_type(self.knows_service('crm.get'), bool)
        assert_type(self.extract_target('crm.get@eu'), tuple[str, str])
        self.set_response_data(self.new_instance('crm.get'))
        self.broker_client.invoke_async({'service': 'crm.get', 'payload': 1})
        assert_type(self.patterns.fanout.invoke({'a': 1}, 'b', on_target=['c']), str)
        assert_type(self.patterns.parallel.invoke({'a': 1}, 'b'), str)
        self.patterns.invoke_retry.invoke('crm.get', repeats=3, seconds=1)
        self.rest['CRM'].get(params={'id': 1})
        self.rest.CRM.post({'a': 1})
        self.outgoing.soap['CRM'].conn.send(self.cid, '<a/>')
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
            item.conn.session.get('https://example.com')
        self.outgoing.zmq.send('message', 'Fraud detection')
        self.outgoing.zmq['Fraud detection'].send('message')

    def stores(self) -> None:
        """The key/value database."""
        conn = self.kvdb.conn
        assert_type(conn.get('key'), str | None)
        assert_type(conn.lrange('key', 0, -1), list[str])
        assert_type(self.redis.get('key'), str | None)
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

    def waits(self) -> None:
        """Time, and what others must wait for."""
        self.sleep(0.1)
        with self.lock('orders', ttl=30, block=5):
            pass
        self.run_in_thread(print, 'a', end='').join()
        self.logger.info('%s', self.spawn(print).get())
        self.logger.info('%s %s', self.time.utcnow(), self.time.now('YYYY'))
        assert_type(self.time.isonow(), str)
        assert_type(self.log_input('before', suppress_keys=['password']), dict[str, Any])
        assert_type(self.log_output('after'), dict[str, Any])

    def sends(self) -> None:
        """E-mail, commands, tokens."""
        message = SMTPMessage('me@example.com', ['you@example.com'], 'Subject', 'Body')
        message.attach('a.csv', b'a')
        assert_type(self.email.smtp['Mail'].conn.send(message), bool)
        for uid, received in self.email.imap.get('Orders').conn.get('INBOX'):
            assert_type(received.data.subject, str)
            assert_type(received.data.sent_from[0].email, Any)
            assert_type(received.data.parsed_date, datetime | None)
            assert_type(received.raw, bytes)
            received.mark_seen()
            received.move('Done')
            self.email.imap['Orders'].conn.delete(uid)
        result = self.commands.invoke('ls', timeout=5)
        assert_type(result.is_ok, bool)
        assert_type(result.stdout, str)
        assert_type(self.security.get_bearer_token_by_name('CRM'), str)
        assert_type(self.crypto.encrypt('text'), str)
        assert_type(self.crypto.verify_hash('a', 'b'), bool)

    def remembers(self) -> None:
        """Cache, configuration and dictionaries."""
        cache = self.cache.default
        cache.set('key', 1, expiry=60)
        cache['key'] = 2
        self.logger.info('%s %s %s', cache.get('key'), cache['key'], 'key' in cache)
        self.logger.info('%s', self.user_config.user.section.key)
        self.logger.info('%s', self.config['user'])
        self.logger.info('%s', self.static_config.html['index.html'])
        self.logger.info('%s', self.translate('CRM', 'id', '1', 'ERP', 'number', default='2'))
