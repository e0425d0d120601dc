"""Small functions that services use. They live in :mod:`zato.common.util.api`."""

from zato.common.util.api import (
    asbool,
    current_host,
    get_component_name,
    make_repr,
    new_cid,
    parse_extra_into_dict,
    parse_simple_type,
    payload_from_request,
    spawn_greenlet,
    uncamelify,
    update_bind_port,
)

__all__ = [
    'asbool',
    'current_host',
    'get_component_name',
    'make_repr',
    'new_cid',
    'parse_extra_into_dict',
    'parse_simple_type',
    'payload_from_request',
    'spawn_greenlet',
    'uncamelify',
    'update_bind_port',
]
