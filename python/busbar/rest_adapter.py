"""``RESTAdapter``: services that call an outgoing REST connection as their class attributes say."""

from __future__ import annotations

from typing import Any

from _busbar import Service

__all__ = ['RESTAdapter']


class RESTAdapter(Service):
    """Calls an outgoing REST connection; what that answers is the response::

    class GetCustomer(RESTAdapter):
        conn_name = 'CRM'
        model = Customer

        def get_query_string(self, params):
            return {'id': self.request.input.id}

    Override what the class attributes cannot say.
    """

    #: Name of the connection.
    conn_name: Any = ''
    #: HTTP method.
    method: Any = 'GET'
    #: What the response's data is read as.
    model: Any = None
    #: Scopes of the bearer token.
    auth_scopes: Any = ''
    #: Security definition of the bearer token; by default the connection's own is used.
    sec_def_name: Any = None
    #: Whether responses are logged.
    log_response: Any = False
    #: Whether the input element ``id`` is sent in the query string.
    has_query_string_id: Any = False
    #: What it is called there.
    query_string_id_param: Any = None
    #: Whether the input element ``id`` is sent in the body.
    has_json_id: Any = False
    #: What it is called there.
    json_id_param: Any = None

    def get_conn_name(self) -> Any:
        """Name of the connection, in place of ``conn_name``."""

    def get_request(self) -> Any:
        """The request's body."""

    def get_query_string(self, params: dict[str, Any]) -> Any:
        """More of the query string than there is in ``params``."""

    def get_path_params(self, params: dict[str, Any]) -> Any:
        """Values of the names in braces of the connection's address."""

    def get_method(self) -> Any:
        """HTTP method, in place of ``method``."""

    def get_headers(self) -> Any:
        """Headers of the request."""

    def get_auth_bearer(self) -> Any:
        """A bearer token to send."""

    def get_sec_def_name(self) -> Any:
        """Security definition of the bearer token, in place of ``sec_def_name``."""

    def get_auth_scopes(self) -> Any:
        """Scopes of the bearer token, in place of ``auth_scopes``."""

    def rest_call(
        self,
        conn_name: str,
        *,
        data: Any = '',
        model: Any = None,
        callback: Any = None,
        params: Any = None,
        headers: Any = None,
        method: str = '',
        sec_def_name: Any = None,
        auth_scopes: Any = None,
        log_response: bool = True,
    ) -> Any:
        """Calls a connection: its response's data, as a model and a callback make it."""
        conn: Any = self.outgoing.rest[conn_name].conn
        return conn.rest_call(
            cid=self.cid,
            data=data,
            model=model,
            callback=callback,
            params=params,
            headers=headers,
            method=method,
            sec_def_name=sec_def_name,
            auth_scopes=auth_scopes,
            log_response=log_response,
        )

    def handle(self) -> Any:
        """Calls the connection.

        :raises ValueError: if the class does not name one.
        """
        conn_name = self.get_conn_name() or self.conn_name
        if not conn_name:
            message = f'class `{type(self).__name__}` needs the attribute `conn_name` or the method `get_conn_name`'
            raise ValueError(message)
        params: dict[str, Any] = {}
        if self.has_query_string_id:
            params[self.query_string_id_param or 'id'] = self.request.input.id
        params.update(_asked(self.get_query_string, params) or {})
        params.update(_asked(self.get_path_params, params) or {})
        data: Any = self.get_request() or ''
        if self.has_json_id:
            data = data or {}
            data[self.json_id_param or 'id'] = self.request.input.id
        headers = dict(self.get_headers() or {})
        bearer = self.get_auth_bearer()
        if bearer:
            headers['Authorization'] = bearer if str(bearer).lower().startswith('bearer ') else f'Bearer {bearer}'
        # a method of the class is a callback of its own; without one the data is the response as it is
        callback = getattr(self, 'map_response', None)
        self.response.payload = self.rest_call(
            conn_name,
            data=data,
            model=self.model,
            callback=callback,
            params=params or None,
            headers=headers or None,
            method=self.get_method() or self.method,
            sec_def_name=self.get_sec_def_name() or self.sec_def_name,
            auth_scopes=self.get_auth_scopes() or self.auth_scopes,
            log_response=self.log_response,
        )


def _asked(method: Any, params: dict[str, Any]) -> Any:
    """Calls a method that may or may not take the parameters known so far."""
    takes_none = getattr(method, '__code__', None) is not None and method.__code__.co_argcount == 1
    return method() if takes_none else method(params)
