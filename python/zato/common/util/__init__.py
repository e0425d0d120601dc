"""Small functions that services use. They live in :mod:`zato.common.util.api`."""

from zato.common.util.api import (
    asbool,
    current_host,
    make_repr,
    new_cid,
    parse_extra_into_dict,
    parse_simple_type,
    uncamelify,
)

__all__ = [
    'asbool',
    'current_host',
    'make_repr',
    'new_cid',
    'parse_extra_into_dict',
    'parse_simple_type',
    'uncamelify',
]
