"""What is read from the text of a service file when it is deployed."""

from __future__ import annotations

import ast
from typing import Final

__all__ = ['invoked']

_METHODS: Final = frozenset({'invoke', 'invoke_async'})


def invoked(tree: ast.Module) -> dict[str, list[str]]:
    """By class of the module, the services whose names it passes to ``self.invoke`` and ``self.invoke_async``."""
    return {node.name: names for node in tree.body if isinstance(node, ast.ClassDef) and (names := _names(node))}


def _names(class_: ast.ClassDef) -> list[str]:
    names: dict[str, None] = {}
    for node in ast.walk(class_):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id='self'), attr=method), args=[ast.Constant(value=str() as name), *_]
            ) if method in _METHODS:
                names[name] = None
    return list(names)
