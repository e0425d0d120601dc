"""What tests of services of later versions import. They run under ``busbar test``; see docs/testing.md."""

from __future__ import annotations

from typing import Any

from zato.common import test

__all__ = ['ServiceTestCase']


class ServiceTestCase(test.ServiceTestCase):
    """Invokes services whose back-ends answer what the test says."""

    def set_response(self, conn: str, data: Any, status: int = 200) -> None:
        """Lets the outgoing HTTP connection ``conn`` answer with ``data``, any number of times."""
        self.bus.outgoing(conn, data_format='json').answers(data, status=status, times=None)
