"""Hands Python's logging over to the server's log: one file and one format for lines of both."""

from __future__ import annotations

import logging
import traceback
from typing import Final

import _busbar

__all__ = ['TRACE1', 'ServerLog', 'setup']

#: Level below ``DEBUG``, for the finest details.
TRACE1: Final = 6

#: What the server calls all that services log.
SERVICES: Final = 'service'

#: Levels that the server has under other names.
SERVER_LEVELS: Final = {'OFF': logging.CRITICAL + 1, 'TRACE': TRACE1}


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
            given = f'{_shown(record.msg)} with {_shown(record.args)}'
            message = f'cannot format the log message {given}\n{traceback.format_exc()}'
        try:
            _busbar.log(record.levelno, record.name, message)
        except UnicodeEncodeError:
            # Python keeps bytes that are no text, as in names of files, as halves of pairs of surrogates
            _busbar.log(record.levelno, _encodable(record.name), _encodable(message))


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - as above
        return object.__repr__(value)


def _encodable(text: str) -> str:
    return text.encode('utf-8', 'backslashreplace').decode()


def setup(level: int | str = logging.INFO) -> None:
    """Sends everything that Python logs to the server's log. Called once, when the interpreter has started.

    :param level: lowest level that is logged, ``INFO``, ``DEBUG``, ``TRACE1``, or the server's own list of filters, in
        which ``service=debug`` is about all services and ``my-service.get-client-details=debug`` about one of them:
        loggers have the names of their services.
    :raises ValueError: if there is no such level.
    """
    logging.addLevelName(TRACE1, 'TRACE1')
    default, levels = _levels(level)
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    root.addHandler(ServerLog())
    root.setLevel(levels.pop(SERVICES, default))
    for name, own in levels.items():
        logging.getLogger(name).setLevel(own)
    logging.captureWarnings(True)


def _levels(text: int | str) -> tuple[int, dict[str, int]]:
    """Reads a level, or a list of filters: the level of everything, and those of single loggers."""
    if isinstance(text, int):
        return text, {}
    default = logging.INFO
    levels = {}
    for item in filter(None, map(str.strip, text.split(','))):
        name, equals, level = item.rpartition('=')
        if equals:
            levels[name.strip()] = _level(level)
        else:
            default = _level(level)
    return default, levels


def _level(name: str) -> int:
    known = logging.getLevelNamesMapping() | SERVER_LEVELS
    try:
        return known[name.strip().upper()]
    except KeyError:
        message = f'there is no log level {name.strip()!r}'
        raise ValueError(message) from None
