"""Finds what a file holds that only Python 2 understands, line by line.

The file need not parse: it is cut into tokens by a tolerant scanner of our own, since Python's stops at the first thing
that it does not know. What this cannot see: types that a name holds at run time (``data.keys()[0]``, text where bytes
are needed, ``/`` of two whole numbers), and names that were assigned to others before they are used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from busbar.old_imports import MODULES, NAMES

__all__ = ['findings']

_TOKEN: Final = re.compile(
    r"""
    (?P<comment>\#[^\n]*)
  | (?P<string>[a-zA-Z]{0,2}(?:'''(?:\\.|(?!''').)*(?:'''|\Z)|\"\"\"(?:\\.|(?!\"\"\").)*(?:\"\"\"|\Z)
      |'(?:\\.|[^'\\\n])*(?:'|(?=\n)|\Z)|"(?:\\.|[^"\\\n])*(?:"|(?=\n)|\Z)))
  | (?P<number>(?:0[xXoObB][0-9a-fA-F_]+|\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)[lLjJ]?)
  | (?P<name>[^\W\d]\w*)
  | (?P<newline>\\?\r?\n)
  | (?P<space>[ \t\f\r\ufeff]+)
  | (?P<operator><>|>>=?|<<=?|\*\*=?|//=?|->|:=|[-+*/%&|^=<>!@]=|.)
    """,
    re.VERBOSE | re.DOTALL,
)

_NAMES: Final = {
    'apply': 'apply() is gone: call the function',
    'basestring': '`basestring` is gone: use `str`',
    'buffer': '`buffer` is gone: use `memoryview`',
    'cmp': '`cmp` is gone: compare with < and >',
    'coerce': '`coerce` is gone',
    'execfile': '`execfile` is gone: use exec(open(path).read())',
    'intern': '`intern` is `sys.intern` now',
    'long': '`long` is gone: `int` has no limit',
    'raw_input': '`raw_input` is `input` now',
    'reduce': '`reduce` is `functools.reduce` now',
    'reload': '`reload` is `importlib.reload` now',
    'StandardError': '`StandardError` is gone: use `Exception`',
    'unichr': '`unichr` is `chr` now',
    'unicode': '`unicode` is `str` now',
    'xrange': '`xrange` is `range` now',
}

_ATTRIBUTES: Final = {
    'has_key': '.has_key(key) is gone: use `key in ...`',
    'im_class': '.im_class is gone',
    'im_func': '.im_func is .__func__ now',
    'im_self': '.im_self is .__self__ now',
    'func_code': '.func_code is .__code__ now',
    'func_defaults': '.func_defaults is .__defaults__ now',
    'func_globals': '.func_globals is .__globals__ now',
    'func_name': '.func_name is .__name__ now',
    'iteritems': '.iteritems() is .items() now',
    'iterkeys': '.iterkeys() is .keys() now',
    'itervalues': '.itervalues() is .values() now',
    'viewitems': '.viewitems() is .items() now',
    'viewkeys': '.viewkeys() is .keys() now',
    'viewvalues': '.viewvalues() is .values() now',
}

_METHODS: Final = {
    '__cmp__': '`__cmp__` is not called any more: write `__eq__` and `__lt__`',
    '__getslice__': '`__getslice__` is not called any more: `__getitem__` takes slices',
    '__metaclass__': '`__metaclass__` is not looked at any more: write `class A(metaclass=M)`',
    '__nonzero__': '`__nonzero__` is `__bool__` now',
    '__unicode__': '`__unicode__` is not called any more: write `__str__`',
}

_PRINTABLE_START: Final = frozenset({'name', 'string', 'number'})


@dataclass
class _Token:
    kind: str
    text: str
    line: int


def findings(source: bytes) -> list[tuple[int, str]]:
    """Line numbers, each with what is old there and what to write instead, in order."""
    text = _decode(source)
    found: set[tuple[int, str]] = set()
    defined = _defined(text)
    for statement in _statements(text):
        found.update(_in_statement(statement))
        found.update(_in_tokens(statement, defined))
    found.update(_mixed_indentation(text))
    return sorted(found)


def _decode(source: bytes) -> str:
    # the cookie is about string literals; what is looked for here is plain ASCII
    try:
        return source.decode('utf-8-sig')
    except UnicodeDecodeError:
        return source.decode('latin-1')


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ''
        yield _Token(kind, match.group(), line)
        line += match.group().count('\n')


def _statements(text: str) -> Iterator[list[_Token]]:
    """The tokens of each statement; compound ones end at their colon."""
    statement: list[_Token] = []
    depth = 0
    for token in _tokens(text):
        if token.kind in {'comment', 'space'} or token.text.startswith('\\'):
            continue
        if token.text in {'(', '[', '{'}:
            depth += 1
        elif token.text in {')', ']', '}'}:
            depth = max(0, depth - 1)
        is_end = token.kind == 'newline' or token.text == ';'
        if token.kind == 'newline' and depth and _begins_anew(text, token):
            # a bracket that is never closed must not hide the rest of the file
            depth = 0
        if is_end and not depth:
            if statement:
                yield statement
            statement = []
        elif token.kind != 'newline':
            statement.append(token)
            if token.text == ':' and not depth and not _is_lambda(statement):
                yield statement
                statement = []
    if statement:
        yield statement


_NEXT_LINE: Final = re.compile(r'(?:class|def|import|from|@)\b')


def _begins_anew(text: str, newline: _Token) -> bool:
    lines = text.split('\n')
    return newline.line < len(lines) and bool(_NEXT_LINE.match(lines[newline.line]))


def _is_lambda(statement: list[_Token]) -> bool:
    names = [token.text for token in statement]
    return names.count('lambda') >= names.count(':') and 'lambda' in names


def _defined(text: str) -> set[str]:
    """Names that the file gives a meaning of its own: ``def reduce``, ``from functools import reduce``, ``x = 1``."""
    defined: set[str] = set()
    for statement in _statements(text):
        words = [token.text for token in statement]
        if words[0] in {'def', 'class'} and len(words) > 1:
            defined.add(words[1])
            defined.update(words[2:])
        elif words[0] in {'import', 'from'} and 'import' in words:
            defined.update(words[words.index('import') :])
        elif words[0] == 'for' and 'in' in words:
            defined.update(words[: words.index('in')])
        elif '=' in words:
            targets = words[: len(words) - 1 - words[::-1].index('=')]
            if not {'(', '.'} & set(targets):
                defined.update(targets)
    return defined


def _in_statement(tokens: list[_Token]) -> Iterator[tuple[int, str]]:
    first, line = tokens[0].text, tokens[0].line
    words = [token.text for token in tokens]
    second = tokens[1] if len(tokens) > 1 else None
    if first == 'print' and tokens[0].kind == 'name':
        if second is None or second.kind in _PRINTABLE_START or second.text in {'>>', '{', '[', '`', '~'}:
            yield line, 'print is a function now: print(...)'
        elif second.text == '(' and _goes_on(tokens):
            yield line, 'print is a function now: put all of what it prints in parentheses'
        elif second.text == '-' or (second.text == '%'):
            yield line, 'print is a function now: print(...)'
    elif first == 'exec' and second is not None and (second.kind in _PRINTABLE_START):
        yield line, 'exec is a function now: exec(...)'
    elif first == 'except':
        yield from _except(tokens)
    elif first == 'raise':
        depth = 0
        for token in tokens:
            depth += (token.text in '([{') - (token.text in ')]}')
            if token.text == ',' and not depth:
                yield line, "raise E, 'text' is raise E('text') now"
                break
    elif first in {'import', 'from'}:
        yield from _imports(tokens)
    elif first == 'def':
        yield from _parameters(tokens)
        if second is not None and second.text in _METHODS:
            yield line, _METHODS[second.text]
    elif words[:2] == ['__metaclass__', '=']:
        yield line, _METHODS['__metaclass__']


def _goes_on(tokens: list[_Token]) -> bool:
    """Whether something follows the parentheses that ``print (a), b`` begins with."""
    depth = 0
    for index, token in enumerate(tokens):
        depth += (token.text in '([{') - (token.text in ')]}')
        if token.text == ')' and not depth:
            rest = tokens[index + 1 :]
            return bool(rest) and rest[0].text in {',', '%'}
    return False


def _except(tokens: list[_Token]) -> Iterator[tuple[int, str]]:
    depth = 0
    for index, token in enumerate(tokens):
        depth += (token.text in '([{') - (token.text in ')]}')
        if token.text == ',' and not depth and 'as' not in [token.text for token in tokens]:
            kinds = ''.join(token.text for token in tokens[1:index])
            name = ''.join(token.text for token in tokens[index + 1 :]).rstrip(':')
            yield token.line, f'except {kinds}, {name} is except {kinds} as {name} now'
            return


def _imports(tokens: list[_Token]) -> Iterator[tuple[int, str]]:
    line = tokens[0].line
    words = [token.text for token in tokens]
    if words[0] == 'from':
        end = words.index('import') if 'import' in words else len(words)
        module = ''.join(words[1:end])
        if module in MODULES:
            yield line, _moved(module)
        gone = NAMES.get(module, {})
        for name in words[end + 1 :]:
            if name in gone:
                yield line, f'`{module}.{name}` is `{gone[name].replace(":", ".").removeprefix("builtins.")}` now'
        return
    for module in ''.join(f' {word} ' if word == 'as' else word for word in words[1:]).split(','):
        name = module.split(' as ')[0].strip()
        if name in MODULES:
            yield line, _moved(name)


def _moved(module: str) -> str:
    sources, renamed = MODULES[module]
    places = sources or tuple(sorted({target.partition(':')[0] for target in renamed.values()}))
    return f'module `{module}` is `{"`, `".join(places)}` now; service files can still import it'


def _parameters(tokens: list[_Token]) -> Iterator[tuple[int, str]]:
    depth = 0
    default = False
    for previous, token in pairwise(tokens):
        if token.text == '(':
            depth += 1
            if depth == 2 and previous.text in {'(', ','} and not default:
                yield token.line, 'a parameter cannot be a tuple any more: unpack it in the body'
        elif token.text == ')':
            depth -= 1
        elif depth == 1:
            default = token.text in {'=', ':'} or (default and token.text != ',')


def _in_tokens(tokens: list[_Token], defined: set[str]) -> Iterator[tuple[int, str]]:
    for index, token in enumerate(tokens):
        before = tokens[index - 1].text if index else ''
        after = tokens[index + 1].text if index + 1 < len(tokens) else ''
        if token.kind == 'name':
            if before == '.':
                if token.text in _ATTRIBUTES:
                    yield token.line, _ATTRIBUTES[token.text]
                owner = tokens[index - 2].text if index > 1 else ''
                if owner in NAMES and token.text in NAMES[owner] and (index < 3 or tokens[index - 3].text != '.'):
                    target = NAMES[owner][token.text].replace(':', '.').removeprefix('builtins.')
                    yield token.line, f'`{owner}.{token.text}` is `{target}` now'
            elif (
                token.text in _NAMES
                and token.text not in defined
                and after != '='
                and tokens[0].text not in {'import', 'from'}
            ):
                yield token.line, _NAMES[token.text]
        elif token.kind == 'number':
            if token.text[-1] in 'lL':
                yield token.line, f'{token.text} is {token.text[:-1]} now'
            elif re.fullmatch(r'0\d+', token.text) and token.text.strip('0'):
                yield token.line, f'{token.text} is 0o{token.text.lstrip("0")} now'
        elif token.kind == 'string':
            prefix = re.match(r'[a-zA-Z]*', token.text)
            if prefix and prefix.group().lower() == 'ur':
                yield token.line, "ur'...' is r'...' now"
        elif token.text == '`':
            yield token.line, '`x` is repr(x) now'
        elif token.text == '<>':
            yield token.line, '<> is != now'


def _mixed_indentation(text: str) -> Iterator[tuple[int, str]]:
    inside_strings: set[int] = set()
    for token in _tokens(text):
        if token.kind == 'string':
            inside_strings.update(range(token.line + 1, token.line + token.text.count('\n') + 1))
    for number, line in enumerate(text.split('\n'), 1):
        indentation = line[: len(line) - len(line.lstrip())]
        if number not in inside_strings and ' \t' in indentation and not line.lstrip().startswith('#'):
            yield number, 'tabs and spaces are mixed in the indentation'
