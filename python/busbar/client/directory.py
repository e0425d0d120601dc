"""A client of the server that works in a directory, for whoever owns it."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

from busbar.client.invoker import ZatoClient
from busbar.client.responses import FIRST_ERROR, text_of_details

if TYPE_CHECKING:
    import httpx

__all__ = ['get_client_from_server_conf']

#: Where a server answers its owner.
CONTROL_SOCKET = 'work/control.sock'
#: The service that runs others.
INVOKE = 'zato.service.invoke'
#: Seconds that a server may take to say how it is.
STATUS_LIMIT = 30.0


def get_client_from_server_conf(server_dir: str | os.PathLike[str], **options: Any) -> ZatoClient:
    """Makes a client of the server that works in a directory.

    Whoever may open the server's control socket, its owner, is an administrator: the client calls through the socket
    and needs no password. Of passwords that log in to manage a server, the server keeps hashes only.

    :param server_dir: the server's directory, as ``busbar create server`` made it.
    :param options: further arguments of the client: ``to_bunch``, ``timeout`` and so on.
    :raises FileNotFoundError: if the server does not run.
    :raises ConnectionError: if it does not answer.
    """
    import httpx

    class Transport(httpx.BaseTransport):
        """Carries requests through the socket."""

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return _invoke(directory, request, options.get('timeout'))

    directory = os.fspath(server_dir)
    status = _ask(directory, {'command': 'status'}, STATUS_LIMIT)
    address = status.get('admin_address') or status['address']
    return ZatoClient(address, session=httpx.Client(transport=Transport()), **options)


def _invoke(directory: str, request: httpx.Request, limit: float | None) -> httpx.Response:
    import httpx

    command = {
        'command': 'service_invoke',
        'name': INVOKE,
        'payload': request.read().decode(),
        'data_format': 'json',
        'headers': [list(header) for header in request.headers.items() if header[0] != 'content-length'],
    }
    answer = _ask(directory, command, limit)
    body = answer['body']
    content = body.encode() if isinstance(body, str) else bytes(body)
    return httpx.Response(
        answer['status'],
        headers={**dict(answer['headers']), 'X-Zato-CID': answer['cid']},
        content=_as_over_http(content) if answer['status'] >= FIRST_ERROR else content,
    )


def _as_over_http(error: bytes) -> bytes:
    """What the socket says of an error, in the envelope that it has over HTTP."""
    try:
        said = json.loads(error)
    except ValueError:
        return error
    if not isinstance(said, dict) or 'details' not in said:
        return error
    details = text_of_details(said['details'])
    return json.dumps({'zato_env': {'result': 'ZATO_ERROR', 'cid': said.get('cid'), 'details': details}}).encode()


def _ask(server_dir: str, request: dict[str, Any], limit: float | None) -> Any:
    path = os.path.join(server_dir, CONTROL_SOCKET)
    # the address of a socket has room for 108 bytes: through the directory's descriptor its path is short
    try:
        directory = os.open(os.path.dirname(path), os.O_RDONLY)
    except FileNotFoundError:
        message = f'`{server_dir}` is not the directory of a server: there is no `work` in it'
        raise FileNotFoundError(message) from None
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(limit)
            connection.connect(f'/proc/self/fd/{directory}/{os.path.basename(path)}')
            connection.sendall(json.dumps(request).encode() + b'\n')
            line = connection.makefile('rb').readline()
    except (FileNotFoundError, ConnectionRefusedError):
        message = f'the server in `{server_dir}` does not run; start it with: busbar start {server_dir}'
        raise FileNotFoundError(message) from None
    except OSError as error:
        message = f'cannot ask the server in `{server_dir}`: {error}'
        raise ConnectionError(message) from error
    finally:
        os.close(directory)
    if not line:
        message = f'the server in `{server_dir}` did not answer'
        raise ConnectionError(message)
    answer = json.loads(line)
    if answer['answer'] == 'failed':
        failure = answer['data']
        raise ConnectionError('; '.join(filter(None, (failure['message'], failure.get('hint')))))
    return answer['data']
