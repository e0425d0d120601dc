"""Tests of services without a server: what ``busbar test`` gives to pytest. See docs/testing.md.

* :class:`Bus` - the fixture ``bus``: deploys services, calls them, programs what they call
* :class:`Answer` - what a call was answered with
* :class:`Database` - a database that services reach as ``self.outgoing.sql``
* :class:`Back` - a back-end over HTTP that tests answer for
* :class:`Socket` - a ZeroMQ connection that keeps what was sent
"""

from busbar.testing.answer import Answer
from busbar.testing.bus import Bus, DeploymentFailed, current
from busbar.testing.database import Database
from busbar.testing.doubles import Back, Sent, Socket, Unprogrammed

__all__ = ['Answer', 'Back', 'Bus', 'Database', 'DeploymentFailed', 'Sent', 'Socket', 'Unprogrammed', 'current']
