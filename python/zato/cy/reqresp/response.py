"""The class of ``self.response``."""

from _busbar import Response

__all__ = ['Response']
