"""HTTP's statuses in words."""

from http.client import responses as HTTP_RESPONSES

__all__ = ['HTTP_RESPONSES']
