"""``postgresql+busbar``

The driver hands parameters to the server beside the statement, so their types are written out as casts, which is what
SQLAlchemy's other dialects of that kind do. Ranges, and what has no type of Python's own, come as PostgreSQL writes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Final

from sqlalchemy import exc, types
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import base, json

from busbar.sql.dialects.common import IS_14, Common, CommonContext

__all__ = ['PostgreSQL']

if IS_14:
    from sqlalchemy import processors
else:
    from sqlalchemy.engine import processors

_FLOATS: Final = base._FLOAT_TYPES
_EXACT: Final = (*base._DECIMAL_TYPES, *base._INT_TYPES)


#: Types whose values the driver has read: json, jsonb, and arrays of them.
_JSON: Final = frozenset({114, 199, 3802, 3807})


def _cast(of: type, **more: Any) -> type:
    """The same type, whose parameters are cast to it."""
    return type(f'Cast{of.__name__}', (of,), {'render_bind_cast': True, '__module__': __name__, **more})


def _read(of: Any) -> type:
    """A type of JSON, whose values the driver has read; where a column of another type stands for it, they are text."""

    def result_processor(self: Any, dialect: Any, coltype: object) -> Any:
        return None if coltype in _JSON else of.result_processor(self, dialect, coltype)

    return type(of.__name__, (of,), {'result_processor': result_processor, '__module__': __name__})


class _Interval(postgresql.INTERVAL):
    render_bind_cast = True

    @classmethod
    def adapt_emulated_to_native(cls, interval: Any, **kw: Any) -> _Interval:
        return _Interval(precision=interval.second_precision)


def _number(self: Any, dialect: Any, coltype: int) -> Callable[[Any], Any] | None:
    """What a number is turned into: the driver gives floats, integers and decimals as the server has them."""
    if coltype not in _FLOATS and coltype not in _EXACT:
        message = f'a number was expected, and the column is of the type with the OID {coltype}'
        raise exc.InvalidRequestError(message)
    if self.asdecimal:
        if coltype in _FLOATS:
            return processors.to_decimal_processor_factory(Decimal, self._effective_decimal_return_scale)
        return None
    return None if coltype in _FLOATS else processors.to_float


_AS_IT_IS: Final = {'bind_processor': lambda self, dialect: None, 'result_processor': _number}
_Numeric: Final = type('Numeric', (types.Numeric,), _AS_IT_IS)
_Float: Final = type('Float', (types.Float,), _AS_IT_IS)

_COLSPECS: dict[Any, Any] = {
    types.Numeric: _Numeric,
    types.Float: _Float,
    types.JSON: _read(json.JSON),
    json.JSON: _read(json.JSON),
    json.JSONB: _read(json.JSONB),
}


def _cast_specs() -> dict[Any, Any]:
    index = types.JSON
    # text has no cast: the server takes it for what it is compared with, as it does a literal
    return {
        types.ARRAY: _cast(postgresql.ARRAY),
        index.JSONPathType: json.JSONPathType,
        index.JSONIntIndexType: _cast(index.JSONIntIndexType, __visit_name__='json_int_index'),
        index.JSONStrIndexType: _cast(index.JSONStrIndexType, __visit_name__='json_str_index'),
        types.Interval: _Interval,
        postgresql.INTERVAL: _Interval,
        types.Date: _cast(types.Date),
        types.DateTime: _cast(types.DateTime),
        types.Time: _cast(types.Time),
        types.Integer: _cast(types.Integer),
        types.SmallInteger: _cast(types.SmallInteger),
        types.BigInteger: _cast(types.BigInteger),
        types.Boolean: _cast(types.Boolean),
        types.LargeBinary: _cast(types.LargeBinary),
    }


def _specs_14() -> dict[Any, Any]:
    """1.4 takes it that the driver gives text for a UUID."""

    class UUID(postgresql.UUID):
        def result_processor(self, dialect: Any, coltype: object) -> Any:
            return None if self.as_uuid else lambda value: value if value is None else str(value)

    return {postgresql.UUID: UUID}


# === ranges ===

_RANGE: Final = re.compile(r'([\[(])("(?:[^"\\]|""|\\.)*"|[^,"]*),("(?:[^"\\]|""|\\.)*"|[^,"\])]*)([\])])', re.DOTALL)

_BOUNDS: Final[dict[str, Callable[[str], Any]]] = {
    'int4': int,
    'int8': int,
    'num': Decimal,
    'date': date.fromisoformat,
    'ts': datetime.fromisoformat,
    'tstz': datetime.fromisoformat,
}


def _bound_reader(name: str) -> Callable[[str], Any]:
    """Reads a bound of a range type, given its name: ``int4range``, ``TSTZMULTIRANGE``."""
    read = _BOUNDS.get(name.lower().removesuffix('range').removesuffix('multi'), str)

    def bound(text: str) -> Any:
        if not text:
            return None
        if text.startswith('"'):
            text = re.sub(r'\\(.)|""', lambda found: found.group(1) or '"', text[1:-1], flags=re.DOTALL)
        return read(text)

    return bound


def _range_specs() -> dict[Any, Any]:
    from sqlalchemy.dialects.postgresql import ranges

    multi_range: Any = getattr(ranges, 'MultiRange', list)

    def written(value: Any) -> Any:
        return str(value) if isinstance(value, ranges.Range) else value

    def read(found: re.Match[str], bound: Callable[[str], Any]) -> Any:
        return ranges.Range(bound(found[2]), bound(found[3]), bounds=found[1] + found[4])

    class Range(ranges.AbstractSingleRangeImpl):
        render_bind_cast = True

        def bind_processor(self, dialect: Any) -> Any:
            return written

        def result_processor(self, dialect: Any, coltype: object) -> Any:
            bound = _bound_reader(self.__visit_name__)

            def process(value: str | None) -> Any:
                if value is None:
                    return None
                if value == 'empty':
                    return ranges.Range(empty=True)
                found = _RANGE.fullmatch(value)
                return value if found is None else read(found, bound)

            return process

    class MultiRange(ranges.AbstractMultiRangeImpl):
        render_bind_cast = True

        def bind_processor(self, dialect: Any) -> Any:
            def process(value: Any) -> Any:
                if value is None or isinstance(value, str):
                    return value
                return '{' + ','.join(written(item) for item in value) + '}'

            return process

        def result_processor(self, dialect: Any, coltype: object) -> Any:
            bound = _bound_reader(self.__visit_name__)

            def process(value: str | None) -> Any:
                return None if value is None else multi_range(read(found, bound) for found in _RANGE.finditer(value))

            return process

    return {ranges.AbstractSingleRange: Range, ranges.AbstractMultiRange: MultiRange}


def _vector_specs() -> dict[Any, Any]:
    """Vectors of the catalogue come as PostgreSQL writes them: numbers with spaces between them."""
    from sqlalchemy.dialects.postgresql import pg_catalog

    def result_processor(self: Any, dialect: Any, coltype: object) -> Any:
        return lambda value: None if value is None else [int(number) for number in value.split()]

    def spaced(of: type) -> type:
        return type(
            of.__name__, (of,), {'cache_ok': True, 'result_processor': result_processor, '__module__': __name__}
        )

    return {of: spaced(of) for of in (pg_catalog.INT2VECTOR, pg_catalog.OIDVECTOR)}


_COLSPECS |= _specs_14() if IS_14 else _cast_specs() | _range_specs() | _vector_specs()


class _Context(CommonContext, base.PGExecutionContext):
    pass


class PostgreSQL(Common, base.PGDialect):
    """PostgreSQL."""

    # a parameter that stands in a statement twice is one parameter: PostgreSQL compares expressions by that
    default_paramstyle = 'pyformat'
    supports_statement_cache = True
    execution_ctx_cls = _Context
    supports_native_json_serialization = False
    supports_native_json_deserialization = False
    colspecs: ClassVar[dict[Any, Any]] = {**base.PGDialect.colspecs, **_COLSPECS}

    def on_connect(self) -> Callable[[Any], None] | None:
        """The driver reads JSON, also of statements given as text; with the engine's deserializer if it has one."""
        above = super().on_connect()
        loads = self._json_deserializer
        if loads is None:
            return above

        def on_connect(connection: Any) -> None:
            connection.json_loads = loads
            if above is not None:
                above(connection)

        return on_connect

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        version = self._driver_connection(connection).server_version
        found = re.match(r'(\d+)(?:\.(\d+))?(?:\.(\d+))?', version)
        if found is None:
            message = f'cannot tell the version of the server from `{version}`'
            raise exc.InvalidRequestError(message)
        return tuple(int(part) for part in found.groups() if part is not None)

    def set_readonly(self, connection: Any, value: bool) -> None:
        """Whether transactions may write."""
        connection.readonly = value

    def get_readonly(self, connection: Any) -> bool:
        """Whether transactions may only read."""
        return bool(connection.readonly)

    def set_deferrable(self, connection: Any, value: bool) -> None:
        """Whether serialisable transactions that only read wait for a moment at which nothing can go wrong."""
        connection.deferrable = value

    def get_deferrable(self, connection: Any) -> bool:
        """Whether they do."""
        return bool(connection.deferrable)
