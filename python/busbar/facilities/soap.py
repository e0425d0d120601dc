"""Outgoing SOAP connections: envelopes, and clients made from a WSDL."""

from __future__ import annotations

import re
from importlib import import_module
from threading import Lock
from types import TracebackType
from typing import Any

import _busbar
from busbar.facilities.session import ntlm_auth

__all__ = ['Factory', 'SOAPClient', 'body_of', 'client_of', 'envelope']

NAMESPACES = {'1.1': 'http://schemas.xmlsoap.org/soap/envelope/', '1.2': 'http://www.w3.org/2003/05/soap-envelope'}

_ENVELOPE = re.compile(r'<(?:[\w.-]+:)?Envelope[\s>]')
_DECLARATION = re.compile(r'^\s*(?:\ufeff)?<\?xml[^>]*\?>')

# clients that nobody uses at the moment, by connection and address: reading a WSDL takes long
_idle: dict[tuple[str, str], list[Any]] = {}
_lock = Lock()


def envelope(data: Any, version: str) -> bytes:
    """``data``, text, bytes or an lxml element, in an envelope unless it has one."""
    if not isinstance(data, (str, bytes)):
        from lxml import etree

        data = etree.tostring(data, encoding='unicode')
    text = data.decode('utf8', 'surrogateescape') if isinstance(data, bytes) else data
    if _ENVELOPE.search(text):
        return text.encode('utf8', 'surrogateescape')
    text = _DECLARATION.sub('', text)
    namespace = NAMESPACES[version]
    wrapped = (
        f'<?xml version="1.0" encoding="UTF-8"?><soap:Envelope xmlns:soap="{namespace}">'
        f'<soap:Body>{text}</soap:Body></soap:Envelope>'
    )
    return wrapped.encode('utf8', 'surrogateescape')


def body_of(root: Any) -> Any:
    """The first element in the body of an objectified envelope; what is no envelope comes back as it is."""
    for namespace in NAMESPACES.values():
        if root.tag == f'{{{namespace}}}Envelope':
            body = root.find(f'{{{namespace}}}Body')
            children = [] if body is None else body.getchildren()
            return children[0] if children else ''
    return root


class Factory:
    """Makes objects of the types that a WSDL declares: ``client.factory.create('ns0:Customer')``."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def create(self, name: str) -> Any:
        """An empty object of a type or an element.

        :raises LookupError: if there is none of that name.
        """
        make = self._type(name)
        return make()

    def _type(self, name: str) -> Any:
        from zeep.exceptions import LookupError as NotDeclared

        names = [name] if ':' in name or name.startswith('{') else [f'{prefix}:{name}' for prefix in self._prefixes()]
        for full in names:
            for look_up in (self._client.get_type, self._client.get_element):
                try:
                    return look_up(full)
                except (NotDeclared, ValueError):
                    continue
        message = f'the WSDL declares no type or element `{name}`'
        raise LookupError(message)

    def _prefixes(self) -> list[str]:
        return [prefix for prefix in self._client.wsdl.types.prefix_map if prefix]


class SOAPClient:
    """A client made from a WSDL::

    with self.outgoing.soap['CRM'].conn.client() as client:
        customer = client.factory.create('ns0:Customer')
        client.service.GetCustomer(customer)
    """

    def __init__(self, key: tuple[str, str], client: Any, pool_size: int) -> None:
        self._key = key
        self._pool_size = pool_size
        #: The client of the package zeep.
        self.impl = client
        #: The operations.
        self.service = client.service
        #: The types.
        self.factory = Factory(client)

    def __enter__(self) -> SOAPClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with _lock:
            idle = _idle.setdefault(self._key, [])
            if len(idle) < self._pool_size:
                idle.append(self.impl)


def client_of(
    conn: _busbar.HttpConn,
    name: str,
    basic: tuple[str, str] | None,
    wss: tuple[str, str, bool] | None,
    ntlm: tuple[str, str] | None,
    revision: int,
) -> SOAPClient:
    """A client of the WSDL to which the address of a connection leads.

    :param basic: user name and password that the connection sends.
    :param wss: user name, password and whether a digest is sent of it, for the header of envelopes.
    :param ntlm: user name and password with which it logs in.
    :param revision: counts up when a WSDL that was read before is not to be used any more.
    :raises ImportError: if the package zeep is not installed, or requests-ntlm where the connection logs in with NTLM.
    """
    config = conn.config
    tls = f'{config.tls_verify} {config.tls_ca_path}'
    key = (name, f'{conn.address} {tls} {config.timeout} {basic} {wss} {ntlm} {revision}')
    with _lock:
        for stale in [other for other in _idle if other[0] == name and other != key]:
            del _idle[stale]
        idle = _idle.get(key)
        found = idle.pop() if idle else None
    if found is None:
        try:
            import requests

            zeep: Any = import_module('zeep')
        except ImportError as e:
            message = 'clients made from a WSDL need the package zeep: pip install zeep'
            raise ImportError(message) from e
        session = requests.Session()
        session.auth = ntlm_auth(*ntlm) if ntlm else basic
        session.verify = (config.tls_ca_path or True) if config.tls_verify else False
        transport = zeep.Transport(session=session, timeout=config.timeout, operation_timeout=config.timeout)
        token = None
        if wss:
            username: Any = import_module('zeep.wsse.username')
            token = username.UsernameToken(wss[0], wss[1], use_digest=wss[2])
        found = zeep.Client(conn.address, transport=transport, wsse=token)
    return SOAPClient(key, found, int(config.pool_size))
