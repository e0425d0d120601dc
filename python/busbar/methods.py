"""Methods of services that need nothing native."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from _busbar import Service
from busbar.background import Background, spawn

__all__ = ['Methods']

_HIDDEN = '******'


class Methods(Service):
    """What a service can do beside what its native side does."""

    #: Services that this one invokes, as far as its source names them. Filled when it is deployed.
    invokes: ClassVar[list[str]] = []
    #: Whether hooks around ``handle`` are called.
    call_hooks: ClassVar[bool] = True
    #: Path of a JSON Schema that the request must match; empty: none.
    schema: ClassVar[str] = ''
    #: Milliseconds beyond which a call is slow; 0: none is.
    slow_threshold: ClassVar[int] = 0
    process_name: ClassVar[str] = 'No name'
    # what was switched on in server.conf: here, what there is
    component_enabled_cassandra: ClassVar[bool] = False
    component_enabled_email: ClassVar[bool] = True
    component_enabled_hl7: ClassVar[bool] = False
    component_enabled_ibm_mq: ClassVar[bool] = False
    component_enabled_invoke_matcher: ClassVar[bool] = False
    component_enabled_live_msg_browser: ClassVar[bool] = False
    component_enabled_msg_path: ClassVar[bool] = False
    component_enabled_odoo: ClassVar[bool] = False
    component_enabled_patterns: ClassVar[bool] = True
    component_enabled_search: ClassVar[bool] = False
    component_enabled_sms: ClassVar[bool] = False
    component_enabled_target_matcher: ClassVar[bool] = False
    component_enabled_zeromq: ClassVar[bool] = True

    def run_in_thread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Background:
        """Runs a function in the background and gives back a handle with ``get()`` and ``join()``.

        What runs there may go on after the service has answered.

        :raises RuntimeError: if too much runs in the background already.
        """
        return spawn(function, *args, **kwargs)

    spawn = run_in_thread

    def log_input(
        self, user_msg: str = '', level: int = logging.INFO, suppress_keys: Iterable[str] | None = None
    ) -> dict[str, Any]:
        """Logs what the service was called with, and gives it back.

        :param user_msg: put before it.
        :param suppress_keys: elements that must not show up in the log.
        """
        request = self.request
        return self._log('input', request.payload, user_msg, level, suppress_keys)

    def log_output(
        self, user_msg: str = '', level: int = logging.INFO, suppress_keys: Iterable[str] | None = None
    ) -> dict[str, Any]:
        """Logs what the service answers, and gives it back.

        :param user_msg: put before it.
        :param suppress_keys: elements that must not show up in the log.
        """
        response = self.response
        headers = {'status_code': response.status_code, 'headers': dict(response.headers)}
        return self._log('output', response.payload, user_msg, level, suppress_keys) | headers

    def _log(
        self, what: str, data: Any, user_msg: str, level: int, suppress_keys: Iterable[str] | None
    ) -> dict[str, Any]:
        if suppress_keys is not None:
            data = _without(data, frozenset(suppress_keys))
        logged = {'cid': self.cid, 'service': self.name, 'channel': self.channel.type, 'data': data}
        text = ' '.join(filter(None, (user_msg, what)))
        self.logger.log(level, '%s %s', text, logged)
        return logged

    def extract_target(self, name: str) -> tuple[str, str]:
        """Splits ``service@target`` into the two; the target is empty if there is none."""
        service, _, target = name.partition('@')
        return service, target

    def set_response_data(self, service: Service, **kwargs: Any) -> Any:
        """What another service, one of :meth:`new_instance` for instance, has set as its payload."""
        payload = service.response.payload
        to_dict = getattr(payload, 'to_dict', None)
        return to_dict() if callable(to_dict) else payload


def _without(data: Any, keys: frozenset[str]) -> Any:
    if isinstance(data, dict):
        return {key: _HIDDEN if key in keys else _without(value, keys) for key, value in data.items()}
    if isinstance(data, list):
        return [_without(value, keys) for value in data]
    return data
