"""The class of ``self.response.payload`` where output is declared."""

from _busbar import SimpleIOPayload

__all__ = ['SimpleIOPayload']
