"""Services that are tried again: ``self.patterns.invoke_retry``."""

from __future__ import annotations

from busbar.facilities.patterns import InvokeRetry

__all__ = ['InvokeRetry', 'NeedsRetry', 'RetryFailed']


class NeedsRetry(Exception):
    """A call failed and is to be tried again.

    :param cid: correlation id of the call.
    :param inner_exc: what it failed with.
    """

    def __init__(self, cid: str, inner_exc: BaseException | str) -> None:
        super().__init__(cid, inner_exc)
        self.cid = cid
        self.inner_exc = inner_exc


class RetryFailed(Exception):
    """A call failed once more.

    :param remaining: how many tries are left.
    :param inner_exc: what it failed with.
    """

    def __init__(self, remaining: int, inner_exc: BaseException | str) -> None:
        super().__init__(remaining, inner_exc)
        self.remaining = remaining
        self.inner_exc = inner_exc
