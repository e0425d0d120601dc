"""``dataclasses``, with a decorator that lets a field without a default follow one that has a default."""

from __future__ import annotations

from dataclasses import (
    KW_ONLY,
    MISSING,
    Field,
    FrozenInstanceError,
    InitVar,
    asdict,
    astuple,
    field,
    fields,
    is_dataclass,
    make_dataclass,
    replace,
)

from busbar.models import dataclass

__all__ = [
    'Field',
    'FrozenInstanceError',
    'InitVar',
    'KW_ONLY',
    'MISSING',
    'asdict',
    'astuple',
    'dataclass',
    'field',
    'fields',
    'is_dataclass',
    'make_dataclass',
    'replace',
]
