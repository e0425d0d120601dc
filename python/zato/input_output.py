"""SimpleIO elements, where services of the 4.x line import them from."""

from busbar.later import later
from zato import simpleio
from zato.simpleio import *  # noqa: F403 - services import elements from here
from zato.simpleio import ForceType

__all__ = simpleio.__all__ + ['Elem', 'IOProcessor']  # noqa: RUF005 - type checkers read this form

#: What elements derive from.
Elem = ForceType

#: What reads declarations. The server does that itself here, without an object for it.
IOProcessor = later('IOProcessor', 'a SimpleIO processor in Python', 'Reads declarations.')
