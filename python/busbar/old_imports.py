"""Old names of modules, for service files that were written when they were new.

``import httplib`` in a service file finds ``http.client`` under the old name, with the old names inside. Nobody else
sees these modules: they are not in ``sys.modules``, and a module that is really there always wins - this is asked only
after an import has failed. The same goes for packages that service files import without installing them.
"""

from __future__ import annotations

import importlib
import logging
from threading import Lock
from types import ModuleType
from typing import Any, Final

__all__ = ['MODULES', 'NAMES', 'STAND_INS', 'find', 'find_name']

logger = logging.getLogger(__name__)

#: What an old module is made of: today's modules, and names that are called otherwise in them. ``module:name`` is a
#: name of a module.
_Parts = tuple[tuple[str, ...], dict[str, str]]

_BUILTINS: Final = {
    'StandardError': 'builtins:Exception',
    'basestring': 'builtins:str',
    'long': 'builtins:int',
    'raw_input': 'builtins:input',
    'reduce': 'functools:reduce',
    'unichr': 'builtins:chr',
    'unicode': 'builtins:str',
    'xrange': 'builtins:range',
}

_URLLIB: Final = {
    'ContentTooShortError': 'urllib.error:ContentTooShortError',
    'pathname2url': 'urllib.request:pathname2url',
    'quote': 'urllib.parse:quote',
    'quote_plus': 'urllib.parse:quote_plus',
    'unquote': 'urllib.parse:unquote',
    'unquote_plus': 'urllib.parse:unquote_plus',
    'url2pathname': 'urllib.request:url2pathname',
    'urlencode': 'urllib.parse:urlencode',
    'urlopen': 'urllib.request:urlopen',
    'urlretrieve': 'urllib.request:urlretrieve',
}

#: Modules by their old names.
MODULES: Final[dict[str, _Parts]] = {
    'BaseHTTPServer': (('http.server',), {}),
    'CGIHTTPServer': (('http.server',), {}),
    'ConfigParser': (('configparser',), {'SafeConfigParser': 'configparser:ConfigParser'}),
    'Cookie': (('http.cookies',), {}),
    'DocXMLRPCServer': (('xmlrpc.server',), {}),
    'HTMLParser': (('html.parser',), {'HTMLParseError': 'builtins:ValueError'}),
    'Queue': (('queue',), {}),
    'SimpleHTTPServer': (('http.server',), {}),
    'SimpleXMLRPCServer': (('xmlrpc.server',), {}),
    'SocketServer': (('socketserver',), {}),
    'StringIO': ((), {'StringIO': 'io:StringIO'}),
    'UserDict': (
        (),
        {
            'DictMixin': 'collections.abc:MutableMapping',
            'IterableUserDict': 'collections:UserDict',
            'UserDict': 'collections:UserDict',
        },
    ),
    'UserList': ((), {'UserList': 'collections:UserList'}),
    'UserString': ((), {'UserString': 'collections:UserString'}),
    '__builtin__': (('builtins',), _BUILTINS),
    'anydbm': (('dbm',), {}),
    'cPickle': (('pickle',), {}),
    'cStringIO': ((), {'StringIO': 'io:StringIO'}),
    'commands': (
        (),
        {'getoutput': 'subprocess:getoutput', 'getstatusoutput': 'subprocess:getstatusoutput'},
    ),
    'cookielib': (('http.cookiejar',), {}),
    'copy_reg': (('copyreg',), {}),
    'distutils.util': ((), {'strtobool': 'busbar.old_imports:strtobool'}),
    'dummy_thread': (('_thread',), {}),
    'email.Charset': (('email.charset',), {}),
    'email.Encoders': (('email.encoders',), {}),
    'email.Errors': (('email.errors',), {}),
    'email.Generator': (('email.generator',), {}),
    'email.Header': (('email.header',), {}),
    'email.MIMEAudio': (('email.mime.audio',), {}),
    'email.MIMEBase': (('email.mime.base',), {}),
    'email.MIMEImage': (('email.mime.image',), {}),
    'email.MIMEMessage': (('email.mime.message',), {}),
    'email.MIMEMultipart': (('email.mime.multipart',), {}),
    'email.MIMEText': (('email.mime.text',), {}),
    'email.Message': (('email.message',), {}),
    'email.Parser': (('email.parser',), {}),
    'email.Utils': (('email.utils',), {}),
    'exceptions': (('builtins',), {'StandardError': 'builtins:Exception'}),
    'future_builtins': (('builtins',), {}),
    'htmlentitydefs': (('html.entities',), {}),
    'httplib': (('http.client',), {}),
    'md5': ((), {'md5': 'hashlib:md5', 'new': 'hashlib:md5'}),
    'pipes': ((), {'quote': 'shlex:quote'}),
    'repr': (('reprlib',), {}),
    'robotparser': (('urllib.robotparser',), {}),
    'sets': ((), {'ImmutableSet': 'builtins:frozenset', 'Set': 'builtins:set'}),
    'sha': ((), {'new': 'hashlib:sha1', 'sha': 'hashlib:sha1'}),
    'thread': (('_thread',), {}),
    'urllib2': (('urllib.request', 'urllib.error', 'urllib.parse'), {}),
    'urlparse': (('urllib.parse',), {}),
    'xml.etree.cElementTree': (('xml.etree.ElementTree',), {}),
    'xmlrpclib': (('xmlrpc.client',), {}),
}

_GEVENT: Final = (
    'baseserver coros event exceptions greenlet hub local lock monkey os pool pywsgi queue select server signal '
    'socket ssl subprocess thread threading threadpool time timeout util'
)
_SUDS: Final = (
    'bindings cache client plugin sax sax.element sax.text sudsobject transport transport.http transport.https '
    'wsse xsd xsd.doctor'
)

#: Packages that are there in their stead where they are not installed, and their modules.
STAND_INS: Final[dict[str, str]] = {
    **{
        name: f'busbar.stand_ins.{name}' for name in ('gevent', 'jsonpointer', 'retools', 'simplejson', 'suds', 'ujson')
    },
    **{f'gevent.{name}': f'busbar.stand_ins.gevent:{name}' for name in _GEVENT.split()},
    'retools.lock': 'busbar.stand_ins.retools:lock',
    **{f'simplejson.{name}': 'busbar.stand_ins.simplejson' for name in ('decoder', 'encoder', 'errors')},
    **{f'suds.{name}': f'busbar.stand_ins.suds:{name.replace(".", "_")}' for name in _SUDS.split()},
}

_ABSTRACT: Final = [
    'Callable',
    'Container',
    'Hashable',
    'ItemsView',
    'Iterable',
    'Iterator',
    'KeysView',
    'Mapping',
    'MappingView',
    'MutableMapping',
    'MutableSequence',
    'MutableSet',
    'Sequence',
    'Set',
    'Sized',
    'ValuesView',
]

#: Names that are gone from modules that are still there: ``from urllib import urlencode``.
NAMES: Final[dict[str, dict[str, str]]] = {
    'base64': {'decodestring': 'base64:decodebytes', 'encodestring': 'base64:encodebytes'},
    'cgi': {
        'escape': 'html:escape',
        'parse_qs': 'urllib.parse:parse_qs',
        'parse_qsl': 'urllib.parse:parse_qsl',
    },
    'collections': {name: f'collections.abc:{name}' for name in _ABSTRACT},
    'fractions': {'gcd': 'math:gcd'},
    'inspect': {'getargspec': 'inspect:getfullargspec'},
    'itertools': {
        'ifilter': 'builtins:filter',
        'ifilterfalse': 'itertools:filterfalse',
        'imap': 'builtins:map',
        'izip': 'builtins:zip',
        'izip_longest': 'itertools:zip_longest',
    },
    'os': {'getcwdu': 'os:getcwd'},
    'string': {
        'join': 'busbar.old_imports:join',
        'letters': 'string:ascii_letters',
        'lower': 'builtins:str.lower',
        'lowercase': 'string:ascii_lowercase',
        'maketrans': 'builtins:str.maketrans',
        'replace': 'builtins:str.replace',
        'split': 'builtins:str.split',
        'strip': 'builtins:str.strip',
        'upper': 'builtins:str.upper',
        'uppercase': 'string:ascii_uppercase',
    },
    'sys': {'maxint': 'sys:maxsize'},
    'time': {'clock': 'time:perf_counter'},
    'types': {
        'BooleanType': 'builtins:bool',
        'ClassType': 'builtins:type',
        'DictType': 'builtins:dict',
        'FloatType': 'builtins:float',
        'IntType': 'builtins:int',
        'ListType': 'builtins:list',
        'LongType': 'builtins:int',
        'ObjectType': 'builtins:object',
        'StringType': 'builtins:str',
        'TupleType': 'builtins:tuple',
        'UnicodeType': 'builtins:str',
    },
    'urllib': _URLLIB,
}

_lock = Lock()
_made: dict[str, ModuleType] = {}
_told: set[str] = set()


def find(name: str, file: str, is_from: bool) -> ModuleType | None:
    """The module that used to be called ``name``, for ``file``; ``None`` if there never was one.

    Logs one hint for each file.

    :param is_from: the statement is ``from name import ...``; ``import a.b`` gives ``a``.
    """
    if name not in MODULES and name not in STAND_INS:
        return None
    module = _module(name)
    _tell(file, name)
    parent, dot, last = name.rpartition('.')
    if not dot:
        return module
    owner = _owner(parent)
    # `import a.b as c` looks for the last part in the first
    if not hasattr(owner, last):
        setattr(owner, last, module)
    return module if is_from else _owner(name.partition('.')[0])


def _module(name: str) -> ModuleType:
    with _lock:
        module = _made.get(name)
    if module is not None:
        return module
    module = _stand_in(name) if name in STAND_INS else _make(name)
    with _lock:
        return _made.setdefault(name, module)


def _owner(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        if name in MODULES or name in STAND_INS:
            return _module(name)
        with _lock:
            return _made.setdefault(name, ModuleType(name))


def find_name(module: ModuleType, names: tuple[str, ...], file: str) -> ModuleType | None:
    """Stands in for ``module`` in ``from module import names``, if one of the names was there once and is not now."""
    old = NAMES.get(module.__name__, {})
    if not any(name in old and not hasattr(module, name) for name in names):
        return None
    both = ModuleType(module.__name__, module.__doc__)
    for name in names:
        if hasattr(module, name):
            setattr(both, name, getattr(module, name))
        elif name in old:
            setattr(both, name, _resolve(old[name]))
            _tell(file, f'{module.__name__}.{name}')
    return both


def _make(name: str) -> ModuleType:
    sources, renamed = MODULES[name]
    module = ModuleType(name, f'The module that used to be called {name}.')
    for source in reversed(sources):
        imported = importlib.import_module(source)
        vars(module).update({key: value for key, value in vars(imported).items() if not key.startswith('__')})
    for key, target in renamed.items():
        if not hasattr(module, key):
            setattr(module, key, _resolve(target))
    return module


def _stand_in(name: str) -> ModuleType:
    module, _, attribute = STAND_INS[name].partition(':')
    found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found


def _resolve(target: str) -> Any:
    module, _, path = target.partition(':')
    value: Any = importlib.import_module(module)
    for attribute in path.split('.'):
        value = getattr(value, attribute)
    return value


def _tell(file: str, name: str) -> None:
    with _lock:
        if file in _told:
            return
        _told.add(file)
    if name in STAND_INS:
        package = name.partition('.')[0]
        logger.warning(
            '%s imports %s, which is not installed: %s stands in for it; docs/services.md says how it differs',
            file,
            package,
            f'busbar.stand_ins.{package}',
        )
        return
    logger.warning(
        '%s imports %s, which is called otherwise today; `busbar check %s` shows what else is old', file, name, file
    )


def strtobool(value: str) -> int:
    """1 or 0, from the usual spellings of true and false.

    :raises ValueError: if it is none of them.
    """
    from zato.common.util.api import asbool

    return int(asbool(value))


def join(words: Any, separator: str = ' ') -> str:
    """``string.join``"""
    return separator.join(words)
