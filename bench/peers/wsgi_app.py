"""The bare service as a WSGI application, for Granian."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answers one request."""
    request = json.loads(environ['wsgi.input'].read())
    response = {'cust_id': request['cust_id'], 'cust_type': request['cust_type'], 'is_active': True}
    body = json.dumps(response).encode()
    start_response('200 OK', [('Content-Type', 'application/json'), ('Content-Length', str(len(body)))])
    return [body]
