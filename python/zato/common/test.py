"""What tests of services import. They run under ``busbar test``; see docs/testing.md."""

from __future__ import annotations

import random
import re
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any
from unittest import TestCase

from busbar.testing.bus import Bus

__all__ = [
    'BaseSIOTestCase',
    'Expected',
    'FakeBrokerClient',
    'FakeKVDB',
    'FakeServer',
    'ForceTypeWrapper',
    'ServiceTestCase',
    'enrich_with_static_config',
    'is_like_cid',
    'rand_bool',
    'rand_csv',
    'rand_date_utc',
    'rand_datetime',
    'rand_dict',
    'rand_float',
    'rand_int',
    'rand_list',
    'rand_list_of_dicts',
    'rand_opaque',
    'rand_string',
]


def rand_bool() -> bool:
    """Either."""
    return random.choice((True, False))


def rand_int(start: int = 1, stop: int = 100, count: int = 1) -> Any:
    """An integer, both ends included; a list of them if ``count`` is more than 1."""
    numbers = [random.randint(start, stop) for _ in range(count)]
    return numbers if count > 1 else numbers[0]


def rand_float(start: float = 1.0, stop: float = 100.0) -> float:
    """A number between the two."""
    return random.uniform(start, stop)


def rand_string(count: int = 1, prefix: str = '') -> Any:
    """A text that is never the same twice; a list of them if ``count`` is more than 1."""
    texts = [f'{prefix}{"-" if prefix else ""}{uuid.uuid4().hex}' for _ in range(count)]
    return texts if count > 1 else texts[0]


def rand_datetime(to_string: bool = True) -> Any:
    """A time within a year of now, as ISO text unless told otherwise."""
    moment = datetime.now() + timedelta(minutes=random.randint(-500_000, 500_000))
    return moment.isoformat() if to_string else moment


def rand_date_utc(as_string: bool = False) -> Any:
    """A date within a year of today."""
    day: date = (datetime.now(UTC) + timedelta(days=random.randint(-365, 365))).date()
    return day.isoformat() if as_string else day


def rand_opaque() -> object:
    """An object of which nothing is known."""
    return object()


def rand_list() -> list[Any]:
    """A few values."""
    return [rand_int(), rand_string(), rand_bool()]


def rand_dict() -> dict[str, Any]:
    """A few keys."""
    return {rand_string(): rand_int(), rand_string(): rand_string()}


def rand_list_of_dicts() -> list[dict[str, Any]]:
    """A few of them."""
    return [rand_dict() for _ in range(3)]


def rand_csv(count: int = 3) -> str:
    """Integers with commas between them."""
    return ','.join(str(rand_int()) for _ in range(count))


def is_like_cid(cid: str) -> bool:
    """Whether a text could be a correlation id: 24 hexadecimal digits. Raises ``ValueError`` if it could not."""
    if not re.fullmatch('[0-9a-f]{24}', str(cid)):
        raise ValueError(f'`{cid}` is not like a correlation id')
    return True


def enrich_with_static_config(item: object) -> None:
    """Nothing: classes have their configuration once they are deployed."""


class _Fake:
    """A part of older tests that has no counterpart: services run in a real server here."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        raise NotImplementedError(f'there is no {type(self).__name__}: use `self.bus` of ServiceTestCase instead')


class FakeServer(_Fake):
    """Not needed: there is a server."""


class FakeKVDB(_Fake):
    """Not needed: there is a key-value database."""


class FakeBrokerClient(_Fake):
    """Not needed: there is a broker."""


class ForceTypeWrapper(_Fake):
    """Not needed: values are compared as they are."""


class Expected(_Fake):
    """Not needed: expected values are plain ones."""


class ServiceTestCase(TestCase):
    """Invokes services in this process, with request data of the test's."""

    bus: Bus

    def setUp(self) -> None:
        """Begins with a server without services."""
        super().setUp()
        self.bus = Bus()

    def tearDown(self) -> None:
        """Takes away what the test has made."""
        self.bus.close()
        super().tearDown()

    def invoke(self, service: type | str, request_data: Any = None, expected: Any = None, **kwargs: Any) -> Any:
        """Invokes a service, deploying it if it is a class, and returns its response as ``self.invoke`` does.

        With ``expected``, the test fails if that is not the response.
        """
        if isinstance(service, type):
            self.bus.deploy(service)
        response = self.bus.invoke(service, {} if request_data is None else request_data, **kwargs)
        if expected is not None and response != expected:
            raise self.failureException(f'the response is {response!r}, not {expected!r}')
        return response


class BaseSIOTestCase(ServiceTestCase):
    """The same, for tests of declared input and output."""
