"""``conn.session``: an outgoing connection as the package ``requests`` knows it."""

from __future__ import annotations

from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any

from _busbar import HttpConn, bearer_token

if TYPE_CHECKING:
    import requests

__all__ = ['ntlm_auth', 'session_of']

_lock = Lock()
#: The session of each connection, with what it was made of.
_sessions: dict[str, tuple[Any, requests.Session]] = {}


def session_of(
    conn: HttpConn,
    name: str,
    basic: tuple[str, str] | None,
    key: tuple[str, str] | None,
    bearer: str | None,
    ntlm: tuple[str, str] | None,
    certificate: str | None,
) -> requests.Session:
    """The session of a connection: made once, and anew when the connection was changed.

    :param basic: user name and password that it sends.
    :param key: header and key that it sends.
    :param bearer: the definition whose tokens it sends.
    :param ntlm: user name and password with which it logs in.
    :param certificate: file with the certificate that it presents. One that is not in a file is not presented.
    :raises ImportError: if the package requests is not installed, or requests-ntlm where NTLM is spoken.
    """
    config = conn.config
    tls = (config.tls_verify, config.tls_ca_path, certificate)
    made_of = (*tls, config.timeout, config.pool_size, basic, key, bearer, ntlm)
    with _lock:
        known = _sessions.get(name)
        if known is None or known[0] != made_of:
            known = (made_of, _make(conn, basic, key, bearer))
            if ntlm:
                known[1].auth = ntlm_auth(*ntlm)
            known[1].cert = certificate
            _sessions[name] = known
    return known[1]


def ntlm_auth(username: str, password: str) -> Any:
    """What logs a session in with NTLM.

    :raises ImportError: if the package requests-ntlm is not installed.
    """
    try:
        requests_ntlm: Any = import_module('requests_ntlm')
    except ImportError as e:
        message = 'sessions that log in with NTLM need the package requests-ntlm: pip install requests-ntlm'
        raise ImportError(message) from e
    return requests_ntlm.HttpNtlmAuth(username, password)


def _make(
    conn: HttpConn, basic: tuple[str, str] | None, key: tuple[str, str] | None, bearer: str | None
) -> requests.Session:
    try:
        import requests
        from requests.adapters import HTTPAdapter
    except ImportError as e:
        message = 'the session of a connection needs the package requests: pip install requests'
        raise ImportError(message) from e
    config = conn.config

    class Adapter(HTTPAdapter):
        """Waits as long as the connection does, unless a call says otherwise."""

        def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
            if kwargs.get('timeout') is None:
                kwargs['timeout'] = config.timeout
            return super().send(request, *args, **kwargs)

    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers['Authorization'] = f'Bearer {bearer_token(conn, bearer or "", "")}'
        return request

    session = requests.Session()
    # what is set for the server's environment is not for this connection
    session.trust_env = False
    session.verify = (config.tls_ca_path or True) if config.tls_verify else False
    session.auth = authorize if bearer else basic
    if key:
        session.headers[key[0]] = key[1]
    for scheme in 'http://', 'https://':
        session.mount(scheme, Adapter(pool_maxsize=int(config.pool_size)))
    return session
