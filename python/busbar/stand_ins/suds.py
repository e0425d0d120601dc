"""Stands in for the package ``suds``: files that import it are deployed, and what they make of it says what to do."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final, NoReturn

__all__ = ['MethodNotFound', 'TypeNotFound', 'WebFault']

__version__ = '0'

_HINT: Final = (
    'the package `suds` is not installed: install it, or use the client of a connection, '
    '`with self.outgoing.soap[name].conn.client() as client`'
)


class WebFault(Exception):
    """A fault that a SOAP service answers."""

    def __init__(self, fault: Any = None, document: Any = None) -> None:
        super().__init__(fault)
        self.fault = fault
        self.document = document


class MethodNotFound(Exception):
    """A service has no such operation."""


class PortNotFound(Exception):
    """A service has no such port."""


class ServiceNotFound(Exception):
    """A WSDL has no such service."""


class TypeNotFound(Exception):
    """A WSDL has no such type."""


def _refuse(*_args: Any, **_kwargs: Any) -> NoReturn:
    raise NotImplementedError(_HINT)


def _class(name: str) -> type:
    return type(name, (), {'__init__': _refuse, '__doc__': f'Stands for `{name}` of suds.'})


def _module(name: str, *classes: str, **names: Any) -> ModuleType:
    module = ModuleType(f'suds.{name}', 'Part of the stand-in for suds.')
    vars(module).update({each: _class(each) for each in classes}, **names)
    return module


class MessagePlugin:
    """What classes of users inherit who look into messages."""


bindings = _module('bindings')
cache = _module('cache', 'DocumentCache', 'FileCache', 'NoCache', 'ObjectCache')
client = _module('client', 'Client', 'RequestContext', WebFault=WebFault)
plugin = _module('plugin', DocumentPlugin=MessagePlugin, InitPlugin=MessagePlugin, MessagePlugin=MessagePlugin)
sax = _module('sax')
sax_element = _module('sax.element', 'Attribute', 'Element')
sax_text = _module('sax.text', 'Raw', 'Text')
sudsobject = _module('sudsobject', 'Object', asdict=_refuse, items=_refuse)
transport = _module(
    'transport', 'Reply', 'Request', 'Transport', TransportError=type('TransportError', (Exception,), {})
)
transport_http = _module('transport.http', 'HttpAuthenticated', 'HttpTransport')
transport_https = _module('transport.https', 'HttpAuthenticated', 'WindowsHttpAuthenticated')
wsse = _module('wsse', 'Security', 'Timestamp', 'Token', 'UsernameToken')
xsd = _module('xsd')
xsd_doctor = _module('xsd.doctor', 'Import', 'ImportDoctor')
vars(sax).update(element=sax_element, text=sax_text)
vars(transport).update(http=transport_http, https=transport_https)
vars(xsd).update(doctor=xsd_doctor)
Client = client.Client
