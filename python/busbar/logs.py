"""Hands Python's logging over to the server's log: one file and one format for lines of both."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Final

import _busbar

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ['TRACE1', 'ServerLog', 'setup']

#: Level below ``DEBUG``, for the finest details.
TRACE1: Final = 6


class ServerLog(logging.Handler):
    """Passes each record, with its traceback if it has one, to ``_busbar.log(level, logger, message)``."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Takes one record. Without the lock of the base class: the server's log is safe to use from many threads."""
        accepted = self.filter(record)
        if accepted:
            self.emit(accepted if isinstance(accepted, logging.LogRecord) else record)
        return bool(accepted)

    def emit(self, record: logging.LogRecord) -> None:
        """Passes one record on."""
        try:
            message = self.format(record)
        except Exception:  # noqa: BLE001 - a wrong format string must not fail the service that logs
            message = f'cannot format the log message {record.msg!r} with {record.args!r}\n{traceback.format_exc()}'
        _busbar.log(record.levelno, record.name, message)


def setup(level: int | str = logging.INFO, levels: Mapping[str, int | str] | None = None) -> None:
    """Sends everything that Python logs to the server's log. Called once, when the interpreter has started.

    :param level: lowest level that is logged: ``INFO``, ``DEBUG``, ``TRACE1``...
    :param levels: other levels for loggers by name; a service's logger has the service's name.
    :raises ValueError: if there is no such level.
    """
    logging.addLevelName(TRACE1, 'TRACE1')
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    root.addHandler(ServerLog())
    root.setLevel(_known(level))
    for name, own in (levels or {}).items():
        logging.getLogger(name).setLevel(_known(own))
    logging.captureWarnings(True)


def _known(level: int | str) -> int | str:
    # names are accepted in any case, as in the server's configuration
    return level.upper() if isinstance(level, str) else level
