"""Services to try things out with, and classes to derive from.

The server has most of them deployed: ``zato.helpers.echo``, ``pub.helpers.input-logger`` and so on. A class that
is derived from one of these gets its name from its file and class, like any other.
"""

from __future__ import annotations

from typing import Any, Final, cast

from zato.common.exception import BadRequest, Forbidden
from zato.server.service import AsIs, Service

__all__ = [
    'Echo',
    'HTMLService',
    'IBMMQLogger',
    'InputLogger',
    'JSONRawRequestLogger',
    'PubInputLogger',
    'RawRequestLogger',
    'SIOInputLogger',
    'ServiceGateway',
    'TLSLogger',
    'WebSocketsGateway',
]

_NOT_FOR_GATEWAYS: Final = ('zato.', 'pub.zato.')
_OPEN: Final = frozenset({'zato.ping', 'pub.zato.ping'})


class Echo(Service):
    """Answers with what it was sent, as it was sent."""

    def handle(self) -> None:
        """Gives the request back."""
        self.response.payload = self.request.raw_request


class RawRequestLogger(Service):
    """Logs what it was sent, before anything is read out of it."""

    def handle(self) -> None:
        """Logs the request."""
        self.logger.info('Raw request of cid `%s`: `%s`', self.cid, _text(self.request.raw_request))


class JSONRawRequestLogger(RawRequestLogger):
    """Logs what it was sent, and answers with JSON."""

    def handle(self) -> None:
        """Logs the request."""
        super().handle()
        self.response.payload = {'cid': self.cid}


class IBMMQLogger(RawRequestLogger):
    """Logs messages taken from IBM MQ."""


class InputLogger(Service):
    """Logs the whole of a request: what was read out of it, and where it came from."""

    def handle(self) -> None:
        """Logs the request."""
        seen = {
            'cid': self.cid,
            'channel': str(self.channel),
            'data_format': self.data_format,
            'environ': dict(self.environ),
            'input': self.request.input,
            'job_type': self.job_type,
            'name': self.name,
            'payload': self.request.payload,
            'raw_request': _text(self.request.raw_request),
        }
        self.logger.info('Request `%s`', seen)


class PubInputLogger(InputLogger):
    """The same, for callers from outside."""


class SIOInputLogger(Service):
    """Logs its input."""

    def handle(self) -> None:
        """Logs the input."""
        self.logger.info('Input of cid `%s`: `%s`', self.cid, self.request.input)


class TLSLogger(Service):
    """Logs what is known of the certificate of a client: the fields that a load balancer adds to a request."""

    def handle(self) -> None:
        """Logs the fields."""
        fields = {key: value for key, value in sorted(self.wsgi_environ.items()) if key.startswith('HTTP_X_ZATO_TLS_')}
        self.logger.info('TLS of cid `%s`: `%s`', self.cid, fields)


class ServiceGateway(Service):
    """Calls the service that the request names: ``{"service": "crm.get", "request": {"id": 1}}``.

    A derived class that lists ``services_allowed`` calls these only. Without a list it needs a channel with a security
    definition, and calls no management services.
    """

    services_allowed: Any = ()

    class SimpleIO:
        """What is called, and with what."""

        input_required = ('service',)
        input_optional = (AsIs('request'),)

    def handle(self) -> None:
        """Calls the service."""
        self.response.payload = self.call_target()

    def call_target(self) -> Any:
        """Calls the service, if the caller may.

        :raises Forbidden: if it may not.
        :raises BadRequest: if there is no such service.
        """
        service = str(self.request.input.service)
        if not self.is_allowed(service):
            raise Forbidden(self.cid, f'Service `{service}` cannot be called through this gateway')
        try:
            return self.invoke(service, self.request.input.get('request') or '', skip_response_elem=True)
        except KeyError as e:
            # of the lookup, not of the service
            if e.args and str(e.args[0]).find(service) >= 0:
                raise BadRequest(self.cid, f'No such service `{service}`') from None
            raise

    def is_allowed(self, service: str) -> bool:
        """Whether the gateway calls a service for whoever is at the other end."""
        if self.services_allowed:
            return service in self.services_allowed
        if service in _OPEN:
            return True
        return not service.startswith(_NOT_FOR_GATEWAYS) and self.channel.security.name is not None


class WebSocketsGateway(ServiceGateway):
    """The same for callers over WebSockets. What it answers is unwrapped on its way out."""

    def handle(self) -> None:
        """Calls the service."""
        self.response.payload = {'zato_gateway_response': self.call_target()}


class HTMLService(Service):
    """A class to derive from for services that answer with pages::

    class Page(HTMLService):
        def handle(self):
            self.set_html_payload({'name': 'Anna'}, '<p>Hello {{ name }}</p>')
    """

    def set_html_payload(
        self,
        ctx: dict[str, Any],
        template: str,
        content_type: str = 'text/html; charset=utf-8',
    ) -> None:
        """Fills a template of Django with ``ctx`` and answers with the page.

        :raises ImportError: if Django is not installed where services find their packages.
        """
        try:
            from django.template import Context, Engine
        except ImportError as e:
            message = 'pages need the package django: pip install django'
            raise ImportError(message) from e
        page = Engine(autoescape=True).from_string(template).render(Context(ctx, use_l10n=False, use_tz=False))
        self.response.payload = cast('str', page)
        self.response.content_type = content_type


def _text(data: Any) -> Any:
    return data.decode('utf8', 'replace') if isinstance(data, bytes) else data
