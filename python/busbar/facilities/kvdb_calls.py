"""What the services have in common that manage data dictionaries and translations in the key-value database."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Final

from zato.common.exception import BadRequest, Conflict, NotFound
from zato.server.service import Service

__all__ = [
    'FIVE',
    'ITEMS',
    'ITEM_ID',
    'SEPARATOR',
    'TRANSLATION',
    'TRANSLATION_ID',
    'DictionaryService',
    'TranslationService',
    'answer',
]

SEPARATOR: Final = ':::'
ITEMS: Final = 'zato:kvdb:data-dict:item'
ITEM_ID: Final = 'zato:kvdb:data-dict:item:id'
TRANSLATION: Final = 'zato:kvdb:data-dict:translation'
TRANSLATION_ID: Final = 'zato:kvdb:data-dict:translation:id'

# The key that stands for the right to change them, and the seconds after which whoever died with it loses it.
_LOCK: Final = 'zato:kvdb:data-dict:lock'
_LOCKED: Final = 60.0

# What a translation is found by.
FIVE: Final = ('system1', 'key1', 'value1', 'system2', 'key2')


def answer(service: Service, values: Any) -> None:
    """Answers with JSON."""
    service.response.payload = values
    service.response.content_type = 'application/json'


class DictionaryService(Service):
    """What these services have in common: one JSON object as input."""

    def value(self, name: str) -> Any:
        """A value, which may be missing."""
        payload = self.request.payload or {}
        if not isinstance(payload, dict):
            raise BadRequest(self.cid, 'the request must be a JSON object', True)
        return payload.get(name)

    def text(self, name: str) -> str:
        """A value that must be there."""
        value = self.value(name)
        if value is None or value == '':
            raise BadRequest(self.cid, f'Element missing: {name}', True)
        value = str(value)
        if SEPARATOR in value or value.endswith(':'):
            raise BadRequest(self.cid, f'field `{name}`: must not contain `{SEPARATOR}`, nor end with a colon', True)
        return value

    def texts(self, *names: str) -> list[str]:
        """Several of them."""
        return [self.text(name) for name in names]

    def alone(self) -> AbstractContextManager[Any]:
        """In this block nobody else changes entries or translations: what is looked up stays as it is."""
        lock: AbstractContextManager[Any] = self.kvdb.conn.lock(_LOCK, timeout=_LOCKED, sleep=0.01)
        return lock

    def items(self) -> dict[str, list[str]]:
        """All dictionary entries by their ids: system, key and value."""
        stored: dict[str, str] = self.kvdb.conn.hgetall(ITEMS)
        return {number: parts for number, value in stored.items() if len(parts := value.split(SEPARATOR, 2)) == 3}

    def item_id(self, parts: list[str]) -> str | None:
        """The id of an entry; ``None``: there is no such entry."""
        return next((number for number, found in self.items().items() if found == parts), None)

    def translations(self) -> dict[str, dict[str, str]]:
        """All translations, by the keys that they are stored under."""
        keys = sorted(self.kvdb.conn.scan_iter(TRANSLATION + SEPARATOR + '*'))
        with self.kvdb.conn.pipeline() as pipe:
            for key in keys:
                pipe.hgetall(key)
            return dict(zip(keys, pipe.execute(), strict=True))

    def translation_key(self, number: str) -> str:
        """Under which key a translation is stored."""
        for key, fields in self.translations().items():
            if fields.get('id') == number:
                return key
        raise NotFound(self.cid, f'there is no translation with the id {number}', True)


class TranslationService(DictionaryService):
    """Makes and changes translations."""

    def store(self, number: str | int, old_key: str | None) -> None:
        """Stores what the request says under an id; what was there before under another key goes."""
        system1, key1, value1, system2, key2, value2 = self.texts(*FIVE, 'value2')
        ids = []
        for parts in ([system1, key1, value1], [system2, key2, value2]):
            found = self.item_id(parts)
            if found is None:
                raise BadRequest(self.cid, f'there is no entry {parts} in the dictionary', True)
            ids.append(found)
        key = SEPARATOR.join((TRANSLATION, system1, key1, value1, system2, key2))
        if key != old_key and self.kvdb.conn.exists(key):
            raise Conflict(self.cid, 'a translation between these exists already', True)
        with self.kvdb.conn.pipeline() as pipe:
            if old_key:
                pipe.delete(old_key)
            pipe.hset(key, mapping={'id': number, 'id1': ids[0], 'id2': ids[1], 'value2': value2})
            pipe.execute()
        answer(self, {'id': int(number)})
