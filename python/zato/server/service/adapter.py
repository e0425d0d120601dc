"""Services that are written by filling in class attributes."""

from __future__ import annotations

from typing import Any, ClassVar

from zato.common.exception import HTTPException
from zato.server.service import Service

__all__ = ['JSONAdapter']


class JSONAdapter(Service):
    """Passes its request on to an outgoing HTTP connection, and answers with what that answers.

    Set ``outconn``, the connection's name, and ``method``.
    """

    #: Name of the outgoing connection.
    outconn: ClassVar[str | None] = None
    #: HTTP method.
    method: ClassVar[str | None] = None
    #: Sends what the service was called with as parameters rather than as the body.
    params_to_qs: ClassVar[bool] = False
    #: Reads the response as JSON.
    load_response: ClassVar[bool] = True
    #: Parameters that are always sent.
    params: ClassVar[dict[str, Any]] = {}
    #: Elements of the request that are sent as parameters, whatever else is.
    force_in_qs: ClassVar[list[str]] = []
    #: Whether ``params`` win over what the request says (``after-request``) or not (``before-request``).
    apply_params: ClassVar[str] = 'after-request'
    #: Statuses that are raised, by what they begin with.
    raise_error_on: ClassVar[list[str]] = ['4', '5']

    def get_call_params(self) -> dict[str, Any]:
        """Further arguments of the call: ``{'headers': {...}}``."""
        return {}

    def handle(self) -> Any:
        """Calls the connection.

        :raises ValueError: if the class does not say which, and how.
        :raises HTTPException: with a status that is to be raised.
        """
        if not self.outconn or not self.method:
            message = f'class `{type(self).__name__}` needs the attributes `outconn` and `method`'
            raise ValueError(message)
        payload: Any = self.request.payload or {}
        if isinstance(payload, dict) and payload.get('echo') is True:
            self.response.payload = payload
            return
        params, data = self._params(payload)
        connection: Any = self.outgoing.plain_http[self.outconn].conn
        verb = self.method.lower()
        body = () if verb in {'get', 'head'} else (data,)
        response = getattr(connection, verb)(self.cid, *body, params, **self.get_call_params())
        if str(response.status_code).startswith(tuple(self.raise_error_on)):
            raise HTTPException(self.cid, response.text, response.status_code)
        self.response.payload = response.json() if self.load_response else response.text

    def _params(self, payload: Any) -> tuple[dict[str, Any], Any]:
        asked: dict[str, Any] = {}
        data = payload
        if isinstance(payload, dict):
            data = dict(payload)
            if self.params_to_qs:
                asked, data = data, ''
            for name in self.force_in_qs:
                if name in payload:
                    asked[name] = payload[name]
                    if isinstance(data, dict):
                        data.pop(name, None)
        return (asked | self.params if self.apply_params == 'after-request' else self.params | asked), data
