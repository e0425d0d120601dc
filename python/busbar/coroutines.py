"""Runs what services declare with ``async def``.

Each handler thread has an event loop of its own, which it keeps: a loop costs more to make than a call. While a loop
has nothing to do its thread waits as everything here waits - other calls run meanwhile, and the deadline of the call
ends the wait.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import selectors
import threading
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ['run']

Wait = Callable[[int, 'float | None'], None]


class _Selector(selectors.DefaultSelector):
    """Asks what is ready, and has the server wait if nothing is."""

    def __init__(self, wait: Wait) -> None:
        super().__init__()
        self._wait = wait

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            self._wait(self.fileno(), timeout)
            ready = super().select(0)
        return ready


class _Loops(threading.local):
    """The loops of a thread: one, and one more for each service that a service invokes while its own loop runs."""

    def __init__(self) -> None:
        self.idle: list[asyncio.SelectorEventLoop] = []


_loops = _Loops()


def run(wait: Wait, awaitable: Awaitable[Any]) -> Any:
    """Runs ``awaitable`` to its end and gives back what it returns.

    Tasks that it has started and not awaited are cancelled, as ``asyncio.run`` does it.

    :param wait: waits until a file descriptor can be read, or for so many seconds.
    """
    coroutine = awaitable if inspect.iscoroutine(awaitable) else _as_coroutine(awaitable)
    outer = asyncio._get_running_loop()
    if outer is None:
        return _run(wait, coroutine)
    # a service that invokes another one from its coroutine: the loop inside must not see the one outside
    task = asyncio.current_task(outer)
    if task is not None:
        asyncio.tasks._leave_task(outer, task)
    asyncio._set_running_loop(None)
    try:
        return _run(wait, coroutine)
    finally:
        asyncio._set_running_loop(outer)
        if task is not None:
            asyncio.tasks._enter_task(outer, task)


async def _as_coroutine(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _run(wait: Wait, coroutine: Any) -> Any:
    loop = _loops.idle.pop() if _loops.idle else asyncio.SelectorEventLoop(_Selector(wait))
    is_sound = False
    try:
        task = loop.create_task(coroutine, context=contextvars.copy_context())
        try:
            result = loop.run_until_complete(task)
        except Exception:
            _cancel(loop)
            is_sound = True
            raise
        _cancel(loop)
        is_sound = True
        return result
    finally:
        if is_sound:
            _loops.idle.append(loop)
        else:
            # a deadline, or the end of the process: what is left may clean up, and the loop is not used again
            try:
                _cancel(loop)
            finally:
                loop.close()


def _cancel(loop: asyncio.SelectorEventLoop) -> None:
    if left := asyncio.all_tasks(loop):
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
