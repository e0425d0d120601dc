"""``self.patterns``: many services at once, and services that are tried again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from _busbar import Service, pause
from zato.common.exception import ZatoException

__all__ = ['FanOut', 'InvokeRetry', 'ParallelExec', 'Patterns']

#: Service that runs one target of a fan-out or a parallel execution.
CALL_SERVICE: Final = 'zato.pattern.call'
#: Service that tries a service again, in the background.
RETRY_SERVICE: Final = 'zato.pattern.retry'


def now() -> str:
    """The time in UTC, as ISO text."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat()


def names(given: Any) -> list[str]:
    """Names of services out of what a service gave: nothing, one or several, by name or class."""
    if not given:
        return []
    several: Iterable[Any] = [given] if isinstance(given, (str, type)) else given
    return [one if isinstance(one, str) else one.get_name() for one in several]


class _Many:
    """Runs services at the same time, each as a message of its own."""

    kind = ''

    def __init__(self, service: Service) -> None:
        self._service: Any = service

    def _start(self, targets: Mapping[str, Any], on_final: Any, on_target: Any, cid: str | None) -> str:
        service = self._service
        cid = cid or service.cid
        what = {
            'id': uuid4().hex,
            'kind': self.kind,
            'cid': cid,
            'source': service.name,
            'req_ts_utc': now(),
            'on_target': names(on_target),
            'on_final': names(on_final),
            'total': len(targets),
        }
        for name in (*targets, *what['on_target'], *what['on_final']):
            if not service.knows_service(name):
                raise KeyError(name)
        for index, (name, payload) in enumerate(targets.items()):
            service.invoke_async(CALL_SERVICE, what | {'index': index, 'target': name, 'payload': payload}, cid=cid)
        return cid


class FanOut(_Many):
    """``self.patterns.fanout``"""

    kind = 'fanout'

    def invoke(self, targets: Mapping[str, Any], on_final: Any, on_target: Any = None, cid: str | None = None) -> str:
        """Invokes services at the same time, ``on_target`` after each of them and ``on_final`` once after all.

        :param targets: what to send to which service, by name.
        :returns: the correlation id of all these calls, which is the caller's own unless one is given.
        """
        return self._start(targets, on_final, on_target, cid)


class ParallelExec(_Many):
    """``self.patterns.parallel``"""

    kind = 'parallel-exec'

    def invoke(self, targets: Mapping[str, Any], on_target: Any, cid: str | None = None) -> str:
        """Invokes services at the same time, and ``on_target`` after each of them.

        :param targets: what to send to which service, by name.
        :returns: the correlation id of all these calls, which is the caller's own unless one is given.
        """
        return self._start(targets, None, on_target, cid)


class InvokeRetry:
    """``self.patterns.invoke_retry``"""

    def __init__(self, service: Service) -> None:
        self._service: Any = service

    def invoke(self, target: str, *args: Any, **kwargs: Any) -> Any:
        """Invokes a service; if it fails ``repeats`` times more, with ``seconds`` or ``minutes`` between them.

        With ``async_fallback=True`` only the first try is waited for. If it fails the others are made in the
        background, the correlation id of the call is returned, and the service ``callback`` is told how it ended.

        :raises ValueError: if the arguments make no sense.
        :raises ZatoException: if no try worked.
        """
        in_background = bool(kwargs.pop('async_fallback', False))
        options = self._options(target, kwargs, needs_callback=in_background)
        try:
            return self._service.invoke(target, *args, **kwargs)
        except Exception as e:  # noqa: BLE001 - whatever it is, the next try may work
            if in_background:
                return self._leave(options, args, kwargs, attempt=1)
            last = e
        for _ in range(options['repeats']):
            pause(self._service, options['seconds'])
            try:
                return self._service.invoke(target, *args, **kwargs)
            except Exception as e:  # noqa: BLE001 - whatever it is, the next try may work
                last = e
        message = f'service `{target}` failed {options["repeats"] + 1} times, the last time with {last!r}'
        raise ZatoException(self._service.cid, message) from last

    def invoke_async(self, target: str, *args: Any, **kwargs: Any) -> str:
        """The same, with all tries in the background.

        :returns: the correlation id of the call.
        :raises ValueError: if the arguments make no sense.
        """
        kwargs.pop('async_fallback', None)
        return self._leave(self._options(target, kwargs, needs_callback=True), args, kwargs, attempt=0)

    def _options(self, target: str, kwargs: dict[str, Any], *, needs_callback: bool) -> dict[str, Any]:
        """Takes the options of a retry out of the keyword arguments."""
        callback, context, cid = (kwargs.pop(name, None) for name in ('callback', 'context', 'cid'))
        repeats, seconds, minutes = (kwargs.pop(name, None) for name in ('repeats', 'seconds', 'minutes'))
        if not repeats:
            message = 'how often to try again is needed: repeats='
            raise ValueError(message)
        if bool(seconds) == bool(minutes):
            message = 'exactly one of seconds= and minutes= is needed'
            raise ValueError(message)
        if needs_callback and not callback:
            message = 'a service to tell how it ended is needed: callback='
            raise ValueError(message)
        callbacks = names(callback)
        for name in callbacks:
            if not self._service.knows_service(name):
                message = f'there is no service `{name}` to tell how it ended'
                raise ValueError(message)
        return {
            'target': target,
            'callback': callbacks,
            'context': context,
            'cid': cid,
            'repeats': int(repeats),
            'seconds': float(seconds or minutes * 60),
        }

    def _leave(self, options: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any], attempt: int) -> str:
        service = self._service
        if not service.knows_service(options['target']):
            raise KeyError(options['target'])
        cid: str = options['cid'] or uuid4().hex[:24]
        what = {
            'args': list(args),
            'kwargs': kwargs,
            'source': service.name,
            'orig_cid': service.cid,
            'req_ts_utc': now(),
            'attempt': attempt,
        }
        service.invoke_async(RETRY_SERVICE, options | what | {'cid': cid}, cid=cid)
        return cid


class Patterns:
    """``self.patterns``"""

    def __init__(self, service: Service) -> None:
        self.fanout = FanOut(service)
        self.parallel = ParallelExec(service)
        self.invoke_retry = InvokeRetry(service)
