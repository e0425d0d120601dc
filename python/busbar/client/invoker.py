"""Any service by its name, through the service that runs others (management.md 3.4)."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from busbar.client.connection import Client, Headers
from busbar.client.documents import read_json, write_json
from busbar.client.responses import JSONSIOResponse

__all__ = ['AnyServiceInvoker', 'ServiceInvokeResponse', 'ZatoClient']

#: What the answer of the service that runs others is under, for callers of version 2.x.
RESPONSE_ELEMENT = 'zato_service_invoke_response'


class ServiceInvokeResponse(JSONSIOResponse):
    """What a service answered that was called by its name: JSON as objects, anything else as text."""

    def __init__(self, client: Client, inner: Any, as_json: bool = True, is_list: bool = False) -> None:
        #: Of one page of a list: ``page_size``, ``num_pages``, ``cur_page``, ``prev_page``, ``next_page``,
        #: ``has_prev_page``, ``has_next_page``, ``total``.
        self.meta: dict[str, Any] = {}
        self._as_json = as_json
        self._is_list = is_list
        super().__init__(client, inner)

    def _read_body(self, body: Any) -> None:
        if isinstance(body, dict) and ('response' in body or RESPONSE_ELEMENT in body):
            self._read_enveloped(body)
        else:
            super()._read_body(body)

    def _read_enveloped(self, rest: dict[str, Any]) -> None:
        element = rest.get(RESPONSE_ELEMENT)
        encoded = (element if isinstance(element, dict) else rest).get('response')
        if not self.ok:
            return
        self.data = self._unwrap(encoded) if encoded else encoded
        if self._is_list and not self.data:
            self.data = []

    def _unwrap(self, encoded: Any) -> Any:
        try:
            content = base64.b64decode(encoded)
        except (TypeError, ValueError, binascii.Error) as error:
            message = f'the answer is not in base64 ({error}): {encoded!r:.200}'
            raise ValueError(message) from None
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return content
        if not self._as_json:
            return text
        try:
            value = read_json(text)
        except ValueError:
            # a service that answers with text
            return text
        if not isinstance(value, dict):
            return value
        if isinstance(value.get('_meta'), dict):
            # `data` stays what it was for old programs: the list in its element, and this beside it
            self.meta = value['_meta']
        if len(value) == 1:
            ((key, only),) = value.items()
            if key.startswith('zato'):
                return only
        return value


class AnyServiceInvoker(Client):
    """Calls any service by its name. The path is that of a channel of ``zato.service.invoke``."""

    default_path = '/zato/admin/invoke'

    def invoke(
        self,
        name: str | None = None,
        payload: Any = '',
        headers: Headers | None = None,
        channel: str = 'invoke',
        data_format: str = 'json',
        transport: str | None = None,
        is_async: bool = False,
        expiration: int = 15,
        id: int | None = None,
        to_json: bool = True,
        output_repeated: bool | None = None,
        pid: int | None = None,
        all_pids: bool = False,
        timeout: int | None = None,
        skip_response_elem: bool = True,
        **old: Any,
    ) -> ServiceInvokeResponse:
        """Calls a service.

        :param name: the service's name.
        :param payload: its input: anything that JSON has a form for, or, of other data formats, text or bytes.
        :param headers: HTTP headers of the request.
        :param channel: name of the channel that the service is to see.
        :param data_format: how the service is to read the payload: ``json``, ``xml``, ...
        :param transport: ``soap`` or ``plain_http``.
        :param is_async: whether not to wait. ``data`` is then the correlation id of the call. Was called ``async``,
            which is not a name any more; it may still be given as ``**{'async': True}``.
        :param expiration: seconds that a call which nobody waits for may wait for its turn.
        :param id: the service's id, in place of its name.
        :param to_json: whether to write the payload as JSON; ``False``: it is text or bytes already.
        :param output_repeated: whether a list is expected, so that no answer is an empty one. ``None``: if the name
            ends in ``list``.
        :param pid: which worker process is to run it.
        :param all_pids: whether each is to run it.
        :param timeout: seconds that it may take.
        :param skip_response_elem: whether to leave out the element around answers of services that manage the server.
        :raises TypeError: if there is no such argument.
        """
        is_async = bool(old.pop('async', is_async))
        if old:
            message = f'`invoke` has no argument `{next(iter(old))}`'
            raise TypeError(message)
        as_json = data_format == 'json' and not is_async
        request: dict[str, Any] = {
            'name': name,
            'payload': _encode(payload, to_json and (data_format == 'json' or not isinstance(payload, str | bytes))),
            'channel': channel,
            'data_format': data_format,
            'transport': transport,
            'is_async': is_async,
            'expiration': expiration,
            'pid': pid,
            'all_pids': all_pids,
            'timeout': timeout,
            'skip_response_elem': skip_response_elem,
        }
        if id is not None:
            request['id'] = id
            if name is None:
                # the server refuses a request that has both keys
                del request['name']
        if output_repeated is None:
            output_repeated = not is_async and (name or '').lower().endswith('list')
        inner = self.send('POST', self.service_address, write_json(request), headers)
        return ServiceInvokeResponse(self, inner, as_json, output_repeated)

    def invoke_async(self, *args: Any, **kwargs: Any) -> ServiceInvokeResponse:
        """Calls a service without waiting; arguments are those of :meth:`invoke`. ``data`` is the correlation id."""
        if len(args) > _BEFORE_ASYNC:
            # the place of `is_async` is not theirs
            args = (*args[:_BEFORE_ASYNC], True, *args[_BEFORE_ASYNC:])
        else:
            kwargs['is_async'] = True
        return self.invoke(*args, **kwargs)


#: Arguments of `AnyServiceInvoker.invoke` before `is_async`.
_BEFORE_ASYNC = 6


class ZatoClient(AnyServiceInvoker):
    """The same; what :func:`busbar.client.get_client_from_server_conf` gives."""


def _encode(payload: Any, as_json: bool) -> str:
    content = write_json(payload) if as_json else payload
    return base64.b64encode(content if isinstance(content, bytes) else str(content).encode()).decode()
