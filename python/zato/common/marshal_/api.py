"""Models, and errors about input that does not have the declared shape."""

from __future__ import annotations

from http import HTTPStatus

from busbar.models import MarshalAPI, Model, ModelCtx

__all__ = ['ElementIsNotAList', 'ElementMissing', 'MarshalAPI', 'Model', 'ModelCtx', 'ModelValidationError']


class ModelValidationError(Exception):
    """Input is not what the service declares. Leaves the service as status 400.

    :param elem_path: where in the input: the element's name, or a path such as ``/address/city``.
    """

    #: HTTP status that it has when it leaves a service.
    status: int = HTTPStatus.BAD_REQUEST.value

    _message = 'Invalid element: {}'

    def __init__(self, elem_path: str) -> None:
        super().__init__(elem_path)
        #: Where in the input.
        self.elem_path = elem_path
        #: What the caller is told.
        self.msg = self.reason = self._message.format(elem_path)

    def __str__(self) -> str:
        return self.msg


class ElementMissing(ModelValidationError):
    """A required element is not there."""

    _message = 'Element missing: {}'


class ElementIsNotAList(ModelValidationError):
    """A list is declared and something else was sent."""

    _message = 'Element is not a list: {}'
