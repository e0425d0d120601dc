"""The key-value database for administrators: commands, data dictionaries and translations.

What is stored, and where, is what ``busbar.facilities.translate`` reads.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import hashlib
import json
import shlex
from collections.abc import Sequence
from typing import Any, Final

from busbar.facilities.kvdb_calls import (
    FIVE,
    ITEM_ID,
    ITEMS,
    SEPARATOR,
    TRANSLATION,
    TRANSLATION_ID,
    DictionaryService,
    TranslationService,
    answer,
)
from busbar.facilities.translate import translate
from busbar.kvdb import exceptions
from zato.common.exception import BadRequest, Conflict, NotFound
from zato.server.service import Service

# Bytes of an export, unpacked.
_MAX_EXPORT: Final = 64 << 20

# What reads, and what writes under keys that it names. All else is refused: what waits, what keeps state in the
# connection, what runs scripts or packages, and what is about the server, its other databases or its peers.
_ALLOWED: Final = frozenset(
    """
    APPEND BITCOUNT BITFIELD BITFIELD_RO BITOP BITPOS COPY DBSIZE DECR DECRBY DEL ECHO EXISTS EXPIRE EXPIREAT
    EXPIRETIME GEOADD GEODIST GEOHASH GEOPOS GEOSEARCH GEOSEARCHSTORE GET GETBIT GETDEL GETEX GETRANGE GETSET
    HDEL HEXISTS HGET HGETALL HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET HRANDFIELD HSCAN HSET HSETNX HSTRLEN
    HVALS INCR INCRBY INCRBYFLOAT INFO KEYS LASTSAVE LINDEX LINSERT LLEN LMOVE LMPOP LPOP LPOS LPUSH LPUSHX
    LRANGE LREM LSET LTRIM MGET MSET MSETNX OBJECT PERSIST PEXPIRE PEXPIREAT PEXPIRETIME PFADD PFCOUNT PFMERGE
    PING PSETEX PTTL PUBLISH PUBSUB RANDOMKEY RENAME RENAMENX RPOP RPOPLPUSH RPUSH RPUSHX SADD SCAN SCARD SDIFF
    SDIFFSTORE SET SETBIT SETEX SETNX SETRANGE SINTER SINTERCARD SINTERSTORE SISMEMBER SMEMBERS SMISMEMBER SMOVE
    SORT SORT_RO SPOP SRANDMEMBER SREM SSCAN STRLEN SUBSTR SUNION SUNIONSTORE TIME TOUCH TTL TYPE UNLINK XACK
    XADD XDEL XINFO XLEN XPENDING XRANGE XREVRANGE XTRIM ZADD ZCARD ZCOUNT ZDIFF ZDIFFSTORE ZINCRBY ZINTER
    ZINTERCARD ZINTERSTORE ZLEXCOUNT ZMPOP ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE
    ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX
    ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION ZUNIONSTORE
    """.split()  # noqa: SIM905 - as a list it would be a page
)


class Execute(DictionaryService):
    """Runs a command of Redis that is given as text."""

    name = 'zato.kvdb.remote-command.execute'

    def handle(self) -> None:
        """Runs it."""
        try:
            words = shlex.split(str(self.value('command') or ''))
        except ValueError as e:
            raise BadRequest(self.cid, f'Command parsing error: {e}', True) from None
        if not words:
            raise BadRequest(self.cid, 'Command parsing error: there is no command', True)
        if words[0].upper() not in _ALLOWED:
            message = f'Command parsing error: `{words[0]}` is not allowed here, only commands that read or write keys'
            raise BadRequest(self.cid, message, True)
        try:
            result = self.kvdb.conn.execute_command(*words)
        except exceptions.RedisError as e:
            raise BadRequest(self.cid, str(e), True) from None
        answer(self, {'result': '(None)' if result is None or result in ('', [], {}) else str(result)})


class DictionaryGetList(DictionaryService):
    """Lists the entries of the data dictionaries."""

    name = 'zato.kvdb.data-dict.dictionary.get-list'

    def handle(self) -> None:
        """Lists them."""
        entries = sorted(self.items().items(), key=lambda entry: int(entry[0]))
        answer(self, [{'id': int(number), 'system': s, 'key': k, 'value': v} for number, (s, k, v) in entries])


class DictionaryCreate(DictionaryService):
    """Makes an entry."""

    name = 'zato.kvdb.data-dict.dictionary.create'

    def handle(self) -> None:
        """Makes it, unless it is there."""
        parts = self.texts('system', 'key', 'value')
        with self.alone():
            if self.item_id(parts) is not None:
                raise Conflict(self.cid, f'the entry {parts} exists already', True)
            number = self.kvdb.conn.incr(ITEM_ID)
            self.kvdb.conn.hset(ITEMS, number, SEPARATOR.join(parts))
        answer(self, {'id': number})


class DictionaryEdit(DictionaryService):
    """Changes an entry, in the translations that it is part of too."""

    name = 'zato.kvdb.data-dict.dictionary.edit'

    def handle(self) -> None:
        """Changes it."""
        with self.alone():
            self.change()

    def change(self) -> None:
        """Changes it while nobody else changes anything."""
        number = self.text('id')
        parts = self.texts('system', 'key', 'value')
        if number not in self.items():
            raise NotFound(self.cid, f'there is no entry with the id {number}', True)
        if self.item_id(parts) not in (None, number):
            raise Conflict(self.cid, f'the entry {parts} exists already', True)
        translations = self.translations()
        with self.kvdb.conn.pipeline() as pipe:
            pipe.hset(ITEMS, number, SEPARATOR.join(parts))
            for key, fields in translations.items():
                system1, key1, value1, system2, key2 = key.removeprefix(TRANSLATION + SEPARATOR).split(SEPARATOR)
                if fields['id1'] == number:
                    system1, key1, value1 = parts
                if fields['id2'] == number:
                    system2, key2, fields['value2'] = parts
                if number in (fields['id1'], fields['id2']):
                    pipe.delete(key)
                    pipe.hset(SEPARATOR.join((TRANSLATION, system1, key1, value1, system2, key2)), mapping=fields)
            pipe.execute()
        answer(self, {'id': int(number)})


class DictionaryDelete(DictionaryService):
    """Deletes an entry and the translations that it is part of."""

    name = 'zato.kvdb.data-dict.dictionary.delete'

    def handle(self) -> None:
        """Deletes it."""
        with self.alone():
            self.delete()

    def delete(self) -> None:
        """Deletes it while nobody else changes anything."""
        number = self.text('id')
        if number not in self.items():
            raise NotFound(self.cid, f'there is no entry with the id {number}', True)
        translations = self.translations()
        with self.kvdb.conn.pipeline() as pipe:
            pipe.hdel(ITEMS, number)
            for key, fields in translations.items():
                if number in (fields['id1'], fields['id2']):
                    pipe.delete(key)
            pipe.execute()
        answer(self, {'id': int(number)})


class DictionaryGetSystemList(DictionaryService):
    """Lists the systems that have entries."""

    name = 'zato.kvdb.data-dict.dictionary.get-system-list'

    def handle(self) -> None:
        """Lists them."""
        answer(self, [{'name': name} for name in sorted({parts[0] for parts in self.items().values()})])


class DictionaryGetKeyList(DictionaryService):
    """Lists the keys of a system."""

    name = 'zato.kvdb.data-dict.dictionary.get-key-list'

    def handle(self) -> None:
        """Lists them."""
        system = self.text('system')
        names = sorted({parts[1] for parts in self.items().values() if parts[0] == system})
        answer(self, [{'name': name} for name in names])


class DictionaryGetValueList(DictionaryService):
    """Lists the values of a key of a system."""

    name = 'zato.kvdb.data-dict.dictionary.get-value-list'

    def handle(self) -> None:
        """Lists them."""
        wanted = self.texts('system', 'key')
        names = sorted({parts[2] for parts in self.items().values() if parts[:2] == wanted})
        answer(self, [{'name': name} for name in names])


class DictionaryGetLastID(Service):
    """Tells the id that was given to an entry last."""

    name = 'zato.kvdb.data-dict.dictionary.get-last-id'

    def handle(self) -> None:
        """Tells it."""
        value = self.kvdb.conn.get(ITEM_ID)
        answer(self, {'value': int(value) if value else ''})


class TranslationGetList(DictionaryService):
    """Lists the translations."""

    name = 'zato.kvdb.data-dict.translation.get-list'

    def handle(self) -> None:
        """Lists them."""
        found = []
        for key, fields in self.translations().items():
            parts = key.removeprefix(TRANSLATION + SEPARATOR).split(SEPARATOR)
            item: dict[str, Any] = dict(zip(FIVE, parts, strict=True))
            item.update(id=int(fields['id']), id1=int(fields['id1']), id2=int(fields['id2']), value2=fields['value2'])
            found.append(item)
        answer(self, sorted(found, key=lambda item: item['id']))


class TranslationCreate(TranslationService):
    """Makes a translation between two entries."""

    name = 'zato.kvdb.data-dict.translation.create'

    def handle(self) -> None:
        """Makes it, unless it is there."""
        with self.alone():
            self.store(self.kvdb.conn.incr(TRANSLATION_ID), None)


class TranslationEdit(TranslationService):
    """Changes a translation."""

    name = 'zato.kvdb.data-dict.translation.edit'

    def handle(self) -> None:
        """Changes it."""
        number = self.text('id')
        with self.alone():
            self.store(number, self.translation_key(number))


class TranslationDelete(TranslationService):
    """Deletes a translation."""

    name = 'zato.kvdb.data-dict.translation.delete'

    def handle(self) -> None:
        """Deletes it."""
        with self.alone():
            self.kvdb.conn.delete(self.translation_key(self.text('id')))


class TranslationTranslate(DictionaryService):
    """Translates a value."""

    name = 'zato.kvdb.data-dict.translation.translate'

    def handle(self) -> None:
        """Translates it."""
        system1, key1, value1, system2, key2 = self.texts(*FIVE)
        value = translate(self.kvdb.conn, system1, key1, value1, system2, key2, None)
        if value is None:
            answer(self, {'value2': ''})
            return
        data = value.encode()
        answer(
            self,
            {
                'value2': value,
                'repr': repr(value),
                'hex': data.hex(),
                'sha1': hashlib.sha1(data, usedforsecurity=False).hexdigest(),
                'sha256': hashlib.sha256(data).hexdigest(),
            },
        )


class TranslationGetLastID(Service):
    """Tells the id that was given to a translation last."""

    name = 'zato.kvdb.data-dict.translation.get-last-id'

    def handle(self) -> None:
        """Tells it."""
        value = self.kvdb.conn.get(TRANSLATION_ID)
        answer(self, {'value': int(value) if value else ''})


def _unpacked(packed: bytes) -> bytes:
    """What is in an export, unless that is more than there can be in earnest."""
    decompressor = bz2.BZ2Decompressor()
    data = decompressor.decompress(packed, _MAX_EXPORT)
    if not decompressor.eof:
        message = f'it is cut off, or holds more than {_MAX_EXPORT >> 20} MB'
        raise ValueError(message)
    return data


def _joined(item: dict[str, Any], names: Sequence[str]) -> str:
    """Parts of an entry in one text."""
    parts = [str(item[name]) for name in names]
    if any(SEPARATOR in part or part.endswith(':') for part in parts):
        message = f'no part of an entry can have `{SEPARATOR}` in it, or end with a colon'
        raise ValueError(message)
    return SEPARATOR.join(parts)


class Import(DictionaryService):
    """Replaces all entries and translations by those of an export."""

    name = 'zato.kvdb.data-dict.impexp.import'

    def handle(self) -> None:
        """Reads all of it before anything is replaced."""
        data = str(self.value('data') or '')
        try:
            document = json.loads(_unpacked(base64.b64decode(data, validate=False)))['data']
            items = {str(int(item['id'])): _joined(item, ('system', 'key', 'value')) for item in document['dict_list']}
            translations = {
                f'{TRANSLATION}{SEPARATOR}{_joined(item, FIVE)}': {
                    name: str(item[name]) for name in ('id', 'id1', 'id2', 'value2')
                }
                for item in document['translation_list']
            }
            last_item, last_translation = int(document['last_dict_id']), int(document['last_translation_id'])
        except (KeyError, TypeError, ValueError, OverflowError, OSError, EOFError, binascii.Error) as e:
            raise BadRequest(self.cid, f'field `data`: is not an export of data dictionaries: {e!r}', True) from None
        with self.alone():
            self.replace(items, translations, last_item, last_translation)

    def replace(
        self,
        items: dict[str, str],
        translations: dict[str, dict[str, str]],
        last_item: int,
        last_translation: int,
    ) -> None:
        """Replaces everything while nobody else changes anything."""
        old = list(self.translations())
        with self.kvdb.conn.pipeline() as pipe:
            pipe.delete(ITEMS, *old)
            if items:
                pipe.hset(ITEMS, mapping=items)
            for key, fields in translations.items():
                pipe.hset(key, mapping=fields)
            pipe.set(ITEM_ID, last_item)
            pipe.set(TRANSLATION_ID, last_translation)
            pipe.execute()


class LogConnectionInfo(Service):
    """Writes into the log which database it is."""

    name = 'zato.kvdb.log-connection-info'

    def handle(self) -> None:
        """Writes it."""
        info = self.kvdb.conn.info('server')
        self.logger.info('The key-value database is Redis %s (process %s)', info['redis_version'], info['process_id'])
