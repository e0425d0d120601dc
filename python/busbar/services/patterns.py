"""What runs the services of ``self.patterns``, as messages that survive whoever runs them."""

from __future__ import annotations

import traceback
from typing import Any

from _busbar import pack, pause, unpack
from busbar.facilities.patterns import RETRY_SERVICE, now
from zato.server.service import Service

# how long the results of a fan-out are kept if not all of its services ever end
_KEEP_SECONDS = 7 * 24 * 3600


class Call(Service):
    """Runs one service of a fan-out or a parallel execution, and those that wait for it."""

    name = 'zato.pattern.call'

    def handle(self) -> None:
        """Calls the service, tells what came of it, and, after the last one, what came of all."""
        what: dict[str, Any] = self.request.payload
        kind, cid = what['kind'], what['cid']
        result = {
            'source': what['source'],
            'target': what['target'],
            'response': None,
            'req_ts_utc': what['req_ts_utc'],
            'resp_ts_utc': None,
            'ok': False,
            'exception': None,
            'cid': cid,
            'phase': 'on-target',
        }
        try:
            response = self.invoke(what['target'], what['payload'], cid=cid, channel=f'{kind}-call')
            # what is no plain data cannot be told to anybody
            pack(response)
        except Exception as e:  # noqa: BLE001 - that it failed is a result too
            self.logger.warning('service `%s` failed in a %s of `%s`: %r', what['target'], kind, what['source'], e)
            result['exception'] = traceback.format_exc()
        else:
            result['response'] = response
            result['ok'] = True
        result['resp_ts_utc'] = now()
        for name in what['on_target']:
            self.invoke_async(name, result, cid=cid, channel=f'{kind}-on-target')
        if what['on_final']:
            self._finish(what, result)

    def _finish(self, what: dict[str, Any], result: dict[str, Any]) -> None:
        """Notes a result; the one that finds all the others there calls the final services."""
        conn = self.kvdb.conn
        key, turn = f'busbar:pattern:{what["id"]}', f'busbar:pattern:{what["id"]}:final'
        index = str(what['index'])
        conn.hset(key, index, pack(result).decode('utf8'))
        conn.expire(key, _KEEP_SECONDS)
        results = conn.hgetall(key)
        if len(results) < what['total']:
            return
        # two may end at the same moment; a message that is run again finds that it was its own turn
        if not conn.set(turn, index, nx=True, ex=_KEEP_SECONDS) and conn.get(turn) != index:
            return
        final = {
            'phase': 'on-final',
            'source': what['source'],
            'req_ts_utc': what['req_ts_utc'],
            'on_target': what['on_target'],
            'on_final': what['on_final'],
            'data': [unpack(results[number].encode('utf8')) for number in sorted(results, key=int)],
        }
        for name in what['on_final']:
            self.invoke_async(name, final, cid=what['cid'], channel='fanout-on-final')
        conn.delete(key)


class Retry(Service):
    """Tries a service again; each try is a message of its own."""

    name = RETRY_SERVICE

    def handle(self) -> None:
        """Makes the next try, after a pause unless it is the first one."""
        what: dict[str, Any] = self.request.payload
        attempt = what['attempt']
        if attempt:
            pause(self, what['seconds'])
        response, ok = None, False
        try:
            response = self.invoke(what['target'], *what['args'], **what['kwargs'], cid=what['cid'])
            pack(response)
        except Exception as e:  # noqa: BLE001 - whatever it is, the next try may work
            self.logger.warning('try %s of service `%s` failed: %r', attempt + 1, what['target'], e)
            if attempt < what['repeats']:
                self.invoke_async(RETRY_SERVICE, what | {'attempt': attempt + 1}, cid=what['cid'])
                return
            response = None
        else:
            ok = True
        told = {
            'ok': ok,
            'orig_cid': what['orig_cid'],
            'call_cid': what['cid'],
            'source': what['source'],
            'target': what['target'],
            'retry_seconds': what['seconds'],
            'retry_repeats': what['repeats'],
            'context': what['context'],
            'req_ts_utc': what['req_ts_utc'],
            'resp_ts_utc': now(),
            'response': response,
        }
        for name in what['callback']:
            self.invoke_async(name, told, cid=what['cid'])
