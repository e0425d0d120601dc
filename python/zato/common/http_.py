"""HTTP's statuses in words."""

from http import HTTPStatus

__all__ = ['HTTP_RESPONSES']

#: Phrase by status. Not taken from ``http.client``, which costs every worker 10 ms at start.
HTTP_RESPONSES = {status.value: status.phrase for status in HTTPStatus}
