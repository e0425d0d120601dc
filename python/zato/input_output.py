"""SimpleIO elements, where services of the 4.x line import them from."""

from zato.simpleio import *  # noqa: F403 - services import elements from here
