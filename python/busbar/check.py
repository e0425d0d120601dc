"""What ``busbar check`` says of a service file beyond importing it."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from typing import Final

from busbar import python2


def findings(source: bytes, missing: list[tuple[str, str]]) -> list[tuple[int, str]]:
    """Where a file, which need not parse, uses what this version of busbar does not have, or what only Python 2 knows.

    :param missing: what is not there on ``self``, such as ``outgoing.ftp``, each with what is to be said of it.

    Returns pairs of a line number and a text, in the order of the lines.
    """
    found = set(python2.findings(source))
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        # importing the file says so
        return sorted(found)
    return sorted({*found, *unsupported(tree, missing), *idioms(tree)})


def unsupported(tree: ast.AST, missing: list[tuple[str, str]]) -> Iterator[tuple[int, str]]:
    """Where a file uses something on ``self`` that this version of busbar does not have.

    Only attributes of ``self`` in classes count; those that the class sets itself are its own.
    """
    texts = dict(missing)
    for class_ in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        attributes = [node for node in ast.walk(class_) if isinstance(node, ast.Attribute)]
        own = {node.attr for node in attributes if isinstance(node.ctx, ast.Store) and _path(node) == node.attr}
        own |= {node.name for node in class_.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        for node in attributes:
            path = _path(node)
            if path in texts and path.partition('.')[0] not in own:
                yield node.lineno, texts[path]


def _path(node: ast.expr) -> str:
    """``outgoing.ftp`` of ``self.outgoing.ftp``; empty if it is nothing on ``self``."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return '.'.join(reversed(names)) if isinstance(node, ast.Name) and node.id == 'self' else ''


#: Methods of dictionaries that gave lists, and functions that did.
_VIEWS: Final = frozenset({'keys', 'values', 'items'})
_LAZY: Final = frozenset({'filter', 'map', 'zip'})
#: Encodings that turned bytes into bytes, or text into text.
_CODECS: Final = {
    'base64': 'base64.b64encode and base64.b64decode',
    'bz2': 'bz2.compress and bz2.decompress',
    'hex': 'bytes.hex and bytes.fromhex',
    'rot13': "codecs.encode(text, 'rot13')",
    'string_escape': "'unicode_escape'",
    'string-escape': "'unicode_escape'",
    'zlib': 'zlib.compress and zlib.decompress',
}


def idioms(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Where a file does what parses, and fails when it runs."""
    redefined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    lazy = _LAZY - redefined
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and (what := _no_list(node.value, lazy)):
            yield node.lineno, f'{what} cannot be indexed: write list(...)[...]'
        elif isinstance(node, ast.Call):
            yield from _call(node, lazy)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            for side in (node.left, node.right):
                if what := _no_list(side, lazy):
                    yield node.lineno, f'{what} cannot be added to: write list(...)'
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Constant) and isinstance(node.exc.value, str):
            yield node.lineno, 'a text cannot be raised: raise an exception'
        elif isinstance(node, ast.ExceptHandler):
            yield from _message(node)


def _no_list(node: ast.expr, lazy: frozenset[str]) -> str:
    """What a call gives that was a list in Python 2; empty if it is no such call."""
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in _VIEWS and not node.args and not node.keywords:
            return f'.{node.func.attr}() of a dictionary'
        if isinstance(node.func, ast.Name) and node.func.id in lazy:
            return f'{node.func.id}(...)'
    return ''


def _call(node: ast.Call, lazy: frozenset[str]) -> Iterator[tuple[int, str]]:
    function = node.func
    if isinstance(function, ast.Name):
        if function.id == 'len' and len(node.args) == 1:
            argument = node.args[0]
            if isinstance(argument, ast.Call) and isinstance(argument.func, ast.Name) and argument.func.id in lazy:
                yield node.lineno, f'{argument.func.id}(...) has no length: write len(list(...))'
        is_sort = function.id == 'sorted'
    elif isinstance(function, ast.Attribute):
        is_sort = function.attr == 'sort'
        if is_sort and (what := _no_list(function.value, lazy)):
            yield node.lineno, f'{what} has no .sort(): write sorted(...)'
        if (
            function.attr == 'decode'
            and isinstance(function.value, ast.Constant)
            and isinstance(function.value.value, str)
        ):
            yield node.lineno, 'text has no .decode() any more: it is decoded already'
        if function.attr in {'encode', 'decode'} and node.args and isinstance(node.args[0], ast.Constant):
            codec = node.args[0].value
            if isinstance(codec, str) and codec.lower() in _CODECS:
                yield node.lineno, f'.{function.attr}({codec!r}) is gone: use {_CODECS[codec.lower()]}'
    else:
        return
    if is_sort and any(keyword.arg == 'cmp' for keyword in node.keywords):
        yield node.lineno, 'cmp=f is key=functools.cmp_to_key(f) now'


def _message(handler: ast.ExceptHandler) -> Iterator[tuple[int, str]]:
    """``e.message`` of exceptions that are Python's own."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    for kind in kinds:
        known = getattr(builtins, kind.id, None) if isinstance(kind, ast.Name) else None
        if not (isinstance(known, type) and issubclass(known, BaseException)):
            return
    messages = (node for node in ast.walk(handler) if isinstance(node, ast.Attribute) and node.attr == 'message')
    for node in messages:
        if isinstance(node.value, ast.Name) and node.value.id == handler.name:
            yield node.lineno, 'exceptions have no .message any more: write str(...)'
