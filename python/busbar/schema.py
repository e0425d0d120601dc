"""JSON Schemas of services: the class attribute ``schema``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from zato.common.exception import JSONSchemaValidationException

__all__ = ['Checker']


class Checker:
    """Checks what a service is called with.

    :param class_: the service's class.
    :param path: the file with the schema; a relative one is looked for beside the service's file.
    :raises FileNotFoundError: if there is no such file.
    :raises ImportError: if the package ``jsonschema`` is not installed.
    :raises ValueError: if the file holds no JSON Schema.
    """

    def __init__(self, class_: type, path: str) -> None:
        try:
            from jsonschema import validators
        except ImportError:
            message = f'the schema of class `{class_.__name__}` needs the package `jsonschema`, which is not installed'
            raise ImportError(message) from None
        self.path = _find(class_, path)
        try:
            schema = json.loads(self.path.read_text(encoding='utf8'))
            kind = validators.validator_for(schema)
            kind.check_schema(schema)
        except Exception as error:
            message = f'`{self.path}` is not a JSON Schema: {str(error).splitlines()[0]}'
            raise ValueError(message) from error
        self._validator = kind(schema)

    def __call__(self, cid: str, payload: Any) -> None:
        """Checks.

        :raises JSONSchemaValidationException: with all that is wrong, if something is.
        """
        errors = sorted(self._validator.iter_errors(payload), key=lambda error: list(map(str, error.path)))
        if errors:
            raise JSONSchemaValidationException(cid, '; '.join(map(_describe, errors[:10])))


def _find(class_: type, path: str) -> Path:
    module = sys.modules.get(class_.__module__)
    beside = Path(getattr(module, '__file__', None) or '.').parent
    found = beside / path
    if not found.is_file():
        message = f'the schema of class `{class_.__name__}` is not there: `{found}`'
        raise FileNotFoundError(message)
    return found


def _describe(error: Any) -> str:
    where = '/'.join(map(str, error.path))
    return f'{error.message} (in `{where}`)' if where else str(error.message)
