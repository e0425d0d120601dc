"""What services see of a request and of its response, where those of the 2.x and 3.x lines import the classes from."""

from __future__ import annotations

from _busbar import HttpRequest, Outgoing, Request, Response

__all__ = ['HTTPRequestData', 'Outgoing', 'Request', 'Response', 'direct_payload']

#: ``self.request.http``
HTTPRequestData = HttpRequest

#: Types that are sent as they are, whatever output is declared.
direct_payload = (str, bytes, bytearray, list, int, float, type(None))
