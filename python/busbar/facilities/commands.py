"""``self.commands``: commands of the operating system."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import BoundedSemaphore
from typing import Any, Final

from _busbar import Service, run_command

__all__ = ['CommandResult', 'CommandsFacade']

DEFAULT_TIMEOUT: Final = 600.0
REPLACEMENT: Final = '\ufffd'

# commands in the background of one worker: so many run, so many more wait, and any beyond are refused
_RUNNING: Final = 16
_WAITING: Final = 1000

_logger = logging.getLogger('busbar.commands')
_executor = ThreadPoolExecutor(_RUNNING, 'busbar-command')
_places = BoundedSemaphore(_RUNNING + _WAITING)


@dataclass
class CommandResult:
    """What came of a command."""

    cid: str = ''
    command: str = ''
    callback: Any = None
    stdin: str | bytes = ''
    stdout: str = ''
    stderr: str = ''
    is_async: bool = False
    use_pubsub: bool = False
    is_ok: bool = False
    timeout: float = DEFAULT_TIMEOUT
    exit_code: int = -1
    len_stdout_bytes: int = 0
    len_stderr_bytes: int = 0
    len_stdout_human: str = ''
    len_stderr_human: str = ''
    encoding: str = 'utf8'
    replace_char: str = REPLACEMENT
    is_timeout: bool = False
    timeout_msg: str = ''
    start_time: datetime | None = None
    start_time_iso: str = ''
    end_time: datetime | None = None
    end_time_iso: str = ''
    total_time: timedelta = field(default_factory=timedelta)
    total_time_sec: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """All of it that can be written as JSON."""
        skipped = {'callback', 'start_time', 'end_time', 'total_time', 'stdin'}
        return {key: value for key, value in vars(self).items() if key not in skipped}


class CommandsFacade:
    """``self.commands``

    A command is a line for the shell. An exit code that is not 0 raises nothing. When its time is over, it is killed
    with everything that it started.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def invoke(
        self,
        command: str,
        *,
        cid: str = '',
        timeout: float = DEFAULT_TIMEOUT,
        callback: Any = None,
        stdin: str | bytes = '',
        encoding: str = 'utf8',
        use_pubsub: bool = False,
        replace_char: str = REPLACEMENT,
    ) -> CommandResult:
        """Runs a command and waits for its end, at most ``timeout`` seconds.

        ``callback``, a function, a service's class or its name, is called with the result. Output is text in
        ``encoding``; ``replace_char`` stands for what is not.
        """
        result = self._result(command, cid, timeout, callback, stdin, encoding, use_pubsub, replace_char)
        return self._run(result)

    def invoke_async(
        self,
        command: str,
        *,
        cid: str = '',
        timeout: float = DEFAULT_TIMEOUT,
        callback: Any = None,
        stdin: str | bytes = '',
        encoding: str = 'utf8',
        use_pubsub: bool = False,
        replace_char: str = REPLACEMENT,
    ) -> CommandResult:
        """Starts a command and does not wait for it: ``callback`` gets its result.

        :raises RuntimeError: if too many commands wait already.
        """
        result = self._result(command, cid, timeout, callback, stdin, encoding, use_pubsub, replace_char)
        result.is_async = True
        if not _places.acquire(blocking=False):
            message = f'{_WAITING} commands wait already, `{command}` is not run'
            raise RuntimeError(message)
        finished = CommandResult(**vars(result))
        try:
            _executor.submit(self._run_in_background, finished)
        except RuntimeError:
            _places.release()
            raise
        return result

    def _result(
        self,
        command: str,
        cid: str,
        timeout: float,
        callback: Any,
        stdin: str | bytes,
        encoding: str,
        use_pubsub: bool,
        replace_char: str,
    ) -> CommandResult:
        if use_pubsub:
            message = 'results cannot be published yet in this version of busbar: use a service as the callback'
            raise NotImplementedError(message)
        # before anything runs
        self._callable(callback)
        'x'.encode(encoding)
        return CommandResult(
            cid=cid or self._service.cid,
            command=command,
            callback=callback,
            stdin=stdin,
            timeout=timeout,
            encoding=encoding,
            replace_char=replace_char,
        )

    def _run(self, result: CommandResult) -> CommandResult:
        stdin = result.stdin.encode(result.encoding) if isinstance(result.stdin, str) else bytes(result.stdin)
        result.start_time = _now()
        result.start_time_iso = result.start_time.isoformat()
        stdout, stderr, exit_code, dropped = run_command(self._service, result.command, stdin, result.timeout)
        result.end_time = _now()
        result.end_time_iso = result.end_time.isoformat()
        result.total_time = result.end_time - result.start_time
        result.total_time_sec = result.total_time.total_seconds()
        result.stdout, result.stderr = _text(stdout, result), _text(stderr, result)
        result.len_stdout_bytes, result.len_stderr_bytes = len(stdout), len(stderr)
        result.len_stdout_human, result.len_stderr_human = _human(len(stdout)), _human(len(stderr))
        if exit_code is None:
            result.is_timeout = True
            result.timeout_msg = f'Command `{result.command}` did not end within {result.timeout} s (cid:{result.cid})'
            _logger.warning(result.timeout_msg)
        else:
            result.exit_code = exit_code
            result.is_ok = exit_code == 0
        if dropped:
            _logger.warning('%s bytes of the output of `%s` were dropped (cid:%s)', dropped, result.command, result.cid)
        call = self._callable(result.callback)
        if call:
            call(result)
        return result

    def _run_in_background(self, result: CommandResult) -> None:
        try:
            self._run(result)
        except Exception:
            # there is nobody else to tell
            _logger.exception('command `%s` or its callback failed (cid:%s)', result.command, result.cid)
        finally:
            _places.release()

    def _callable(self, callback: Any) -> Callable[[CommandResult], Any] | None:
        """What to call with a result."""
        if not callback:
            return None
        is_service = isinstance(callback, str) or (isinstance(callback, type) and issubclass(callback, Service))
        if is_service:
            return lambda result: self._service.invoke(callback, result)
        if callable(callback):
            call: Callable[[CommandResult], Any] = callback
            return call
        message = f'a callback is a function, a service or its name, not {type(callback).__name__}'
        raise TypeError(message)


def _now() -> datetime:
    """UTC without a zone, as services know all times on ``self``."""
    return datetime.now(UTC).replace(tzinfo=None)


def _text(data: bytes, result: CommandResult) -> str:
    text = data.decode(result.encoding, 'replace')
    return text if result.replace_char == REPLACEMENT else text.replace(REPLACEMENT, result.replace_char)


def _human(size: int) -> str:
    """``1 Byte``, ``12 Bytes``, ``1.2 kB``."""
    if size < 1000:
        return f'{size} Byte' if size == 1 else f'{size} Bytes'
    for exponent, unit in enumerate(('kB', 'MB'), 1):
        if size < 1000 ** (exponent + 1):
            return f'{size / 1000**exponent:.1f} {unit}'
    return f'{size / 1000**3:.1f} GB'
