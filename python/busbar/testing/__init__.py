"""Tests of services without a server: what ``busbar test`` gives to pytest. See docs/testing.md.

* :class:`Bus` - the fixture ``bus``: deploys services, calls them, programs what they call
* :class:`Answer` - what a call was answered with
* :class:`Back` - a back-end over HTTP that tests answer for
* :class:`Socket` - a ZeroMQ connection that keeps what was sent
"""

from busbar.testing.answer import Answer
from busbar.testing.bus import Bus, DeploymentFailed, current
from busbar.testing.doubles import Back, Sent, Socket, Unprogrammed

__all__ = ['Answer', 'Back', 'Bus', 'DeploymentFailed', 'Sent', 'Socket', 'Unprogrammed', 'current']
