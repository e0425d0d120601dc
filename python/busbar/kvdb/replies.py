"""What replies become that Redis writes as text of its own, or as lists of names and values: the shapes of redis-py.

Each function takes a reply as it came, with text or with bytes in it, and is called by its name from the native side.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

_CLIENT_NUMBERS: Final = frozenset(
    (
        'age',
        'argv-mem',
        'db',
        'id',
        'idle',
        'multi',
        'obl',
        'oll',
        'omem',
        'psub',
        'qbuf',
        'qbuf-free',
        'sub',
        'tot-mem',
    )
)


def _text(value: Any) -> Any:
    return value.decode(errors='replace') if isinstance(value, bytes) else value


def _texts(values: Any) -> list[Any]:
    return [_text(value) for value in values]


def _pairs(values: Any) -> dict[Any, Any]:
    each = iter(values or ())
    return dict(zip(each, each, strict=False))


def _named(values: Any) -> dict[str, Any]:
    return {_text(name): value for name, value in _pairs(values).items()}


def _number(text: str) -> Any:
    try:
        return float(text) if '.' in text else int(text)
    except ValueError:
        return text


def _info_value(text: str) -> Any:
    if '=' not in text:
        return [_number(part) for part in text.split(',') if part] if ',' in text else _number(text)
    values: dict[str, Any] = {}
    for part in text.split(','):
        name, equals, value = part.rpartition('=')
        if equals:
            values[name] = _number(value)
        elif part:
            values[part] = True
    return values


def info(reply: Any) -> dict[str, Any]:
    """``INFO``: sections in one dictionary, numbers as numbers, ``a=1,b=2`` as a dictionary."""
    found: dict[str, Any] = {}
    for line in _text(reply).splitlines():
        if not line or line.startswith('#'):
            continue
        name, colon, value = line.partition(':')
        if not colon:
            found.setdefault('__raw__', []).append(line)
        elif name == 'module':
            found.setdefault('modules', []).append(_info_value(value))
        else:
            if name == 'cmdstat_host':
                name, _, value = line.rpartition(':')
            found[name] = _info_value(value)
    return found


def lastsave(reply: Any) -> datetime | None:
    """``LASTSAVE``: a local time, without a zone, as redis-py gives it."""
    return datetime.fromtimestamp(int(reply)) if reply else None


def config_get(reply: Any) -> dict[Any, Any]:
    """``CONFIG GET``"""
    return _pairs(_texts(reply))


def _client(line: str) -> dict[str, str]:
    return dict(pair.split('=', 1) for pair in line.split(' ') if '=' in pair)


def client_list(reply: Any) -> list[dict[str, str]]:
    """``CLIENT LIST``"""
    return [_client(line) for line in _text(reply).splitlines()]


def client_info(reply: Any) -> dict[str, Any]:
    """``CLIENT INFO``"""
    found: dict[str, Any] = dict(_client(_text(reply).strip()))
    return {name: int(value) if name in _CLIENT_NUMBERS else value for name, value in found.items()}


def acl_getuser(reply: Any) -> dict[str, Any] | None:
    """``ACL GETUSER``"""
    if reply is None:
        return None
    user = _named(reply)
    user['flags'] = _texts(user['flags'])
    user['passwords'] = _texts(user['passwords'])
    for name in ('keys', 'channels'):
        value = _text(user.get(name))
        if isinstance(value, str):
            user[name] = value.split(' ') if value else []
    if user.get('selectors'):
        user['selectors'] = [_texts(selector) for selector in user['selectors']]
    rules = _text(user['commands']).split(' ')
    user['commands'] = [rule for rule in rules if '@' not in rule]
    user['categories'] = [rule for rule in rules if '@' in rule]
    user['enabled'] = 'on' in user['flags']
    return user


def acl_log(reply: Any) -> Any:
    """``ACL LOG``"""
    if not isinstance(reply, list):
        return _text(reply) == 'OK'
    found = []
    for item in reply:
        entry = {name: _text(value) for name, value in _named(item).items()}
        entry['client-info'] = client_info(entry.get('client-info', ''))
        entry['age-seconds'] = float(entry['age-seconds'])
        found.append(entry)
    return found


def command(reply: Any) -> dict[str, dict[str, Any]]:
    """``COMMAND``"""
    found = {}
    for item in reply:
        about = {
            'name': _text(item[0]),
            'arity': int(item[1]),
            'flags': _texts(item[2]),
            'first_key_pos': item[3],
            'last_key_pos': item[4],
            'step_count': item[5],
        }
        if len(item) > 7:
            about |= {'tips': item[7], 'key_specifications': item[8], 'subcommands': item[9]}
        found[about['name']] = about
    return found


def debug_object(reply: Any) -> dict[str, Any]:
    """``DEBUG OBJECT``"""
    found = dict(pair.split(':', 1) for pair in f'type:{_text(reply)}'.split())
    numbers = ('refcount', 'serializedlength', 'lru', 'lru_seconds_idle')
    return {name: int(value) if name in numbers else value for name, value in found.items()}


def memory_stats(reply: Any) -> dict[str, Any]:
    """``MEMORY STATS``"""
    stats = {name: _text(value) for name, value in _named(reply).items()}
    for name, value in stats.items():
        if name.startswith('db.') and isinstance(value, list):
            stats[name] = {inner: _text(number) for inner, number in _named(value).items()}
    return stats


def module_list(reply: Any) -> list[dict[Any, Any]]:
    """``MODULE LIST``"""
    return [_pairs(item) for item in reply]


def slowlog_get(reply: Any) -> list[dict[str, Any]]:
    """``SLOWLOG GET``"""
    found = []
    for item in reply:
        words = item[3]
        entry: dict[str, Any] = {'id': item[0], 'start_time': int(item[1]), 'duration': int(item[2])}
        entry['command'] = (b' ' if words and isinstance(words[0], bytes) else ' ').join(words)
        if len(item) >= 6:
            entry |= {'client_address': item[4], 'client_name': item[5]}
        found.append(entry)
    return found


def cluster_info(reply: Any) -> dict[str, str]:
    """``CLUSTER INFO``"""
    return dict(line.split(':', 1) for line in _text(reply).splitlines() if line)


def cluster_nodes(reply: Any) -> dict[str, dict[str, Any]]:
    """``CLUSTER NODES`` and ``CLUSTER REPLICAS``: by address."""
    lines = reply if isinstance(reply, list) else reply.splitlines()
    return dict(_node(_text(line)) for line in lines)


def _node(line: str) -> tuple[str, dict[str, Any]]:
    words = line.split(' ')
    node_id, address, flags, master, ping, pong, epoch, link = words[:8]
    host, _, behind = address.partition('@')
    node: dict[str, Any] = {
        'node_id': node_id,
        'hostname': behind.partition(',')[2].partition(',')[0],
        'flags': flags,
        'master_id': master,
        'last_ping_sent': ping,
        'last_pong_rcvd': pong,
        'epoch': epoch,
        'slots': [],
        'migrations': [],
        'connected': link == 'connected',
    }
    for slots in words[8:]:
        for arrow, state in (('->-', 'migrating'), ('-<-', 'importing')):
            if arrow in slots:
                slot, other = slots[1:-1].split(arrow, 1)
                node['migrations'].append({'slot': slot, 'node_id': other, 'state': state})
                break
        else:
            node['slots'].append(slots.split('-'))
    return host, node
