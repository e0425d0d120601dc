"""Compares ``_busbar.pyi`` with the native module ``_busbar``: what editors are told must be what is there.

Runs where the native module is, that is, inside a server::

    busbar check tests/python/stub_check.py

Importing it fails if the two differ, and says in what. Deployed, its service answers with the differences.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import _busbar
import zato
from zato.server.service import Service

# what an object answers to by itself; named in a stub, it has to be there
IGNORED = {'__init__', '__new__', '__slots__', '__all__', '__doc__', '__match_args__', '__hash__'}


def stub_file():
    """The stub as it stands in the sources, if this file lies there too; else the one beside the package ``zato``."""
    beside_sources = Path(__file__).resolve().parent.parent.parent / 'python' / '_busbar.pyi'
    return beside_sources if beside_sources.is_file() else Path(zato.__file__).resolve().parent.parent / '_busbar.pyi'


def declared(body):
    """Names in the body of a module or class of the stub, each with its node; of overloads the last."""
    names = {}
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names[node.name] = node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names[node.target.id] = node
        elif isinstance(node, ast.Assign):
            names.update((target.id, node) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.If):
            # `if TYPE_CHECKING` and the like
            names.update(declared(node.body))
    return names


def is_private(name):
    return name.startswith('_') and not (name.startswith('__') and name.endswith('__'))


def is_property(node):
    decorators = getattr(node, 'decorator_list', [])
    return any(ast.unparse(decorator).endswith(('property', '.setter', '.deleter')) for decorator in decorators)


def is_overload(node):
    return any(ast.unparse(decorator).endswith('overload') for decorator in node.decorator_list)


def parameters_of_stub(node):
    """Names of parameters, each with its kind and whether it has a default.

    Kinds: ``p`` positional, ``k`` keyword only, ``*`` and ``**``.
    """
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    found = [(argument.arg, 'p', index >= required) for index, argument in enumerate(positional)]
    if arguments.vararg:
        found.append((arguments.vararg.arg, '*', False))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append((argument.arg, 'k', default is not None))
    if arguments.kwarg:
        found.append((arguments.kwarg.arg, '**', False))
    return without_self(found)


def parameters_of_module(function):
    """The same of a real function; ``None`` if it does not tell."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    kinds = {
        inspect.Parameter.VAR_POSITIONAL: '*',
        inspect.Parameter.KEYWORD_ONLY: 'k',
        inspect.Parameter.VAR_KEYWORD: '**',
    }
    return without_self(
        [
            (name, kinds.get(parameter.kind, 'p'), parameter.default is not inspect.Parameter.empty)
            for name, parameter in signature.parameters.items()
        ]
    )


def without_self(parameters):
    return parameters[1:] if parameters and parameters[0][0] in ('self', 'cls', '$self', 'type') else parameters


def shown(parameters):
    marks = {'p': '', 'k': '*, ', '*': '*', '**': '**'}
    return ', '.join(f'{marks[kind]}{name}{"=..." if default else ""}' for name, kind, default in parameters)


def function_differences(path, node, real):
    if is_overload(node) or not callable(real):
        return
    actual = parameters_of_module(real)
    if actual is None or path.rpartition('.')[2].startswith('__'):
        return
    if [kind for _, kind, _ in actual] == ['*', '**']:
        # arguments are sorted out by hand: only the stub tells which there are
        return
    expected = parameters_of_stub(node)
    if expected != actual:
        yield f'{path}: the stub has ({shown(expected)}), the module has ({shown(actual)})'


def class_differences(path, node, real):
    names = declared(node.body)
    for name, member in names.items():
        if name in IGNORED or is_private(name):
            continue
        if not hasattr(real, name):
            # some names are looked up in the object when they are asked for
            if '__getattribute__' not in vars(real):
                yield f'{path}.{name}: in the stub only'
        elif isinstance(member, ast.ClassDef):
            yield from class_differences(f'{path}.{name}', member, getattr(real, name))
        elif isinstance(member, ast.FunctionDef) and not is_property(member):
            found = vars(real).get(name, getattr(real, name))
            is_bound_to_class = isinstance(found, (classmethod, staticmethod))
            yield from function_differences(f'{path}.{name}', member, found.__func__ if is_bound_to_class else found)
    # a class that answers to any name says so in its stub, and need not list them
    for name in vars(real):
        if not name.startswith('_') and name not in names and not is_promised(real, name):
            yield f'{path}.{name}: in the module only'


def is_promised(real, name):
    """Whether an attribute only says that it is not there, or not yet: editors need not offer it."""
    try:
        getattr(real(), name)
    except AttributeError as error:
        return 'is not available' in str(error)
    except Exception:  # noqa: BLE001 - whatever else it says, it is there
        return False
    return False


def differences():
    """One line for each way in which stub and module differ."""
    names = declared(ast.parse(stub_file().read_text(encoding='utf8')).body)
    found = []
    for name, node in names.items():
        if is_private(name) or name in IGNORED:
            continue
        real = getattr(_busbar, name, None)
        if real is None:
            # an alias of a type is for annotations
            if not isinstance(node, (ast.AnnAssign, ast.Assign)) and not is_protocol(node):
                found.append(f'{name}: in the stub only')
        elif isinstance(node, ast.ClassDef):
            found += class_differences(name, node, real)
        elif isinstance(node, ast.FunctionDef):
            found += function_differences(name, node, real)
    found += [f'{name}: in the module only' for name in vars(_busbar) if not name.startswith('_') and name not in names]
    return found


def is_protocol(node):
    bases = getattr(node, 'bases', [])
    return any(ast.unparse(base).partition('[')[0].endswith(('Protocol', 'TypedDict')) for base in bases)


FOUND = differences()
if FOUND:
    raise ImportError('_busbar.pyi and _busbar differ:\n' + '\n'.join(FOUND))


class StubCheck(Service):
    """Answers with the differences between the stub and methods that are found by name, in a running server only."""

    name = 'tests.stub-check'

    def handle(self):
        found = []
        names = declared(ast.parse(stub_file().read_text(encoding='utf8')).body)
        for class_name, real in {'Redis': self.kvdb.conn, 'Pipeline': self.kvdb.conn.pipeline()}.items():
            there = {name for name in dir(real) if not name.startswith('_')}
            told = {name for name in declared(names[class_name].body) if not name.startswith('_')}
            found += [f'{class_name}.{name}: in the stub only' for name in sorted(told - there)]
            found += [f'{class_name}.{name}: in the module only' for name in sorted(there - told)]
        self.response.payload = {'differences': found}
