"""What ``busbar check`` says of a service file beyond importing it."""

from __future__ import annotations

import ast

from busbar import python2


def findings(source: bytes, later: list[str]) -> list[tuple[int, str]]:
    """Where a file, which need not parse, uses what this version of busbar does not have, or what only Python 2 knows.

    Returns pairs of a line number and a text, in the order of the lines.
    """
    return sorted({*unsupported(source, later), *python2.findings(source)})


def unsupported(source: bytes, later: list[str]) -> list[tuple[int, str]]:
    """Where a file uses something on ``self`` that this version of busbar does not have.

    Returns pairs of a line number and a text, in the order of the lines. Only attributes of ``self`` in classes count;
    those that the class sets itself are its own.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        # importing the file has said so already
        return []
    found = []
    for class_ in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        attributes = [node for node in ast.walk(class_) if isinstance(node, ast.Attribute) and _is_self(node.value)]
        own = {node.attr for node in attributes if isinstance(node.ctx, ast.Store)}
        own |= {node.name for node in class_.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        for node in attributes:
            if node.attr in later and node.attr not in own:
                found.append((node.lineno, f'self.{node.attr} is not supported yet'))
    return sorted(set(found))


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == 'self'
