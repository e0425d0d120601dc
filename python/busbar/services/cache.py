"""``self.cache`` for callers from outside: behind ``/zato/cache/``."""

from __future__ import annotations

from busbar.facilities.cache_calls import CacheService, ManyKeys, is_on, told
from zato.common.exception import BadRequest, NotFound


class SingleKey(CacheService):
    """One key."""

    name = 'zato.cache.builtin.pubapi.single-key-service'

    def handle_GET(self) -> None:
        """Answers with the value."""
        options = self.options()
        cache, key = self.cache_of(options), options['key']
        entry = cache.get(key, details=True)
        if entry is None:
            if 'default' not in options:
                raise NotFound(self.cid, f'No such key `{key}`')
            self.response.payload = {'value': options['default']}
        else:
            self.response.payload = told(entry) if is_on(options, 'details') else {'value': entry.value}

    def handle_POST(self) -> None:
        """Sets the value, or when it expires, or both."""
        options = self.options()
        cache, key = self.cache_of(options), options['key']
        expiry = self.expiry_of(options)
        previous = cache.get(key, details=True)
        if 'value' in options:
            cache.set(key, options['value'], expiry)
        elif 'expiry' in options:
            if not cache.expire(key, expiry):
                raise NotFound(self.cid, f'No such key `{key}`')
        else:
            raise BadRequest(self.cid, 'At least one of value and expiry is needed')
        if is_on(options, 'return_prev'):
            self.response.payload = {'prev_value': previous.value if previous else None}

    def handle_DELETE(self) -> None:
        """Removes the key."""
        options = self.options()
        key = options['key']
        try:
            previous = self.cache_of(options).delete(key)
        except KeyError:
            raise NotFound(self.cid, f'No such key `{key}`') from None
        if is_on(options, 'return_prev'):
            self.response.payload = {'prev_value': previous}


HOW = ('by-prefix', 'by-suffix', 'by-regex', 'contains', 'not-contains', 'contains-all', 'contains-any')

for _action in ('get', 'set', 'delete', 'expire'):
    for _how in HOW:
        _name = f'{_action}-{_how}'
        _class = _name.replace('-', ' ').title().replace(' ', '')
        _own = {
            '__module__': __name__,
            '__doc__': f'`{_action}` for keys: {_how}.',
            'name': f'zato.cache.builtin.pubapi.{_name}',
            'method': _name.replace('-', '_'),
            'action': _action,
        }
        globals()[_class] = type(_class, (ManyKeys,), _own)
