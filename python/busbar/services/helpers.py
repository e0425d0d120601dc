"""Services to try things out with, under the names that they are called by."""

from __future__ import annotations

from zato.server.service import internal
from zato.server.service.internal import helpers


class Echo(helpers.Echo):
    """Answers with what it was sent, as it was sent."""

    name = 'zato.helpers.echo'


class HelpersEcho(helpers.Echo):
    """Answers with what it was sent, as it was sent."""

    name = 'helpers.echo'


class InputLogger(helpers.InputLogger):
    """Logs the whole of a request."""

    name = 'zato.helpers.input-logger'


class PubInputLogger(helpers.PubInputLogger):
    """Logs the whole of a request."""

    name = 'pub.helpers.input-logger'


class SIOInputLogger(helpers.SIOInputLogger):
    """Logs its input."""

    name = 'zato.helpers.sio-input-logger'


class RawRequestLogger(helpers.RawRequestLogger):
    """Logs what it was sent."""

    name = 'pub.helpers.raw-request-logger'


class JSONRawRequestLogger(helpers.JSONRawRequestLogger):
    """Logs what it was sent, and answers with JSON."""

    name = 'zato.helpers.json-raw-request-logger'


class TLSLogger(helpers.TLSLogger):
    """Logs what is known of the certificate of a client."""

    name = 'zato.helpers.tls-logger'


class IBMMQLogger(helpers.IBMMQLogger):
    """Logs messages taken from IBM MQ."""

    name = 'pub.helpers.ibm-mq-logger'


class ServiceGateway(helpers.ServiceGateway):
    """Calls the service that the request names."""

    name = 'helpers.service-gateway'


class WebSocketsGateway(helpers.WebSocketsGateway):
    """Calls the service that the request names."""

    name = 'helpers.web-sockets-gateway'


class Ping(internal.Ping):
    """Says that the server is there."""

    name = 'zato.ping'


class PubPing(internal.Ping):
    """Says that the server is there."""

    name = 'pub.zato.ping'


class DemoPing(internal.Ping):
    """Says that the server is there."""

    name = 'demo.ping'


class Ping2(internal.Ping):
    """Says that the server is there."""

    name = 'zato.ping2'
