"""Constants and exceptions, where services of the 1.x and 2.x lines import them from."""

from zato.common import api as _api, exception as _exception
from zato.common.api import *  # noqa: F403 - whatever is there can be imported from here
from zato.common.exception import *  # noqa: F403
from zato.common.http_ import HTTP_RESPONSES

__all__ = [*_api.__all__, *_exception.__all__, 'HTTP_RESPONSES']
