"""What tells a request from others when its service says so itself, for channels that keep answers."""

from __future__ import annotations

from typing import Any

from bunch import Bunch

__all__ = ['of']


def of(service: Any) -> str | None:
    """What ``get_request_hash(ctx)`` of a service says; ``None``: the channel tells requests apart as without it.

    :raises TypeError: if it is neither text nor nothing.
    """
    environ = service.wsgi_environ
    said = service.get_request_hash(
        Bunch(
            raw_request=service.request.raw_request,
            channel_item=Bunch(environ.get('zato.channel_item') or {}),
            channel_params=service.request.channel_params,
            wsgi_environ=environ,
        )
    )
    if said is None or isinstance(said, str):
        return said
    if isinstance(said, bytes):
        return said.decode('utf8', 'backslashreplace')
    message = f'get_request_hash() must return text, not {type(said).__name__}'
    raise TypeError(message)
