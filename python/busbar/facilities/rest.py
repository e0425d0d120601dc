"""``self.rest``, and what outgoing REST connections do with models and callbacks."""

from __future__ import annotations

import inspect
import logging
import os
import re
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any, get_args, get_origin

import _busbar
from _busbar import HttpItem, Service

__all__ = ['RESTFacade', 'map_data', 'map_response', 'rest_call']

_logger = logging.getLogger('busbar.rest')
_UNSAFE = re.compile(r'\W')


class RESTFacade:
    """``self.rest``: outgoing REST connections by name, ``self.rest['CRM']``, or as attributes, ``self.rest.CRM``.

    An attribute is the name with ``_`` in place of every character that an attribute cannot have. ``$NAME`` is the
    environment variable of that name.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def __getitem__(self, name: str) -> HttpItem:
        return self._service.outgoing.rest[_resolved(name)]

    def __getattr__(self, name: str) -> HttpItem:
        if name.startswith('__'):
            raise AttributeError(name)
        connections = self._service.outgoing.rest
        if name in connections:
            return connections[name]
        names = connections.keys()
        found = [known for known in names if _UNSAFE.sub('_', known.strip()) == name]
        if len(found) == 1:
            return connections[found[0]]
        message = f'several outgoing REST connections are `{name}`: {", ".join(found)}' if found else name
        raise KeyError(message)

    def __contains__(self, name: str) -> bool:
        return _resolved(name) in self._service.outgoing.rest

    def get(self, name: str, default: Any = None) -> Any:
        """The connection of that name, or the default."""
        return self._service.outgoing.rest.get(_resolved(name), default)


def _resolved(name: str) -> str:
    if not name.startswith('$'):
        return name
    value = os.environ.get(name[1:])
    if not value:
        message = f'the environment variable `{name[1:]}`, which names an outgoing connection, is not set'
        raise KeyError(message)
    return value


def map_data(data: Any, model: Any) -> Any:
    """``data`` as an instance of a model, or as a list of them if it is a list.

    :raises TypeError: if the model is none, or there is no dictionary to read it from.
    """
    if get_origin(model) is list:
        model = get_args(model)[0]
    if isinstance(data, list):
        return [map_data(item, model) for item in data]
    if not isinstance(data, dict):
        message = f'cannot read `{getattr(model, "__name__", model)}` from {type(data).__name__}'
        raise TypeError(message)
    if hasattr(model, 'from_dict'):
        return model.from_dict(data)
    if is_dataclass(model) and isinstance(model, type):
        names = {name for name, field in model.__dataclass_fields__.items() if field.init}
        return model(**{key: value for key, value in data.items() if key in names})
    message = f'`{getattr(model, "__name__", model)}` is not a model'
    raise TypeError(message)


def map_response(response: Any, model: Any, callback: Any, cid: str) -> None:
    """Makes ``response.data`` what a model, and then a callback, make of it."""
    data = response.data
    if model:
        data = map_data(data, model)
    if callback:
        data = _called(callback, data, cid=cid, model=model)
    response.data = data


def _called(callback: Callable[..., Any], data: Any, **more: Any) -> Any:
    """Calls a callback with the data and as much of the rest as it takes."""
    more |= {'id': None, 'callback': callback}
    try:
        parameters = list(inspect.signature(callback).parameters.values())
    except (TypeError, ValueError):
        return callback(data)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return callback(data, **more)
    names = {parameter.name for parameter in parameters[1:]}
    return callback(data, **{name: value for name, value in more.items() if name in names})


def rest_call(
    conn: _busbar.HttpConn,
    *,
    cid: str = '',
    data: Any = '',
    model: Any = None,
    callback: Any = None,
    params: Any = None,
    headers: dict[str, Any] | None = None,
    method: str = '',
    sec_def_name: str | None = None,
    auth_scopes: str = '',
    log_response: bool = True,
) -> Any:
    """Calls a connection and gives back the response's data, as a model and a callback make it.

    A connection that cannot be used is logged, and ``None`` is given back.

    The bearer token is one of ``sec_def_name``, or else of the connection's own security definition, for
    ``auth_scopes``. A header ``Authorization`` of the caller is sent as it is.

    :raises Exception: with the text of the response, if its status is 400 or more.
    """
    from requests.exceptions import RequestException

    verb = (method or str(conn.config.get('method') or '') or 'GET').lower()
    if verb not in {'get', 'post', 'put', 'patch', 'delete', 'options', 'head'}:
        message = f'`{method}` is not an HTTP method that can be called'
        raise ValueError(message)
    more: dict[str, Any] = {'params': params, 'headers': headers}
    if cid:
        more['cid'] = cid
    if verb not in {'get', 'head'}:
        more['data'] = data
    elif data:
        message = f'a {verb.upper()} request has no body: give params instead of data'
        raise ValueError(message)
    definition = sec_def_name or (conn.config['security'] if auth_scopes else '')
    if auth_scopes and not definition:
        message = (
            f'`auth_scopes` need a security definition: give `sec_def_name`, or connection `{conn.config["name"]}` one'
        )
        raise ValueError(message)
    call = getattr(conn, verb)
    try:
        if definition and not any(name.strip().lower() == 'authorization' for name in headers or ()):
            response = _called_with_token(conn, call, more, definition, auth_scopes or '')
        else:
            response = call(**more)
    except RequestException as e:
        _logger.warning('%s %s failed: %s (cid:%s)', verb.upper(), conn.address, e, cid)
        return None
    if log_response:
        _logger.info('%s %s -> %s (cid:%s)', verb.upper(), conn.address, response.status_code, cid)
    if not response.ok:
        raise Exception(response.text)
    map_response(response, model, callback, cid)
    return response.data


def _called_with_token(
    conn: _busbar.HttpConn, call: Callable[..., Any], more: dict[str, Any], definition: str, scopes: str
) -> Any:
    """Calls with a token; if it is not accepted, once more with a new one."""
    headers = more['headers'] or {}
    token = _busbar.bearer_token(conn, definition, scopes)
    response = call(**more | {'headers': {**headers, 'Authorization': f'Bearer {token}'}})
    if response.status_code != 401:
        return response
    token = _busbar.bearer_token(conn, definition, scopes, token)
    return call(**more | {'headers': {**headers, 'Authorization': f'Bearer {token}'}})
