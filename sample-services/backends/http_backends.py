"""Stands in for the systems that the sample services call: CRM, payments, and two providers of market data.

Needs nothing but Python's standard library::

    python http_backends.py --port 35201

``POST /crm``, ``POST /payments``, ``GET /yahoo/yql?q=...``, ``GET /google/finance?stock=...``, ``GET /ping``.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import quoteattr

CLIENT = {'firstName': 'Sean', 'lastName': "O'Brien"}
PAYMENT = {'DATE': '2013-05-14T10:42:14.401555', 'AMOUNT': '357'}

#: Market capitalisation by symbol, in millions of USD.
MARKET = {'GOOG': 294_510, 'RHT': 9_120, 'IBM': 227_360}

MAX_BODY = 1024 * 1024


class Backends(BaseHTTPRequestHandler):
    """Answers one connection."""

    # keep-alive; with Nagle's algorithm a small answer could wait 40 ms for an acknowledgement
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 60

    def do_GET(self) -> None:
        """The providers of market data."""
        self._answer({'/ping': self._ping, '/yahoo/yql': self._yahoo, '/google/finance': self._google})

    def do_POST(self) -> None:
        """CRM and payments: what they are asked does not matter, as long as it is JSON."""
        self._answer({'/crm': self._crm, '/payments': self._payments})

    def _answer(self, routes: dict) -> None:
        address = urlsplit(self.path)
        body = self._body()
        if body is None:
            return
        route = routes.get(address.path)
        if route is None:
            self._send(404, 'application/json', json.dumps({'error': f'no such path: {address.path}'}))
            return
        try:
            self._send(200, *route(parse_qs(address.query), body))
        except ValueError as error:
            self._send(400, 'application/json', json.dumps({'error': str(error)}))

    def _body(self) -> bytes | None:
        length = self.headers.get('Content-Length') or '0'
        if 'Transfer-Encoding' in self.headers or not length.isdecimal() or int(length) > MAX_BODY:
            self.close_connection = True
            self._send(411, 'application/json', json.dumps({'error': 'a body needs its length, and at most 1 MB'}))
            return None
        return self.rfile.read(int(length))

    def _send(self, status: int, content_type: str, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header('Content-Type', content_type)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    @staticmethod
    def _ping(_query: dict, _body: bytes) -> tuple[str, str]:
        return 'application/json', json.dumps({'pong': True})

    @staticmethod
    def _crm(_query: dict, body: bytes) -> tuple[str, str]:
        json.loads(body)
        return 'application/json', json.dumps(CLIENT)

    @staticmethod
    def _payments(_query: dict, body: bytes) -> tuple[str, str]:
        json.loads(body)
        return 'application/json', json.dumps(PAYMENT)

    @staticmethod
    def _yahoo(query: dict, _body: bytes) -> tuple[str, str]:
        found = re.search(r'symbol\s*=\s*"([^"]*)"', query.get('q', [''])[0])
        if not found:
            message = 'expected a query such as: select * from quotes where symbol = "IBM"'
            raise ValueError(message)
        symbol = found.group(1)
        value = MARKET.get(symbol)
        quote = {'symbol': symbol, 'MarketCapitalization': f'{value / 1000:.2f}B'} if value else None
        return 'application/json', json.dumps({'query': {'count': 1, 'results': {'quote': quote}}})

    @staticmethod
    def _google(query: dict, _body: bytes) -> tuple[str, str]:
        symbol = query.get('stock', [''])[0]
        value = MARKET.get(symbol)
        cap = f'<market_cap data="{value}.00"/>' if value else ''
        finance = f'<finance><symbol data={quoteattr(symbol)}/>{cap}</finance>'
        return 'application/xml', f'<?xml version="1.0"?><xml_api_reply>{finance}</xml_api_reply>'

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: each request is in the log of the server that sent it."""


class Server(ThreadingHTTPServer):
    """Many connections at once."""

    daemon_threads = True
    request_queue_size = 1024


def main() -> int:
    """Runs until it is told to stop."""
    parser = argparse.ArgumentParser(description='Stands in for CRM, payments and two providers of market data.')
    parser.add_argument('--host', default='127.0.0.1')
    parser.add_argument('--port', type=int, default=35201, help='0 picks a free one, which the first line names')
    options = parser.parse_args()

    try:
        server = Server((options.host, options.port), Backends)
    except OSError as error:
        print(f'cannot listen on {options.host}:{options.port}: {error.strerror}', file=sys.stderr)
        return 1

    def stop(_number: int, _frame: object) -> None:
        # shutdown() waits for the loop that this very thread runs
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)

    print(f'back-ends listen on {options.host}:{server.server_address[1]}', flush=True)
    with server:
        server.serve_forever(poll_interval=0.1)
    return 0


if __name__ == '__main__':
    sys.exit(main())
