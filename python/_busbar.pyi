"""The native side of busbar: what services see of the server.

`tests/python/stub_check.py` compares this file with the module.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from logging import Logger
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload

import requests

from bunch import Bunch
from busbar.channel import ChannelInfo
from busbar.facilities.broker import BrokerClient
from busbar.facilities.cache import CacheAPI
from busbar.facilities.commands import CommandsFacade
from busbar.facilities.email import EmailFacade
from busbar.facilities.lock import LockManager
from busbar.facilities.patterns import Patterns
from busbar.facilities.rest import RESTFacade
from busbar.facilities.security import SecurityFacade
from busbar.facilities.server import ServiceStore
from busbar.facilities.soap import SOAPClient
from busbar.facilities.sql import SQLConnections
from busbar.facilities.time import TimeUtil
from busbar.facilities.translate import Translate
from busbar.kvdb.bitfield import BitField
from busbar.kvdb.lock import Lock
from busbar.kvdb.pool import ConnectionPool, Encoder
from busbar.kvdb.pubsub import PubSub
from busbar.sql.column import Column

_Model = TypeVar('_Model')
_Params = Mapping[str, Any] | None
_Headers = Mapping[str, Any] | None
_Set = set[str]
_Key = str | bytes | int | float
_Value = str | bytes | int | float
_ZmqMessage = str | bytes | list[Any] | tuple[Any, ...] | dict[str, Any]

class _Options(TypedDict, total=False):
    """What a call over HTTP may say by name."""

    json: Any
    timeout: float | tuple[float, float] | None
    allow_redirects: bool
    auth: tuple[str, str] | None
    cookies: Mapping[str, str] | None
    stream: bool
    model: Any
    callback: Callable[..., Any] | None

class _RestCall(TypedDict, total=False):
    """What `rest_call` takes."""

    cid: str
    data: Any
    model: Any
    callback: Callable[..., Any] | None
    params: _Params
    headers: _Headers
    method: str
    sec_def_name: str | None
    auth_scopes: str
    log_response: bool

class Service:
    """One thing that other systems can ask for: the native side of `zato.server.service.Service`."""

    name: str
    """Name by which the service is called."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    # --- the request and what is answered

    @property
    def request(self) -> Request:
        """What the service was called with."""
    @property
    def response(self) -> Response:
        """What the service answers."""

    # --- who and where it is

    @property
    def cid(self) -> str:
        """Correlation id of the request: in every log line of it, and in the header `X-Zato-CID` of the response."""
    @property
    def logger(self) -> Logger:
        """Logger of the service's name."""
    @property
    def impl_name(self) -> str:
        """Module and class."""
    @property
    def channel(self) -> ChannelInfo:
        """The channel through which the service was called."""
    @property
    def chan(self) -> ChannelInfo:
        """The channel through which the service was called."""
    @property
    def data_format(self) -> str:
        """The channel's data format: `json`, `xml`, `dict` or an empty text."""
    @property
    def transport(self) -> str:
        """`plain_http`, `soap` or an empty text."""
    @property
    def environ(self) -> Bunch:
        """What the caller gave as `environ=`."""
    @property
    def wsgi_environ(self) -> dict[str, Any]:
        """The HTTP request as WSGI describes it."""
    @property
    def in_reply_to(self) -> str | None:
        """The cid that this call is a callback for."""
    @property
    def job_type(self) -> str:
        """Type of the scheduler's job, empty if there is none."""
    @property
    def server(self) -> Server:
        """The server."""
    @property
    def cache(self) -> CacheAPI:
        """Values that all services of the node share, in memory."""
    @property
    def lock(self) -> LockManager:
        """Locks that all workers of all servers share which use the same Redis: `with self.lock('name'):`."""
    @property
    def patterns(self) -> Patterns:
        """Many services at once, and services that are tried again."""
    @property
    def translate(self) -> Translate:
        """What one system calls something that another one calls otherwise."""
    @property
    def time(self) -> TimeUtil:
        """Dates and times as text."""
    @property
    def user_config(self) -> Bunch:
        """What configuration files say: `self.user_config.<file>.<section>.<key>`."""
    @property
    def config(self) -> Bunch:
        """The same as `user_config`."""
    @property
    def static_config(self) -> Bunch:
        """Text of static files: `self.static_config.<directory>['<file>']`."""
    @property
    def security(self) -> SecurityFacade:
        """Bearer tokens of security definitions: `self.security.get_bearer_token_by_name('CRM')`."""
    @property
    def rest(self) -> RESTFacade:
        """Outgoing REST connections: `self.rest['CRM']`, or as attributes, `self.rest.CRM`."""
    @property
    def email(self) -> EmailFacade:
        """Mail servers."""
    @property
    def commands(self) -> CommandsFacade:
        """Commands of the operating system."""
    @property
    def crypto(self) -> Crypto:
        """Encrypts with the server's key, hashes, and makes secrets."""
    @property
    def broker_client(self) -> BrokerClient:
        """Calls services asynchronously by messages."""
    @property
    def usage(self) -> int:
        """How many times the service was called in this process."""
    @property
    def invocation_time(self) -> datetime:
        """When the invocation began, UTC."""
    @property
    def handle_return_time(self) -> datetime | None:
        """When `handle()` returned, UTC; `None` before."""
    @property
    def processing_time_raw(self) -> timedelta | None:
        """How long the invocation took until `handle()` returned; `None` before."""
    @property
    def processing_time(self) -> int | None:
        """The same in milliseconds."""

    # --- other systems

    @property
    def outgoing(self) -> Outgoing:
        """Outgoing connections."""
    @property
    def out(self) -> Outgoing:
        """Outgoing connections."""
    @property
    def kvdb(self) -> Kvdb:
        """The key/value database."""
    @property
    def redis(self) -> Kvdb:
        """The key/value database."""

    # --- what a service is made of

    def handle(self) -> Any:
        """What the service does. The one method that must be written, unless there are `handle_GET` and the like.

        It may be an `async def`.
        """
    def accept(self) -> Any:
        """Return something false to turn the request away before anything else runs."""
    def before_handle(self) -> Any:
        """Runs before `handle()`. What it raises is logged and ignored."""
    def after_handle(self) -> Any:
        """Runs after `handle()` has returned. What it raises is logged and ignored."""
    def finalize_handle(self) -> Any:
        """Runs last, with the times filled in. What it raises is logged and ignored."""
    def validate_input(self) -> Any:
        """Runs before `handle()`; raise something to keep that from being called."""
    def validate_output(self) -> Any:
        """Runs after `handle()`; raise something to keep the response from being sent."""
    def before_job(self) -> Any:
        """Runs first when a job of the scheduler calls the service. What it raises is logged and ignored."""
    def before_one_time_job(self) -> Any:
        """The same, for jobs that run once."""
    def before_interval_based_job(self) -> Any:
        """The same, for jobs that run every so often."""
    def before_cron_style_job(self) -> Any:
        """The same, for jobs that run by a calendar."""
    def after_job(self) -> Any:
        """Runs after `handle()` has returned when a job of the scheduler calls the service. What it raises is logged and ignored."""
    def after_one_time_job(self) -> Any:
        """The same, for jobs that run once."""
    def after_interval_based_job(self) -> Any:
        """The same, for jobs that run every so often."""
    def after_cron_style_job(self) -> Any:
        """The same, for jobs that run by a calendar."""
    @staticmethod
    def before_add_to_store(_logger: Logger | None = ...) -> bool:
        """Asked when the class is deployed: return something false to leave it out."""
    @staticmethod
    def after_add_to_store(_logger: Logger | None = ...) -> None:
        """Called after the class has been deployed."""
    @classmethod
    def get_name(cls) -> str:
        """The name by which the service is called."""
    @classmethod
    def get_impl_name(cls) -> str:
        """Module and class."""

    def invoke(
        self,
        zato_name: str | type[Service],
        payload: Any = '',
        channel: str = 'invoke',
        data_format: str = 'dict',
        transport: str = '',
        serialize: bool = False,
        as_bunch: bool = False,
        timeout: float = 0,
        raise_timeout: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Calls another service, by name or class, and gives back what it answers.

        Keyword arguments that are none of these, nor `cid`, `environ`, `wsgi_environ`, `skip_response_elem`, `channel_info`
        or `in_reply_to`, are the payload if there is no other. What the other service raises comes out as it is.
        """
    def invoke_by_impl_name(
        self,
        zato_name: str,
        payload: Any = '',
        channel: str = 'invoke',
        data_format: str = 'dict',
        transport: str = '',
        serialize: bool = False,
        as_bunch: bool = False,
        timeout: float = 0,
        raise_timeout: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Like `invoke`, with the name of module and class: `my_service.GetClientDetails`."""
    def invoke_by_id(
        self,
        zato_name: str,
        payload: Any = '',
        channel: str = 'invoke',
        data_format: str = 'dict',
        transport: str = '',
        serialize: bool = False,
        as_bunch: bool = False,
        timeout: float = 0,
        raise_timeout: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Like `invoke`. Services have no numbers here: their id is their name, or the name of module and class."""
    def knows_service(self, name: str) -> bool:
        """Whether there is a service of that name."""
    def invoke_async(
        self,
        name: str | type[Service],
        payload: Any = None,
        channel: str | None = None,
        data_format: str | None = None,
        transport: str | None = None,
        expiration: float | None = None,
        to_json_string: bool = False,
        cid: str | None = None,
        callback: str | type[Service] | Service | list[str] | None = None,
        zato_ctx: Any = None,
        environ: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> str:
        """Leaves a message for another service, and gives back the correlation id of the call that it will be.

        Returns as soon as the message is stored. Any worker runs it, again if that fails, until the service has returned
        or the message is given up. `callback` is the name of a service that is called with the answer, a list of them,
        or `self`. A message expires after `expiration` seconds.
        """
    def new_instance(self, name: str) -> Service:
        """A new object of another service, which is not invoked: its attributes work, nothing runs."""
    def sleep(self, timeout: float = 1.0) -> None:
        """Waits for so many seconds. Other calls run meanwhile; the call's own deadline ends the wait."""

def ask_hub(service: Service, kind: str, name: str, operation: str, parts: list[bytes]) -> bytes:
    """Asks something of the hub, where things live that all workers share."""

def pause(service: Service, seconds: float) -> None:
    """Waits for so many seconds. Other calls run meanwhile; the call's own deadline ends the wait."""

def pack(value: Any) -> bytes:
    """Plain data as bytes that outlive the process: what JSON can carry, dates, `Decimal`, bytes and the like."""

def pack_exactly(value: Any) -> bytes | None:
    """The same, but `None` for anything that JSON cannot carry just as it is."""

def unpack(packed: bytes) -> Any:
    """What `pack` was given."""

class Attribute:
    """An attribute of services."""

    def __get__(self, instance: Any, _owner: Any = ...) -> Any: ...

class ReadableWait:
    """Waits for a file descriptor, as faces wait."""

    def __call__(self, fd: int, timeout: float | None = None) -> None:
        """Returns when `fd` can be read or `timeout` seconds have passed."""

class Server:
    """The server that runs the service."""

    @property
    def name(self) -> str:
        """Its name."""
    def encrypt(self, data: str | bytes) -> str:
        """The same as `self.crypto.encrypt`."""
    @property
    def cluster_name(self) -> str:
        """Name of the cluster. A server that stands alone is a cluster of its own name."""
    @property
    def base_dir(self) -> Path | None:
        """The server's directory; `None` if it runs without one."""
    @property
    def repo_location(self) -> Path | None:
        """Where the configuration is; `None` if the server runs without a directory."""
    @property
    def fs_server_config(self) -> Bunch:
        """What `server.toml` says, with dots: `fs_server_config.http.address`."""
    @property
    def service_store(self) -> ServiceStore:
        """The services that are deployed."""
    def decrypt(self, data: Any) -> Any:
        """The same as `self.crypto.decrypt`: text that is not encrypted comes back as it is."""

def run_command(service: Service, command: str, stdin: bytes, timeout: float) -> tuple[bytes, bytes, int | None, int]:
    """Runs a command in a shell: its output, its error output, its exit code unless it was killed, how much output was dropped."""

def bearer_token(owner: Service | HttpConn, name: str, scopes: str, refused: str | None = None) -> str:
    """A token of the security definition of that name, for some scopes or else its own. `refused` is one that was not accepted."""

class SmtpLine:
    """A connection to a mail server."""

    def __init__(self, service: Service, name: str) -> None: ...
    @property
    def username(self) -> str:
        """User name that it logs in with; empty if it does not."""
    def send(self, from_: str, to: list[str], message: bytes) -> None:
        """Sends a message that is written out, from an address to others."""
    def ping(self) -> bool:
        """Whether the server answers."""

class ImapLine:
    """A mailbox, on a server."""

    def __init__(self, service: Service, name: str) -> None: ...
    def search(self, folder: str) -> tuple[int | None, list[str]]:
        """What the configured search finds in a folder: which numbering is valid, `None` if there is only one, and the numbers."""
    def fetch(self, folder: str, validity: int | None, uid: str) -> bytes | None:
        """A message as it went over the wire, which does not mark it as seen; `None` if it is not there any more."""
    def mark_seen(self, folder: str, validity: int | None, uids: list[str]) -> None:
        """Marks messages as seen."""
    def delete(self, folder: str, validity: int | None, uids: list[str]) -> None:
        """Deletes messages for good."""
    def move(self, folder: str, validity: int | None, uids: list[str], target: str) -> None:
        """Moves messages to another folder."""
    def ping(self) -> None:
        """Asks the server whether it is there."""

def sql_connect(target: str, service: Service | None, options: list[tuple[str, str]]) -> SqlConnection:
    """Opens a connection: to the database of a URL, or one out of the pool of that name."""

class SqlConnection:
    """A connection to a database. Made by `busbar.sql.connect`."""

    autocommit: bool
    isolation_level: str | None
    readonly: bool | None
    deferrable: bool | None
    paramstyle: str
    json_text: bool
    json_loads: Callable[[str], Any] | None
    @property
    def engine(self) -> Literal['postgresql', 'mysql', 'sqlite']:
        """Kind of database."""
    @property
    def server_version(self) -> str:
        """Version of the server, as it says it."""
    @property
    def backend_pid(self) -> int | None:
        """The number by which the server knows the connection; SQLite has none."""
    @property
    def info(self) -> dict[Any, Any]:
        """Whatever the user of the connection keeps with it."""
    @property
    def in_transaction(self) -> bool:
        """Whether the driver has begun a transaction that is still open."""
    @property
    def closed(self) -> bool:
        """Whether it was closed."""
    @property
    def is_broken(self) -> bool:
        """Whether it was lost, or a statement on it was cut off: it is of no use any more."""
    def cursor(self) -> SqlCursor:
        """A new cursor."""
    def execute(self, operation: str, parameters: Any = None) -> SqlCursor:
        """Runs a statement with a new cursor, and gives the cursor."""
    def commit(self) -> None:
        """Commits the open transaction, if there is one."""
    def rollback(self) -> None:
        """Rolls the open transaction back, if there is one."""
    def ping(self) -> None:
        """Raises `OperationalError` if the database does not answer."""
    def close(self) -> None:
        """Rolls an open transaction back and closes the connection, or gives it back to its pool."""
    def invalidate(self) -> None:
        """Closes the connection for good: it does not go back to its pool."""
    def __enter__(self) -> SqlConnection: ...
    def __exit__(self, exception: Any, _value: Any, _traceback: Any) -> None:
        """Commits, or rolls back if there was an exception. The connection stays open."""
    def __getattr__(self, name: str) -> Any:
        """The exceptions of PEP 249."""

class SqlCursor:
    """A cursor. Made by `connection.cursor()`."""

    arraysize: int
    @property
    def connection(self) -> SqlConnection:
        """The connection that it belongs to."""
    @property
    def description(self) -> list[Column] | None:
        """A `Column` for each column, a tuple of seven: its name, the number of its type, and `None`; `None` if the statement gives no rows."""
    @property
    def rowcount(self) -> int:
        """Rows that the statement gave or changed; -1 if that is not known (yet)."""
    @property
    def lastrowid(self) -> int | None:
        """The id that the statement made; `None` if it made none, and with PostgreSQL."""
    @property
    def rownumber(self) -> int | None:
        """Place of the next row in the result, from 0; `None` without a result."""
    @property
    def closed(self) -> bool:
        """Whether it was closed."""
    def execute(self, operation: str, parameters: Any = None) -> SqlCursor:
        """Runs a statement. Without parameters its text is left as it is."""
    def executemany(self, operation: str, seq_of_parameters: Iterable[Any]) -> SqlCursor:
        """Runs a statement once for each of the parameters. What it gives is not kept."""
    def callproc(self, procname: str, parameters: Iterable[Any] | None = None) -> list[Any]:
        """Calls a procedure of MySQL, or a function of PostgreSQL whose result is then read; gives the parameters back. What a procedure gives
        back in its parameters is then in variables: `SELECT @_name_0, @_name_1`."""
    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row; `None` if there is none."""
    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """The next rows, `arraysize` if no number is given."""
    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
    def nextset(self) -> bool | None:
        """Goes on to the next result of a script or a procedure; `None` if there is none."""
    def setinputsizes(self, sizes: Any) -> None:
        """Does nothing: the database says what sizes are."""
    def setoutputsize(self, size: Any, column: Any = None) -> None:
        """Does nothing."""
    def close(self) -> None:
        """Lets go of what was not read."""
    def __iter__(self) -> Iterator[tuple[Any, ...]]: ...
    def __next__(self) -> tuple[Any, ...]: ...
    def __enter__(self) -> SqlCursor: ...
    def __exit__(self, *_exception: Any) -> None: ...

class SqlPool:
    """A database and the connections to it that a worker keeps."""

    def __init__(self, name: str, service: Service | None = None) -> None: ...
    @staticmethod
    def names(service: Service | None = None) -> list[str]:
        """Names of all databases, in order."""
    @property
    def name(self) -> str:
        """Its name."""
    @property
    def is_native(self) -> bool:
        """Whether its connections live in busbar; SQLAlchemy's own driver makes any others."""
    @property
    def engine(self) -> str:
        """Kind of database, as it was configured."""
    @property
    def dialect(self) -> str:
        """`postgresql`, `mysql` or `sqlite`; of any other engine its name as it was configured."""
    @property
    def config(self) -> dict[str, Any]:
        """Its configuration without the password."""
    @property
    def url(self) -> str:
        """What SQLAlchemy needs to reach a database whose connections busbar does not make: a URL with the password in it."""
    def connect(self) -> SqlConnection:
        """A connection. Waits for one to become free, as long as the object says."""
    def ping(self) -> float:
        """Seconds that the database takes to answer. `OperationalError` if it does not."""
    def stats(self) -> dict[str, int]:
        """Numbers of its connections in this worker."""

class Crypto:
    """Encrypts with the server's key, hashes, and makes secrets. What needs no key works on the class too."""

    def encrypt(self, data: str | bytes) -> str:
        """Encrypts text or bytes with the server's key: a Fernet token, as text."""
    def decrypt(self, data: Any) -> Any:
        """What a token holds: text, or bytes if it is none. Text that is no token comes back as it is; a token of another key raises
        ValueError."""
    @staticmethod
    def hash_secret(data: str | bytes, name: str = ...) -> str:
        """A hash of a password, different every time. Takes tens of milliseconds on purpose."""
    @staticmethod
    def verify_hash(given: str | bytes, expected: str | bytes, name: str = ...) -> bool:
        """Whether `expected` is a hash of `given`. Raises ValueError if it is no hash."""
    @staticmethod
    def generate_key() -> bytes:
        """A new Fernet key."""
    @staticmethod
    def generate_secret(bits: int = ...) -> bytes:
        """A random secret of so many bits, in a form that can stand in a URL."""
    @overload
    @staticmethod
    def generate_password(bits: int = ..., to_str: Literal[False] = ...) -> bytes: ...
    @overload
    @staticmethod
    def generate_password(bits: int = ..., *, to_str: Literal[True]) -> str:
        """A random password of so many bits that can stand in a URL: bytes, or text with `to_str`."""

class Request:
    """What a service was called with. Everything is made when it is first looked at."""

    payload: Any
    """The parsed body: what JSON holds, the root of XML as an object, else the bytes. Called by another service: what it gave."""
    raw_request: Any
    """The body before parsing: bytes. Called by another service: what it gave."""
    input: ServiceInput
    """Declared input; without a declaration the keys of the payload and the parameters, or a payload that is no dictionary."""

    @property
    def text(self) -> Any:
        """The same as `raw_request`."""
    @property
    def raw(self) -> Any:
        """The same as `raw_request`."""
    @property
    def cid(self) -> str:
        """Correlation id."""
    @property
    def data_format(self) -> str:
        """`json`, `xml`, `dict` or an empty text."""
    @property
    def transport(self) -> str:
        """`plain_http` or `soap` if the request came over HTTP, else an empty text."""
    @property
    def channel_params(self) -> dict[str, Any]:
        """Path and query parameters."""
    @property
    def merge_channel_params(self) -> bool:
        """Whether parameters go into the input."""
    @property
    def params_priority(self) -> str:
        """Which wins where body and parameters have the same name."""
    @property
    def headers(self) -> Headers:
        """Headers of the HTTP request; names are found in any case."""
    @property
    def http(self) -> HttpRequest:
        """What is about HTTP."""
    def bunchified(self) -> Any:
        """The payload with dictionaries whose keys are attributes."""
    def to_bunch(self) -> Any:
        """The same as `bunchified()`."""
    def to_dict(self) -> dict[str, Any]:
        """The input as a plain dictionary."""
    def deepcopy(self) -> Request:
        """A copy that can be used after the request is over."""

class HttpRequest:
    """`self.request.http`"""

    @property
    def method(self) -> str:
        """The HTTP method, in capitals."""
    @property
    def path(self) -> str:
        """The path, percent-decoded."""
    @property
    def user_agent(self) -> str:
        """The client's `User-Agent`, or an empty text."""
    @property
    def headers(self) -> Headers:
        """Headers; names are found in any case."""
    @property
    def GET(self) -> dict[str, Any]:
        """The query string as a dictionary; a repeated key is a list."""
    @property
    def POST(self) -> dict[str, Any]:
        """The form in the body as a dictionary, on channels without a data format; else empty."""
    def get_form_data(self) -> dict[str, Any]:
        """The form in the body, `multipart/form-data` included: fields as text, files as bytes. Empty if the body is no form."""
    @property
    def params(self) -> Bunch:
        """Path parameters; query parameters too where the channel lets those win."""

class Headers:
    """HTTP headers: a read-only dictionary whose keys are found in any case."""

    def __getitem__(self, name: str, /) -> str: ...
    def __contains__(self, name: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    def __eq__(self, other: object, /) -> bool: ...
    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: Any) -> Any:
        """A header's value, or the default."""
    def keys(self) -> list[str]:
        """The names."""
    def values(self) -> list[str]:
        """The values."""
    def items(self) -> list[tuple[str, str]]:
        """Names and values."""
    def copy(self) -> dict[str, str]:
        """A plain dictionary of them."""

class ServiceInput(dict[str, Any]):
    """What a service receives: a dictionary whose keys are attributes too."""

    def __getattr__(self, name: str) -> Any: ...
    def __setattr__(self, name: str, value: Any) -> None: ...
    def require_any(self, *names: str) -> None:
        """`ValueError` unless one of the elements has a value."""
    def deepcopy(self) -> ServiceInput:
        """A copy that shares nothing with the request."""
    def copy(self) -> ServiceInput:
        """A copy with the same values."""
    def to_dict(self) -> dict[str, Any]:
        """A plain dictionary of it."""

class Response:
    """What a service answers."""

    @property
    def payload(self) -> SimpleIOPayload:
        """What is answered. With declared output an object whose attributes are the declared names.

        Without it one that takes any name, with levels as deep as they are written: `self.response.payload.user.name = 'Ann'`.
        """
    @payload.setter
    def payload(self, value: Any) -> None: ...

    content_type: str
    """The content type; assigning it keeps the channel's own from being used."""
    headers: dict[str, Any]
    """Headers to send along. A value that is a list sends its header several times."""
    status_code: int
    """The HTTP status, 200 to 599."""
    status_message: str
    """The status in words."""
    content_encoding: str
    """`gzip` compresses the body."""
    data_format: str
    """The channel's data format."""
    result: str
    """`ZATO_OK`"""
    result_details: str
    """Details of the result."""

    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...

class SimpleIOPayload:
    """Declared output. Its names are attributes: `self.response.payload.user_id = 7`.

    Append items, or assign them to `payload[:]`, and it is a list of them.
    """

    def __getattr__(self, name: str) -> Any: ...
    def __setattr__(self, name: str, value: Any) -> None: ...
    def __delattr__(self, name: str) -> None: ...
    def __getitem__(self, key: str | int | slice, /) -> Any: ...
    def __setitem__(self, key: str | int | slice, value: Any, /) -> None: ...
    def __delitem__(self, key: str | int | slice, /) -> None: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __contains__(self, key: object, /) -> bool: ...
    def append(self, item: Any) -> None:
        """Adds an item: a dictionary, or an object whose attributes are the declared names. The output is a list then."""
    def extend(self, items: Iterable[Any]) -> None:
        """Adds several items."""
    def set_payload_attrs(self, item: Any) -> None:
        """Sets several names at once from a dictionary or an object."""
    def getvalue(self, serialize: bool = ...) -> Any:
        """The converted output, with its response element if it has one: JSON text, or the objects without `serialize`."""
    def to_dict(self) -> Any:
        """The converted output without its response element."""

class ChannelDetails:
    """What is known of the channel through which a service was called. Services see it as a text with attributes, `busbar.channel`."""

    @property
    def id(self) -> int:
        """Id of the channel. Channels are known by name here; the id is 0."""
    @property
    def name(self) -> str:
        """Name of the channel; of the service if it was called without one."""
    @property
    def type(self) -> str:
        """`http-soap`, `invoke`..."""
    @property
    def data_format(self) -> str:
        """`json`, `xml`, `dict` or an empty text."""
    @property
    def is_internal(self) -> bool:
        """Whether it belongs to the server itself."""
    @property
    def match_target(self) -> str:
        """What the request was matched with: method and path."""
    @property
    def security(self) -> ChannelSecurityInfo:
        """The security definition that let the caller in; its fields are `None` if the channel is open."""

class ChannelSecurityInfo:
    """Who called, as far as the channel has a security definition."""

    @property
    def id(self) -> None:
        """Id of the definition; always `None`, definitions are known by name here."""
    @property
    def name(self) -> str | None:
        """Name of the definition."""
    @property
    def type(self) -> str | None:
        """`basic_auth`, `apikey`, `oauth`..."""
    @property
    def username(self) -> str | None:
        """User name of the definition; for bearer tokens, whom the token names."""
    @property
    def claims(self) -> dict[str, Any] | None:
        """What the caller's bearer token says; `None` if it brought none that does."""
    @property
    def impl(self) -> None:
        """The underlying object; there is none that services could use."""
    def to_dict(self, needs_impl: bool = ...) -> dict[str, Any]:
        """The fields as a dictionary, without the claims."""

class Outgoing:
    """Outgoing connections, by type: `self.outgoing.plain_http['CRM']`."""

    @property
    def plain_http(self) -> PlainHttp:
        """Connections over HTTP."""
    @property
    def rest(self) -> PlainHttp:
        """Connections over HTTP; the same as `plain_http`."""
    @property
    def soap(self) -> PlainHttp:
        """Connections over HTTP whose bodies go in SOAP envelopes."""
    @property
    def zmq(self) -> Zmq:
        """Connections over ZeroMQ."""
    @property
    def redis(self) -> RedisServers:
        """Further Redis servers by name; everything else is that of `self.kvdb`."""
    @property
    def sql(self) -> SQLConnections:
        """Databases, through SQLAlchemy."""

class PlainHttp:
    """Connections over HTTP, by name."""

    def get(self, name: str, default: Any = ...) -> HttpItem:
        """The connection of that name, or the default. `Inactive` if it is switched off."""
    def __getitem__(self, name: str, /) -> HttpItem: ...
    def __contains__(self, name: str, /) -> bool: ...
    def keys(self) -> list[str]:
        """Names of all connections."""
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...

class HttpConn:
    """Calls the other side of a connection. A correlation id may come first; the current one is sent if none does.

    Statuses of 400 and more never raise. A connection that cannot be made, or an answer that does not come in time, raises
    what `requests` raises: `requests.exceptions.ConnectionError`, `ConnectTimeout`, `ReadTimeout`...
    """

    @overload
    def get(
        self, cid: str, params: _Params = ..., headers: _Headers = ..., **options: Unpack[_Options]
    ) -> HttpResponse: ...
    @overload
    def get(self, params: _Params = ..., headers: _Headers = ..., **options: Unpack[_Options]) -> HttpResponse:
        """GET. `params` fill names in braces of the address, the others become the query string."""
    @overload
    def head(
        self, cid: str, params: _Params = ..., headers: _Headers = ..., **options: Unpack[_Options]
    ) -> HttpResponse: ...
    @overload
    def head(self, params: _Params = ..., headers: _Headers = ..., **options: Unpack[_Options]) -> HttpResponse:
        """HEAD."""
    @overload
    def post(
        self, cid: str, data: Any, params: _Params = ..., headers: _Headers = ..., **options: Unpack[_Options]
    ) -> HttpResponse: ...
    @overload
    def post(
        self, data: Any = ..., params: _Params = ..., headers: _Headers = ..., **options: Unpack[_Options]
    ) -> HttpResponse:
        """POST. A dictionary or a list is written as the connection's data format says."""
    @overload
    def send(
        self, cid: str, data: Any, params: _Params = ..., headers: _Headers = ..., **options: Unpack[_Options]
    ) -> HttpResponse: ...
    @overload
    def send(
        self, data: Any = ..., params: _Params = ..., headers: _Headers = ..., **options: Unpack[_Options]
    ) -> HttpResponse:
        """The same as `post()`."""
    @overload
    def put(
        self, cid: str, data: Any, params: _Params = ..., headers: _Headers = ..., **options: Unpack[_Options]
    ) -> HttpResponse: ...
    @overload
    def put(
        self, data: Any = ..., params: _Params = ..., headers: _Headers = ..., **options: Unpack[_Options]
    ) -> HttpResponse:
        """PUT."""
    @overload
    def patch(
        self, cid: str, data: Any, params: _Params = ..., headers: _Headers = ..., **options: Unpack[_Options]
    ) -> HttpResponse: ...
    @overload
    def patch(
        self, data: Any = ..., params: _Params = ..., headers: _Headers = ..., **options: Unpack[_Options]
    ) -> HttpResponse:
        """PATCH."""
    @overload
    def delete(
        self, cid: str, data: Any = ..., params: _Params = ..., headers: _Headers = ..., **options: Unpack[_Options]
    ) -> HttpResponse: ...
    @overload
    def delete(
        self, data: Any = ..., params: _Params = ..., headers: _Headers = ..., **options: Unpack[_Options]
    ) -> HttpResponse:
        """DELETE. A dictionary in the first place is `params`."""
    @overload
    def options(
        self, cid: str, data: Any = ..., params: _Params = ..., headers: _Headers = ..., **options: Unpack[_Options]
    ) -> HttpResponse: ...
    @overload
    def options(
        self, data: Any = ..., params: _Params = ..., headers: _Headers = ..., **options: Unpack[_Options]
    ) -> HttpResponse:
        """OPTIONS. A dictionary in the first place is `params`."""
    @overload
    def upload(self, cid: str, path: str, field_name: str = ..., mime_type: str = ...) -> HttpResponse: ...
    @overload
    def upload(self, path: str, field_name: str = ..., mime_type: str = ...) -> HttpResponse:
        """Sends a file as a form does."""
    def client(self) -> SOAPClient:
        """A client made from the WSDL at the address of a SOAP connection."""
    @property
    def session(self) -> requests.Session:
        """A `requests.Session` with the connection's credentials, certificates and time-out, for what `requests` alone can do. It has a
        pool of its own, and follows redirects as `requests` does."""
    @property
    def impl(self) -> requests.Session:
        """The same as `session`."""
    def rest_call(self, **kwargs: Unpack[_RestCall]) -> Any:
        """The response's data, as `model` and `callback` make it; `None` if the other side cannot be reached. A status of 400 or more
        raises."""
    def ping(
        self, cid: str | None = ..., return_response: bool = ..., log_verbose: bool = ..., *, ping_path: str = ...
    ) -> Any:
        """Asks whether the other side is there, with the method that is configured for it. A text report, or the response."""
    @property
    def config(self) -> Bunch:
        """Its configuration, less what is secret."""
    @property
    def address(self) -> str:
        """Where it leads, names in braces as they are."""
    @property
    def path_params(self) -> list[str]:
        """The names in braces of its address."""

class HttpItem(HttpConn):
    """A connection over HTTP: `.conn` calls it, and so does the item itself."""

    @property
    def conn(self) -> HttpConn:
        """What calls the other side."""
    @property
    def name(self) -> str:
        """Name of the connection."""
    @property
    def config(self) -> Bunch:
        """Its configuration."""
    def __getitem__(self, name: str, /) -> Any: ...

class HttpResponse:
    """A response of another system."""

    data: Any
    """The parsed body: JSON if connection or content type say so, objectified XML where `lxml` is installed, else the text."""
    encoding: str | None
    """The encoding by which the body is read as text. May be assigned before `text` is read."""

    @property
    def text(self) -> str:
        """The body as text."""
    @property
    def content(self) -> bytes:
        """The body as bytes."""
    def json(self, **kwargs: Any) -> Any:
        """The body, parsed as JSON. `JSONDecodeError` if it is none. Keyword arguments are those of `json.loads`."""
    @property
    def status_code(self) -> int:
        """The HTTP status."""
    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
    @property
    def reason(self) -> str:
        """The status in words."""
    @property
    def headers(self) -> Headers:
        """Headers; names are found in any case."""
    @property
    def url(self) -> str:
        """The address that answered."""
    @property
    def cookies(self) -> dict[str, str]:
        """Cookies that the response set."""
    @property
    def apparent_encoding(self) -> str | None:
        """The same as `encoding`."""
    @property
    def elapsed(self) -> timedelta:
        """From sending the request to the end of the response's head."""
    @property
    def history(self) -> list[Any]:
        """The redirects that led here."""
    @property
    def is_redirect(self) -> bool:
        """Whether it is a redirect."""
    @property
    def request(self) -> SentRequest:
        """What was sent."""
    def raise_for_status(self) -> None:
        """Raises `HTTPError` if the status is 400 or more."""
    def iter_content(self, chunk_size: int | None = ..., decode_unicode: bool = ...) -> Iterator[Any]:
        """The body in pieces of that many bytes."""
    def iter_lines(self, chunk_size: int = ..., decode_unicode: bool = ...) -> Iterator[Any]:
        """The lines of the body."""
    def close(self) -> None:
        """Nothing is held open: this does nothing."""
    def __enter__(self) -> HttpResponse: ...
    def __exit__(self, *_args: object) -> None: ...
    def __bool__(self) -> bool: ...
    def __iter__(self) -> Iterator[bytes]: ...

class SentRequest:
    """The request that a response answers."""

    @property
    def method(self) -> str:
        """Its method."""
    @property
    def url(self) -> str:
        """Its address."""
    @property
    def headers(self) -> Headers:
        """Its headers."""
    @property
    def body(self) -> bytes:
        """Its body."""

class Zmq:
    """Connections over ZeroMQ, by name. Their sockets live in the hub, once for all workers."""

    def send(self, msg: _ZmqMessage, name: str, *_args: Any, **_kwargs: Any) -> None:
        """Sends a message over the connection of that name, and returns as soon as it is queued.

        Text is sent as UTF-8; a list, a tuple or the values of a dictionary are the parts of one message.
        """
    def conn(self) -> Zmq:
        """This very object, for services that call it as a method."""
    def get(self, name: str, default: Any = ...) -> ZmqItem:
        """The connection of that name, or the default. `Inactive` if it is switched off."""
    def __getitem__(self, name: str, /) -> ZmqItem: ...
    def __contains__(self, name: str, /) -> bool: ...

class ZmqItem:
    """One connection over ZeroMQ."""

    def send(self, msg: _ZmqMessage, *_args: Any, **_kwargs: Any) -> None:
        """Sends a message, and returns as soon as it is queued."""
    @property
    def conn(self) -> ZmqItem:
        """This very object."""
    @property
    def name(self) -> str:
        """Name of the connection."""

class Redis:
    """The client of the key/value database. Text in, text out.

    Its methods are those of the `redis` package; `execute_command` is for commands that have none.
    """

    def execute_command(self, *args: _Value, **options: Any) -> Any:
        """Runs any command: its name, and its arguments. With `NEVER_DECODE=True` what it gives is bytes."""
    def pipeline(self, transaction: bool = ..., shard_hint: Any = ...) -> Pipeline:
        """Commands that are sent in one go, in a transaction unless that is false."""
    def transaction(
        self,
        func: Callable[[Pipeline], Any],
        *watches: _Key,
        shard_hint: Any = ...,
        value_from_callable: bool = ...,
        watch_delay: float | None = ...,
    ) -> Any:
        """Calls a function with a pipeline that watches these keys, and tries again when they were changed meanwhile."""
    def scan_iter(self, match: str | None = ..., count: int | None = ..., _type: str | None = ...) -> Iterator[str]:
        """All keys, a few at a time."""
    def sscan_iter(self, name: _Key, match: str | None = ..., count: int | None = ...) -> Iterator[str]:
        """All members of a set, a few at a time."""
    def hscan_iter(
        self, name: _Key, match: str | None = ..., count: int | None = ..., no_values: bool | None = ...
    ) -> Iterator[Any]:
        """All keys and values of a hash, a few at a time."""
    def zscan_iter(
        self, name: _Key, match: str | None = ..., count: int | None = ..., score_cast_func: Any = ...
    ) -> Iterator[tuple[str, Any]]:
        """All members of a sorted set with their scores, a few at a time."""
    def register_script(self, script: str | bytes) -> Script:
        """A script that can be called like a function."""
    def get_encoder(self) -> Encoder:
        """What makes bytes of values and text of replies."""
    @property
    def connection_pool(self) -> ConnectionPool:
        """What libraries ask about the connection: how values are encoded."""
    def get_connection_kwargs(self) -> dict[str, Any]:
        """The same as `connection_pool.connection_kwargs`."""
    def pubsub(self, shard_hint: Any = ..., ignore_subscribe_messages: bool = ...) -> PubSub:
        """Receives what others publish."""
    def lock(
        self,
        name: _Key,
        timeout: float | None = ...,
        sleep: float = ...,
        blocking: bool = ...,
        blocking_timeout: float | None = ...,
        lock_class: Any = ...,
        thread_local: bool = ...,
        raise_on_release_error: bool = ...,
    ) -> Lock:
        """A lock that all who use this Redis share."""
    def bitfield(self, key: _Key, default_overflow: str | None = ...) -> BitField:
        """Numbers of any size within a value, changed and read together."""
    def close(self) -> None:
        """Nothing is held open: this does nothing."""
    def __enter__(self) -> Redis: ...
    def __exit__(self, *_args: object) -> None: ...
    def __getitem__(self, key: _Key, /) -> str: ...
    def __setitem__(self, key: _Key, value: _Value, /) -> None: ...
    def __delitem__(self, key: _Key, /) -> None: ...
    def __contains__(self, key: _Key, /) -> bool: ...

    # --- found by name when they are called
    def acl_cat(self, category: Any = ...) -> list[str]: ...
    def acl_deluser(self, *username: _Value) -> int: ...
    def acl_dryrun(self, username: str, *args: _Value) -> Any: ...
    def acl_genpass(self, bits: Any = ...) -> str: ...
    def acl_getuser(self, username: str) -> dict[str, Any] | None: ...
    def acl_help(self) -> list[str]: ...
    def acl_list(self) -> list[str]: ...
    def acl_load(self) -> bool: ...
    def acl_log(self, count: Any = ...) -> Any: ...
    def acl_log_reset(self) -> bool: ...
    def acl_save(self) -> bool: ...
    def acl_setuser(
        self,
        username: str,
        enabled: Any = ...,
        nopass: Any = ...,
        passwords: Any = ...,
        hashed_passwords: Any = ...,
        categories: Any = ...,
        commands: Any = ...,
        keys: Any = ...,
        channels: Any = ...,
        selectors: Any = ...,
        reset: Any = ...,
        reset_keys: Any = ...,
        reset_channels: Any = ...,
        reset_passwords: Any = ...,
    ) -> bool: ...
    def acl_users(self) -> list[str]: ...
    def acl_whoami(self) -> str: ...
    def append(self, key: _Key, value: _Value) -> int: ...
    def bgrewriteaof(self) -> bool: ...
    def bgsave(self, schedule: Any = ...) -> bool: ...
    def bitcount(self, key: _Key, start: int | None = ..., end: int | None = ..., mode: str | None = ...) -> int: ...
    def bitfield_ro(self, key: _Key, encoding: Any, offset: Any, items: Any = ...) -> Any: ...
    def bitop(self, operation: str, dest: _Key, *keys: _Key) -> int: ...
    def bitpos(
        self, key: _Key, bit: int, start: int | None = ..., end: int | None = ..., mode: str | None = ...
    ) -> int: ...
    def blmove(
        self, first_list: _Key, second_list: _Key, timeout: float, src: str = ..., dest: str = ...
    ) -> str | None: ...
    def blmpop(
        self, timeout: float, numkeys: int, *args: _Key, direction: str, count: int | None = ...
    ) -> list[Any] | None: ...
    def blpop(self, keys: _Key | Iterable[_Key], timeout: float | None = ...) -> tuple[str, str] | None: ...
    def brpop(self, keys: _Key | Iterable[_Key], timeout: float | None = ...) -> tuple[str, str] | None: ...
    def brpoplpush(self, src: _Key, dst: _Key, timeout: float = ...) -> str | None: ...
    def bzmpop(
        self,
        timeout: float,
        numkeys: int,
        keys: Iterable[_Key],
        min: bool = ...,
        max: bool = ...,
        count: int | None = ...,
    ) -> list[Any] | None: ...
    def bzpopmax(self, keys: _Key | Iterable[_Key], timeout: float | None = ...) -> tuple[str, str, float] | None: ...
    def bzpopmin(self, keys: _Key | Iterable[_Key], timeout: float | None = ...) -> tuple[str, str, float] | None: ...
    def client_getname(self) -> str | None: ...
    def client_getredir(self) -> Any: ...
    def client_id(self) -> int: ...
    def client_info(self) -> dict[str, Any]: ...
    def client_kill(self, address: Any) -> Any: ...
    def client_kill_filter(
        self,
        _id: Any = ...,
        _type: Any = ...,
        addr: Any = ...,
        skipme: Any = ...,
        laddr: Any = ...,
        user: Any = ...,
        maxage: Any = ...,
    ) -> Any: ...
    def client_list(self, _type: Any = ..., client_id: Any = ...) -> list[dict[str, str]]: ...
    def client_pause(self, timeout: int, all: Any = ...) -> bool: ...
    def client_trackinginfo(self) -> Any: ...
    def client_unblock(self, client_id: Any, error: Any = ...) -> bool: ...
    def client_unpause(self) -> Any: ...
    def cluster(self, cluster_arg: str, *args: _Value) -> Any: ...
    def command(self) -> dict[str, Any]: ...
    def command_count(self) -> int: ...
    def command_getkeys(self, *args: _Value) -> list[str]: ...
    def command_getkeysandflags(self, *args: _Value) -> Any: ...
    def command_list(self, module: Any = ..., category: Any = ..., pattern: str = ...) -> list[str]: ...
    def config_get(self, pattern: str = ..., *args: str) -> dict[str, str]: ...
    def config_resetstat(self) -> bool: ...
    def config_rewrite(self) -> Any: ...
    def config_set(self, name: _Key, value: _Value, *args: _Value) -> bool | None: ...
    def copy(self, source: _Key, destination: _Key, destination_db: int | None = ..., replace: bool = ...) -> bool: ...
    def dbsize(self) -> int: ...
    def debug_object(self, key: _Key) -> dict[str, Any]: ...
    def decr(self, name: _Key, amount: int = ...) -> int: ...
    def decrby(self, name: _Key, amount: int = ...) -> int: ...
    def delete(self, *names: _Key) -> int: ...
    def dump(self, name: _Key) -> bytes | None: ...
    def echo(self, value: _Value) -> str: ...
    def eval(self, script: str, numkeys: int, *keys_and_args: _Value) -> Any: ...
    def eval_ro(self, script: str, numkeys: int, *keys_and_args: _Value) -> Any: ...
    def evalsha(self, sha: str, numkeys: int, *keys_and_args: _Value) -> Any: ...
    def evalsha_ro(self, sha: str, numkeys: int, *keys_and_args: _Value) -> Any: ...
    def exists(self, *names: _Key) -> int: ...
    def expire(
        self, name: _Key, time: int | timedelta, nx: bool = ..., xx: bool = ..., gt: bool = ..., lt: bool = ...
    ) -> bool: ...
    def expireat(
        self, name: _Key, when: int | datetime, nx: bool = ..., xx: bool = ..., gt: bool = ..., lt: bool = ...
    ) -> bool: ...
    def expiretime(self, key: _Key) -> int: ...
    def fcall(self, function: str, numkeys: int, *keys_and_args: _Value) -> Any: ...
    def fcall_ro(self, function: str, numkeys: int, *keys_and_args: _Value) -> Any: ...
    def flushall(self, asynchronous: bool = ...) -> bool | None: ...
    def flushdb(self, asynchronous: bool = ...) -> bool | None: ...
    def function_delete(self, library: Any) -> bool: ...
    def function_dump(self) -> bytes: ...
    def function_flush(self, mode: Any = ...) -> bool: ...
    def function_kill(self) -> Any: ...
    def function_list(self, library: Any = ..., withcode: Any = ...) -> Any: ...
    def function_load(self, code: Any, replace: Any = ...) -> Any: ...
    def function_restore(self, payload: Any, policy: Any = ...) -> bool: ...
    def function_stats(self) -> Any: ...
    def geoadd(self, name: _Key, values: Iterable[_Value], nx: bool = ..., xx: bool = ..., ch: bool = ...) -> int: ...
    def geodist(self, name: _Key, place1: _Value, place2: _Value, unit: str | None = ...) -> float | None: ...
    def geohash(self, name: _Key, *values: _Value) -> list[str | None]: ...
    def geopos(self, name: _Key, *values: _Value) -> list[tuple[float, float] | None]: ...
    def georadius(
        self,
        name: _Key,
        longitude: float,
        latitude: float,
        radius: float,
        unit: str | None = ...,
        withdist: bool = ...,
        withcoord: bool = ...,
        withhash: bool = ...,
        count: int | None = ...,
        sort: str | None = ...,
        store: _Key | None = ...,
        store_dist: _Key | None = ...,
        any: bool = ...,
    ) -> Any: ...
    def georadiusbymember(
        self,
        name: _Key,
        member: _Value,
        radius: float,
        unit: str | None = ...,
        withdist: bool = ...,
        withcoord: bool = ...,
        withhash: bool = ...,
        count: int | None = ...,
        sort: str | None = ...,
        store: _Key | None = ...,
        store_dist: _Key | None = ...,
        any: bool = ...,
    ) -> Any: ...
    def geosearch(
        self,
        name: _Key,
        member: _Value | None = ...,
        longitude: float | None = ...,
        latitude: float | None = ...,
        unit: str = ...,
        radius: float | None = ...,
        width: float | None = ...,
        height: float | None = ...,
        sort: str | None = ...,
        count: int | None = ...,
        any: bool = ...,
        withcoord: bool = ...,
        withdist: bool = ...,
        withhash: bool = ...,
    ) -> list[Any]: ...
    def geosearchstore(
        self,
        dest: _Key,
        name: _Key,
        member: _Value | None = ...,
        longitude: float | None = ...,
        latitude: float | None = ...,
        unit: str = ...,
        radius: float | None = ...,
        width: float | None = ...,
        height: float | None = ...,
        sort: str | None = ...,
        count: int | None = ...,
        any: bool = ...,
        storedist: bool = ...,
    ) -> int: ...
    def get(self, name: _Key) -> str | None: ...
    def getbit(self, name: _Key, offset: int) -> int: ...
    def getdel(self, name: _Key) -> str | None: ...
    def getex(
        self,
        name: _Key,
        ex: int | timedelta | None = ...,
        px: int | timedelta | None = ...,
        exat: int | datetime | None = ...,
        pxat: int | datetime | None = ...,
        persist: bool = ...,
    ) -> str | None: ...
    def getrange(self, key: _Key, start: int, end: int) -> str: ...
    def getset(self, name: _Key, value: _Value) -> str | None: ...
    def hdel(self, name: _Key, *keys: _Key) -> int: ...
    def hexists(self, name: _Key, key: _Key) -> bool: ...
    def hexpire(
        self,
        name: _Key,
        seconds: int | timedelta,
        *fields: _Value,
        nx: bool = ...,
        xx: bool = ...,
        gt: bool = ...,
        lt: bool = ...,
    ) -> Any: ...
    def hexpireat(
        self,
        name: _Key,
        unix_time_seconds: int | datetime,
        *fields: _Value,
        nx: bool = ...,
        xx: bool = ...,
        gt: bool = ...,
        lt: bool = ...,
    ) -> Any: ...
    def hexpiretime(self, key: _Key, *fields: _Value) -> Any: ...
    def hget(self, name: _Key, key: _Key) -> str | None: ...
    def hgetall(self, name: _Key) -> dict[str, str]: ...
    def hincrby(self, name: _Key, key: _Key, amount: int = ...) -> int: ...
    def hincrbyfloat(self, name: _Key, key: _Key, amount: float = ...) -> float: ...
    def hkeys(self, name: _Key) -> list[str]: ...
    def hlen(self, name: _Key) -> int: ...
    def hmget(self, name: _Key, keys: _Key | Iterable[_Key], *args: _Key) -> list[str | None]: ...
    def hmset(self, name: _Key, mapping: Mapping[str, Any]) -> bool | None: ...
    def hpersist(self, name: _Key, *fields: _Value) -> Any: ...
    def hpexpire(
        self,
        name: _Key,
        milliseconds: int | timedelta,
        *fields: _Value,
        nx: bool = ...,
        xx: bool = ...,
        gt: bool = ...,
        lt: bool = ...,
    ) -> Any: ...
    def hpexpireat(
        self,
        name: _Key,
        unix_time_milliseconds: int | datetime,
        *fields: _Value,
        nx: bool = ...,
        xx: bool = ...,
        gt: bool = ...,
        lt: bool = ...,
    ) -> Any: ...
    def hpexpiretime(self, key: _Key, *fields: _Value) -> Any: ...
    def hpttl(self, key: _Key, *fields: _Value) -> Any: ...
    def hrandfield(self, key: _Key, count: int | None = ..., withvalues: bool = ...) -> Any: ...
    def hscan(
        self,
        name: _Key,
        cursor: int = ...,
        match: str | None = ...,
        count: int | None = ...,
        no_values: bool | None = ...,
    ) -> tuple[int, Any]: ...
    def hset(
        self,
        name: _Key,
        key: _Value | None = ...,
        value: _Value | None = ...,
        mapping: Mapping[str, Any] | None = ...,
        items: Iterable[_Value] | None = ...,
    ) -> int: ...
    def hsetnx(self, name: _Key, key: _Key, value: _Value) -> int: ...
    def hstrlen(self, name: _Key, key: _Key) -> int: ...
    def httl(self, key: _Key, *fields: _Value) -> Any: ...
    def hvals(self, name: _Key) -> list[str]: ...
    def incr(self, name: _Key, amount: int = ...) -> int: ...
    def incrby(self, name: _Key, amount: int = ...) -> int: ...
    def incrbyfloat(self, name: _Key, amount: float = ...) -> float: ...
    def info(self, section: str | None = ..., *args: str) -> dict[str, Any]: ...
    def keys(self, pattern: str = ...) -> list[str]: ...
    def lastsave(self) -> datetime: ...
    def latency_history(self, event: Any) -> Any: ...
    def latency_latest(self) -> Any: ...
    def latency_reset(self, *events: _Value) -> int: ...
    def lcs(
        self,
        key1: _Key,
        key2: _Key,
        len: bool = ...,
        idx: bool = ...,
        minmatchlen: int | None = ...,
        withmatchlen: bool = ...,
    ) -> Any: ...
    def lindex(self, name: _Key, index: int) -> str | None: ...
    def linsert(self, name: _Key, where: str, refvalue: _Value, value: _Value) -> int: ...
    def llen(self, name: _Key) -> int: ...
    def lmove(self, first_list: _Key, second_list: _Key, src: str = ..., dest: str = ...) -> str | None: ...
    def lmpop(self, num_keys: int, *args: _Key, direction: str, count: int | None = ...) -> list[Any] | None: ...
    def lolwut(self, *version_numbers: _Value) -> Any: ...
    def lpop(self, name: _Key, count: int | None = ...) -> Any: ...
    def lpos(
        self, name: _Key, value: _Value, rank: int | None = ..., count: int | None = ..., maxlen: int | None = ...
    ) -> Any: ...
    def lpush(self, name: _Key, *values: _Value) -> int: ...
    def lpushx(self, name: _Key, *values: _Value) -> int: ...
    def lrange(self, name: _Key, start: int, end: int) -> list[str]: ...
    def lrem(self, name: _Key, count: int, value: _Value) -> int: ...
    def lset(self, name: _Key, index: int, value: _Value) -> bool | None: ...
    def ltrim(self, name: _Key, start: int, end: int) -> bool | None: ...
    def memory_malloc_stats(self) -> Any: ...
    def memory_purge(self) -> bool: ...
    def memory_stats(self) -> dict[str, Any]: ...
    def memory_usage(self, key: _Key, samples: int | None = ...) -> int | None: ...
    def mget(self, keys: _Key | Iterable[_Key], *args: _Key) -> list[str | None]: ...
    def migrate(
        self,
        host: Any,
        port: Any,
        keys: Any,
        destination_db: Any,
        timeout: int,
        copy: Any = ...,
        replace: Any = ...,
        auth: Any = ...,
    ) -> Any: ...
    def module_list(self) -> list[dict[str, Any]]: ...
    def module_load(self, path: Any, *args: _Value) -> bool: ...
    def module_loadex(self, path: Any, options: Any = ..., args: Any = ...) -> Any: ...
    def module_unload(self, name: _Key) -> bool: ...
    def move(self, name: _Key, db: int) -> bool: ...
    def mset(self, *args: Mapping[str, _Value], **kwargs: Any) -> bool | None: ...
    def msetnx(self, *args: Mapping[str, _Value], **kwargs: Any) -> bool: ...
    def object(self, infotype: str, key: _Key) -> Any: ...
    def persist(self, name: _Key) -> bool: ...
    def pexpire(
        self, name: _Key, time: int | timedelta, nx: bool = ..., xx: bool = ..., gt: bool = ..., lt: bool = ...
    ) -> bool: ...
    def pexpireat(
        self, name: _Key, when: int | datetime, nx: bool = ..., xx: bool = ..., gt: bool = ..., lt: bool = ...
    ) -> bool: ...
    def pexpiretime(self, key: _Key) -> int: ...
    def pfadd(self, name: _Key, *values: _Value) -> int: ...
    def pfcount(self, *sources: _Key) -> int: ...
    def pfmerge(self, dest: _Key, *sources: _Key) -> bool | None: ...
    def ping(self) -> bool: ...
    def psetex(self, name: _Key, time_ms: int | timedelta, value: _Value) -> bool | None: ...
    def pttl(self, name: _Key) -> int: ...
    def publish(self, channel: _Value, message: _Value) -> int: ...
    def pubsub_channels(self, pattern: str = ...) -> list[str]: ...
    def pubsub_numpat(self) -> int: ...
    def pubsub_numsub(self, *args: _Value) -> list[tuple[str, int]]: ...
    def pubsub_shardchannels(self, pattern: str = ...) -> list[str]: ...
    def pubsub_shardnumsub(self, *args: _Value) -> list[tuple[str, int]]: ...
    def randomkey(self) -> str | None: ...
    def rename(self, src: _Key, dst: _Key) -> bool | None: ...
    def renamenx(self, src: _Key, dst: _Key) -> bool: ...
    def replicaof(self, *args: _Value) -> Any: ...
    def restore(
        self,
        name: _Key,
        ttl: float,
        value: _Value,
        replace: bool = ...,
        absttl: bool = ...,
        idletime: int | None = ...,
        frequency: int | None = ...,
    ) -> str: ...
    def role(self) -> Any: ...
    def rpop(self, name: _Key, count: int | None = ...) -> Any: ...
    def rpoplpush(self, src: _Key, dst: _Key) -> str | None: ...
    def rpush(self, name: _Key, *values: _Value) -> int: ...
    def rpushx(self, name: _Key, *values: _Value) -> int: ...
    def sadd(self, name: _Key, *values: _Value) -> int: ...
    def save(self) -> bool: ...
    def scan(
        self, cursor: int = ..., match: str | None = ..., count: int | None = ..., _type: str | None = ...
    ) -> tuple[int, list[str]]: ...
    def scard(self, name: _Key) -> int: ...
    def script_exists(self, *args: _Value) -> list[bool]: ...
    def script_flush(self, sync_type: str | None = ...) -> bool | None: ...
    def script_kill(self) -> bool: ...
    def script_load(self, script: str) -> str: ...
    def sdiff(self, keys: _Key | Iterable[_Key], *args: _Key) -> _Set: ...
    def sdiffstore(self, dest: _Key, keys: _Key | Iterable[_Key], *args: _Key) -> int: ...
    def set(
        self,
        name: _Key,
        value: _Value,
        ex: int | timedelta | None = ...,
        px: int | timedelta | None = ...,
        nx: bool = ...,
        xx: bool = ...,
        keepttl: bool = ...,
        get: bool = ...,
        exat: int | datetime | None = ...,
        pxat: int | datetime | None = ...,
    ) -> Any: ...
    def setbit(self, name: _Key, offset: int, value: _Value) -> int: ...
    def setex(self, name: _Key, time: int | timedelta, value: _Value) -> bool | None: ...
    def setnx(self, name: _Key, value: _Value) -> bool: ...
    def setrange(self, name: _Key, offset: int, value: _Value) -> int: ...
    def sinter(self, keys: _Key | Iterable[_Key], *args: _Key) -> _Set: ...
    def sintercard(self, numkeys: int, keys: Iterable[_Key], limit: int = ...) -> int: ...
    def sinterstore(self, dest: _Key, keys: _Key | Iterable[_Key], *args: _Key) -> int: ...
    def sismember(self, name: _Key, value: _Value) -> int: ...
    def slaveof(self, host: Any = ..., port: Any = ...) -> bool: ...
    def slowlog_get(self, num: Any = ...) -> list[dict[str, Any]]: ...
    def slowlog_len(self) -> int: ...
    def slowlog_reset(self) -> bool: ...
    def smembers(self, name: _Key) -> _Set: ...
    def smismember(self, name: _Key, values: _Value | Iterable[_Value], *args: _Value) -> list[int]: ...
    def smove(self, src: _Key, dst: _Key, value: _Value) -> bool: ...
    def sort(
        self,
        name: _Key,
        start: int | None = ...,
        num: int | None = ...,
        by: str | None = ...,
        get: str | Iterable[str] | None = ...,
        desc: bool = ...,
        alpha: bool = ...,
        store: _Key | None = ...,
        groups: bool = ...,
    ) -> Any: ...
    def sort_ro(
        self,
        key: _Key,
        start: Any = ...,
        num: Any = ...,
        by: Any = ...,
        get: Any = ...,
        desc: Any = ...,
        alpha: Any = ...,
    ) -> list[str]: ...
    def spop(self, name: _Key, count: int | None = ...) -> Any: ...
    def spublish(self, shard_channel: Any, message: Any) -> int: ...
    def srandmember(self, name: _Key, number: int | None = ...) -> Any: ...
    def srem(self, name: _Key, *values: _Value) -> int: ...
    def sscan(
        self,
        name: _Key,
        cursor: int = ...,
        match: str | None = ...,
        count: int | None = ...,
        score_cast_func: Any = ...,
    ) -> tuple[int, list[str]]: ...
    def strlen(self, name: _Key) -> int: ...
    def substr(self, name: _Key, start: int, end: int = ...) -> str: ...
    def sunion(self, keys: _Key | Iterable[_Key], *args: _Key) -> _Set: ...
    def sunionstore(self, dest: _Key, keys: _Key | Iterable[_Key], *args: _Key) -> int: ...
    def swapdb(self, first: int, second: int) -> bool: ...
    def time(self) -> tuple[int, int]: ...
    def touch(self, *names: _Key) -> int: ...
    def ttl(self, name: _Key) -> int: ...
    def type(self, name: _Key) -> str: ...
    def unlink(self, *names: _Key) -> int: ...
    def wait(self, num_replicas: int, timeout: int) -> int: ...
    def waitaof(self, num_local: int, num_replicas: int, timeout: int) -> Any: ...
    def xack(self, name: _Key, groupname: _Key, *ids: _Key) -> int: ...
    def xadd(
        self,
        name: _Key,
        fields: Mapping[Any, Any],
        id: _Key = ...,
        maxlen: int | None = ...,
        approximate: bool = ...,
        nomkstream: bool = ...,
        minid: _Key | None = ...,
        limit: int | None = ...,
    ) -> str: ...
    def xautoclaim(
        self,
        name: _Key,
        groupname: _Key,
        consumername: _Key,
        min_idle_time: int,
        start_id: _Key = ...,
        count: int | None = ...,
        justid: bool = ...,
    ) -> list[Any]: ...
    def xclaim(
        self,
        name: _Key,
        groupname: _Key,
        consumername: _Key,
        min_idle_time: int,
        message_ids: Iterable[_Key],
        idle: int | None = ...,
        time: int | None = ...,
        retrycount: int | None = ...,
        force: bool = ...,
        justid: bool = ...,
    ) -> list[Any]: ...
    def xdel(self, name: _Key, *ids: _Key) -> int: ...
    def xgroup_create(
        self, name: _Key, groupname: _Key, id: _Key = ..., mkstream: bool = ..., entries_read: int | None = ...
    ) -> bool: ...
    def xgroup_createconsumer(self, name: _Key, groupname: _Key, consumername: _Key) -> int: ...
    def xgroup_delconsumer(self, name: _Key, groupname: _Key, consumername: _Key) -> int: ...
    def xgroup_destroy(self, name: _Key, groupname: _Key) -> bool: ...
    def xgroup_setid(self, name: _Key, groupname: _Key, id: _Key, entries_read: int | None = ...) -> bool: ...
    def xinfo_consumers(self, name: _Key, groupname: _Key) -> list[dict[str, Any]]: ...
    def xinfo_groups(self, name: _Key) -> list[dict[str, Any]]: ...
    def xinfo_stream(self, name: _Key, full: bool = ...) -> dict[str, Any]: ...
    def xlen(self, name: _Key) -> int: ...
    def xpending(self, name: _Key, groupname: _Key) -> dict[str, Any]: ...
    def xpending_range(
        self,
        name: _Key,
        groupname: _Key,
        min: _Key,
        max: _Key,
        count: int,
        consumername: _Key | None = ...,
        idle: int | None = ...,
    ) -> list[dict[str, Any]]: ...
    def xrange(self, name: _Key, min: _Key = ..., max: _Key = ..., count: int | None = ...) -> list[Any]: ...
    def xread(self, streams: Mapping[Any, Any], count: int | None = ..., block: int | None = ...) -> list[Any]: ...
    def xreadgroup(
        self,
        groupname: _Key,
        consumername: _Key,
        streams: Mapping[Any, Any],
        count: int | None = ...,
        block: int | None = ...,
        noack: bool = ...,
    ) -> list[Any]: ...
    def xrevrange(self, name: _Key, max: _Key = ..., min: _Key = ..., count: int | None = ...) -> list[Any]: ...
    def xtrim(
        self,
        name: _Key,
        maxlen: int | None = ...,
        approximate: bool = ...,
        minid: _Key | None = ...,
        limit: int | None = ...,
    ) -> int: ...
    def zadd(
        self,
        name: _Key,
        mapping: Mapping[Any, float],
        nx: bool = ...,
        xx: bool = ...,
        ch: bool = ...,
        incr: bool = ...,
        gt: bool = ...,
        lt: bool = ...,
    ) -> Any: ...
    def zcard(self, name: _Key) -> int: ...
    def zcount(self, name: _Key, min: _Value, max: _Value) -> int: ...
    def zdiff(self, keys: Iterable[_Key], withscores: bool = ...) -> list[Any]: ...
    def zdiffstore(self, dest: _Key, keys: Iterable[_Key]) -> int: ...
    def zincrby(self, name: _Key, amount: float, value: _Value) -> float: ...
    def zinter(
        self,
        keys: Iterable[_Key] | Mapping[str, float],
        aggregate: str | None = ...,
        withscores: bool = ...,
        score_cast_func: Any = ...,
    ) -> list[Any]: ...
    def zintercard(self, numkeys: int, keys: Iterable[_Key], limit: int = ...) -> int: ...
    def zinterstore(
        self, dest: _Key, keys: Iterable[_Key] | Mapping[str, float], aggregate: str | None = ...
    ) -> int: ...
    def zlexcount(self, name: _Key, min: _Value, max: _Value) -> int: ...
    def zmpop(
        self, num_keys: int, keys: Iterable[_Key], min: bool = ..., max: bool = ..., count: int | None = ...
    ) -> list[Any] | None: ...
    def zmscore(self, key: _Key, members: _Value | Iterable[_Value], *args: _Value) -> list[float | None]: ...
    def zpopmax(self, name: _Key, count: int | None = ...) -> list[tuple[str, float]]: ...
    def zpopmin(self, name: _Key, count: int | None = ...) -> list[tuple[str, float]]: ...
    def zrandmember(self, key: _Key, count: int | None = ..., withscores: bool = ...) -> Any: ...
    def zrange(
        self,
        name: _Key,
        start: _Value,
        end: _Value,
        desc: bool = ...,
        withscores: bool = ...,
        score_cast_func: Any = ...,
        byscore: bool = ...,
        bylex: bool = ...,
        offset: int | None = ...,
        num: int | None = ...,
    ) -> list[Any]: ...
    def zrangebylex(
        self, name: _Key, min: _Value, max: _Value, start: int | None = ..., num: int | None = ...
    ) -> list[str]: ...
    def zrangebyscore(
        self,
        name: _Key,
        min: _Value,
        max: _Value,
        start: int | None = ...,
        num: int | None = ...,
        withscores: bool = ...,
        score_cast_func: Any = ...,
    ) -> list[Any]: ...
    def zrangestore(
        self,
        dest: _Key,
        name: _Key,
        start: _Value,
        end: _Value,
        byscore: bool = ...,
        bylex: bool = ...,
        desc: bool = ...,
        offset: int | None = ...,
        num: int | None = ...,
    ) -> int: ...
    def zrank(self, name: _Key, value: _Value, withscore: bool = ...) -> int | None: ...
    def zrem(self, name: _Key, *values: _Value) -> int: ...
    def zremrangebylex(self, name: _Key, min: _Value, max: _Value) -> int: ...
    def zremrangebyrank(self, name: _Key, min: _Value, max: _Value) -> int: ...
    def zremrangebyscore(self, name: _Key, min: _Value, max: _Value) -> int: ...
    def zrevrange(
        self, name: _Key, start: int, end: int, withscores: bool = ..., score_cast_func: Any = ...
    ) -> list[Any]: ...
    def zrevrangebylex(
        self, name: _Key, max: _Value, min: _Value, start: int | None = ..., num: int | None = ...
    ) -> list[str]: ...
    def zrevrangebyscore(
        self,
        name: _Key,
        max: _Value,
        min: _Value,
        start: int | None = ...,
        num: int | None = ...,
        withscores: bool = ...,
        score_cast_func: Any = ...,
    ) -> list[Any]: ...
    def zrevrank(self, name: _Key, value: _Value, withscore: bool = ...) -> int | None: ...
    def zscan(
        self,
        name: _Key,
        cursor: int = ...,
        match: str | None = ...,
        count: int | None = ...,
        score_cast_func: Any = ...,
    ) -> tuple[int, list[tuple[str, float]]]: ...
    def zscore(self, name: _Key, value: _Value) -> float | None: ...
    def zunion(
        self,
        keys: Iterable[_Key] | Mapping[str, float],
        aggregate: str | None = ...,
        withscores: bool = ...,
        score_cast_func: Any = ...,
    ) -> list[Any]: ...
    def zunionstore(
        self, dest: _Key, keys: Iterable[_Key] | Mapping[str, float], aggregate: str | None = ...
    ) -> int: ...

class Kvdb(Redis):
    """The key/value database: `.conn` is its client, and attributes that it has not itself are the client's."""

    @property
    def conn(self) -> Redis:
        """The client, with the methods of redis-py. Text in, text out, unless an `outconn_redis` says otherwise."""
    @property
    def conn_bytes(self) -> Redis:
        """The same client, but what it gives is bytes: for values that are no text."""
    def ping(self) -> bool:
        """Asks the server whether it is there. Raises what redis-py would if it is not."""
    def translate(self, system1: str, key1: str, value1: str, system2: str, key2: str, default: Any = None) -> Any:
        """The same as `self.translate`."""
    def subscribe(self, *args: _Key, **kwargs: Callable[[dict[str, Any]], Any]) -> PubSub:
        """A new `pubsub()` that has subscribed to these channels."""
    def copy(self) -> Kvdb:  # type: ignore[override]
        """This very object: there is nothing to copy."""
    def close(self) -> None:
        """Nothing is held open: this does nothing."""

class RedisServers(Redis):
    """`self.outgoing.redis`: further servers by name; everything else is the key/value database's."""

    @property
    def conn(self) -> Redis:
        """The client of the key/value database; the same as `self.kvdb.conn`."""
    def get(self, name: str, skip_inactive: bool = False) -> Kvdb:  # type: ignore[override]
        """The server of that name. KeyError if there is none, `Inactive` if it is switched off."""
    def __getitem__(self, name: str, /) -> Kvdb: ...  # type: ignore[override]
    def __contains__(self, name: str, /) -> bool: ...  # type: ignore[override]

class RedisSubscription:
    """A connection that receives what is published.

    It is not replaced when it is lost; whoever has it makes another: that is what `pubsub()` of the client does.
    """

    def __new__(cls, client: Redis) -> RedisSubscription: ...
    def send(self, command: str, names: Sequence[_Key]) -> None:
        """Sends `SUBSCRIBE` and the like with these names."""
    def read(self, timeout: float | None = ...) -> tuple[str, Any, Any, Any] | None:
        """What comes next - kind, pattern, channel, data - or `None` if nothing does in so many seconds."""
    def close(self) -> None:
        """Ends the connection."""
    @property
    def is_open(self) -> bool:
        """Whether it still stands, as far as is known."""

class RedisMethod:
    """A method of the client or of a pipeline."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

class Pipeline:
    """Commands that are kept until `execute()` sends them in one go.

    After `watch()` they are sent at once, until `multi()`.
    """

    def execute(self, raise_on_error: bool = ...) -> list[Any]:
        """Sends what was kept, and gives a list of what each command gives. Raises the first error among them.

        With `raise_on_error=False` errors are in the list. Raises `WatchError` if something that is watched was changed.
        """
    def watch(self, *names: _Key) -> bool:
        """Watches keys: if one of them is changed before `execute()`, that raises `WatchError` and nothing is done."""
    def unwatch(self) -> bool:
        """Forgets what is watched."""
    def multi(self) -> None:
        """From here on commands are kept again, although something is watched."""
    def reset(self) -> None:
        """Forgets what was kept and what is watched."""
    def discard(self) -> None:
        """The same as `reset()`."""
    def close(self) -> None:
        """The same as `reset()`."""
    def bitfield(self, key: _Key, default_overflow: str | None = ...) -> BitField:
        """Numbers of any size within a value, changed and read together."""
    def execute_command(self, *args: _Value, **options: Any) -> Any:
        """Keeps any command: its name, and its arguments."""
    def lock(self, *args: Any, **options: Any) -> Lock:
        """A lock of the client: it is taken at once, not with the pipeline's commands."""
    def register_script(self, script: str | bytes) -> Script:
        """A script that can be called like a function; then the pipeline keeps it as one of its commands."""
    def pipeline(self, transaction: bool = ..., shard_hint: Any = ...) -> Pipeline:
        """A further pipeline of the client's."""
    def pubsub(self, shard_hint: Any = ..., ignore_subscribe_messages: bool = ...) -> PubSub:
        """Receives what others publish: the client's, which has nothing to do with the pipeline's commands."""
    def scan_iter(self, match: str | None = ..., count: int | None = ..., _type: str | None = ...) -> Iterator[str]:
        """All keys, a few at a time: asked for at once, not with the pipeline's commands. So with those below."""
    def sscan_iter(self, name: _Key, match: str | None = ..., count: int | None = ...) -> Iterator[str]:
        """All members of a set, a few at a time."""
    def hscan_iter(
        self, name: _Key, match: str | None = ..., count: int | None = ..., no_values: bool | None = ...
    ) -> Iterator[Any]:
        """All keys and values of a hash, a few at a time."""
    def zscan_iter(
        self, name: _Key, match: str | None = ..., count: int | None = ..., score_cast_func: Any = ...
    ) -> Iterator[tuple[str, Any]]:
        """All members of a sorted set with their scores, a few at a time."""
    def get_encoder(self) -> Encoder:
        """What makes bytes of values and text of replies."""
    @property
    def connection_pool(self) -> ConnectionPool:
        """The same as the client's."""
    @property
    def command_stack(self) -> list[tuple[tuple[str | bytes, ...], dict[str, Any]]]:
        """What is kept, to look at: a tuple of the command's words and a dictionary of options for each."""
    @property
    def scripts(self) -> set[Any]:
        """Scripts of redis-py that are made known to Redis before the commands are sent."""
    @property
    def watching(self) -> bool:
        """Whether something is watched."""
    @property
    def explicit_transaction(self) -> bool:
        """Whether `multi()` was called."""
    @property
    def transaction(self) -> bool:
        """Whether the commands are sent as a transaction."""
    def __enter__(self) -> Pipeline: ...
    def __exit__(self, *_args: object) -> None: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...

    # --- found by name when they are called; while something is watched they give what the client's give
    def acl_cat(self, category: Any = ...) -> Any: ...
    def acl_deluser(self, *username: _Value) -> Any: ...
    def acl_dryrun(self, username: str, *args: _Value) -> Any: ...
    def acl_genpass(self, bits: Any = ...) -> Any: ...
    def acl_getuser(self, username: str) -> Any: ...
    def acl_help(self) -> Any: ...
    def acl_list(self) -> Any: ...
    def acl_load(self) -> Any: ...
    def acl_log(self, count: Any = ...) -> Any: ...
    def acl_log_reset(self) -> Any: ...
    def acl_save(self) -> Any: ...
    def acl_setuser(
        self,
        username: str,
        enabled: Any = ...,
        nopass: Any = ...,
        passwords: Any = ...,
        hashed_passwords: Any = ...,
        categories: Any = ...,
        commands: Any = ...,
        keys: Any = ...,
        channels: Any = ...,
        selectors: Any = ...,
        reset: Any = ...,
        reset_keys: Any = ...,
        reset_channels: Any = ...,
        reset_passwords: Any = ...,
    ) -> Any: ...
    def acl_users(self) -> Any: ...
    def acl_whoami(self) -> Any: ...
    def append(self, key: _Key, value: _Value) -> Any: ...
    def bgrewriteaof(self) -> Any: ...
    def bgsave(self, schedule: Any = ...) -> Any: ...
    def bitcount(self, key: _Key, start: int | None = ..., end: int | None = ..., mode: str | None = ...) -> Any: ...
    def bitfield_ro(self, key: _Key, encoding: Any, offset: Any, items: Any = ...) -> Any: ...
    def bitop(self, operation: str, dest: _Key, *keys: _Key) -> Any: ...
    def bitpos(
        self, key: _Key, bit: int, start: int | None = ..., end: int | None = ..., mode: str | None = ...
    ) -> Any: ...
    def blmove(self, first_list: _Key, second_list: _Key, timeout: float, src: str = ..., dest: str = ...) -> Any: ...
    def blmpop(self, timeout: float, numkeys: int, *args: _Key, direction: str, count: int | None = ...) -> Any: ...
    def blpop(self, keys: _Key | Iterable[_Key], timeout: float | None = ...) -> Any: ...
    def brpop(self, keys: _Key | Iterable[_Key], timeout: float | None = ...) -> Any: ...
    def brpoplpush(self, src: _Key, dst: _Key, timeout: float = ...) -> Any: ...
    def bzmpop(
        self,
        timeout: float,
        numkeys: int,
        keys: Iterable[_Key],
        min: bool = ...,
        max: bool = ...,
        count: int | None = ...,
    ) -> Any: ...
    def bzpopmax(self, keys: _Key | Iterable[_Key], timeout: float | None = ...) -> Any: ...
    def bzpopmin(self, keys: _Key | Iterable[_Key], timeout: float | None = ...) -> Any: ...
    def client_getname(self) -> Any: ...
    def client_getredir(self) -> Any: ...
    def client_id(self) -> Any: ...
    def client_info(self) -> Any: ...
    def client_kill(self, address: Any) -> Any: ...
    def client_kill_filter(
        self,
        _id: Any = ...,
        _type: Any = ...,
        addr: Any = ...,
        skipme: Any = ...,
        laddr: Any = ...,
        user: Any = ...,
        maxage: Any = ...,
    ) -> Any: ...
    def client_list(self, _type: Any = ..., client_id: Any = ...) -> Any: ...
    def client_pause(self, timeout: int, all: Any = ...) -> Any: ...
    def client_trackinginfo(self) -> Any: ...
    def client_unblock(self, client_id: Any, error: Any = ...) -> Any: ...
    def client_unpause(self) -> Any: ...
    def cluster(self, cluster_arg: str, *args: _Value) -> Any: ...
    def command(self) -> Any: ...
    def command_count(self) -> Any: ...
    def command_getkeys(self, *args: _Value) -> Any: ...
    def command_getkeysandflags(self, *args: _Value) -> Any: ...
    def command_list(self, module: Any = ..., category: Any = ..., pattern: str = ...) -> Any: ...
    def config_get(self, pattern: str = ..., *args: str) -> Any: ...
    def config_resetstat(self) -> Any: ...
    def config_rewrite(self) -> Any: ...
    def config_set(self, name: _Key, value: _Value, *args: _Value) -> Any: ...
    def copy(self, source: _Key, destination: _Key, destination_db: int | None = ..., replace: bool = ...) -> Any: ...
    def dbsize(self) -> Any: ...
    def debug_object(self, key: _Key) -> Any: ...
    def decr(self, name: _Key, amount: int = ...) -> Any: ...
    def decrby(self, name: _Key, amount: int = ...) -> Any: ...
    def delete(self, *names: _Key) -> Any: ...
    def dump(self, name: _Key) -> Any: ...
    def echo(self, value: _Value) -> Any: ...
    def eval(self, script: str, numkeys: int, *keys_and_args: _Value) -> Any: ...
    def eval_ro(self, script: str, numkeys: int, *keys_and_args: _Value) -> Any: ...
    def evalsha(self, sha: str, numkeys: int, *keys_and_args: _Value) -> Any: ...
    def evalsha_ro(self, sha: str, numkeys: int, *keys_and_args: _Value) -> Any: ...
    def exists(self, *names: _Key) -> Any: ...
    def expire(
        self, name: _Key, time: int | timedelta, nx: bool = ..., xx: bool = ..., gt: bool = ..., lt: bool = ...
    ) -> Any: ...
    def expireat(
        self, name: _Key, when: int | datetime, nx: bool = ..., xx: bool = ..., gt: bool = ..., lt: bool = ...
    ) -> Any: ...
    def expiretime(self, key: _Key) -> Any: ...
    def fcall(self, function: str, numkeys: int, *keys_and_args: _Value) -> Any: ...
    def fcall_ro(self, function: str, numkeys: int, *keys_and_args: _Value) -> Any: ...
    def flushall(self, asynchronous: bool = ...) -> Any: ...
    def flushdb(self, asynchronous: bool = ...) -> Any: ...
    def function_delete(self, library: Any) -> Any: ...
    def function_dump(self) -> Any: ...
    def function_flush(self, mode: Any = ...) -> Any: ...
    def function_kill(self) -> Any: ...
    def function_list(self, library: Any = ..., withcode: Any = ...) -> Any: ...
    def function_load(self, code: Any, replace: Any = ...) -> Any: ...
    def function_restore(self, payload: Any, policy: Any = ...) -> Any: ...
    def function_stats(self) -> Any: ...
    def geoadd(self, name: _Key, values: Iterable[_Value], nx: bool = ..., xx: bool = ..., ch: bool = ...) -> Any: ...
    def geodist(self, name: _Key, place1: _Value, place2: _Value, unit: str | None = ...) -> Any: ...
    def geohash(self, name: _Key, *values: _Value) -> Any: ...
    def geopos(self, name: _Key, *values: _Value) -> Any: ...
    def georadius(
        self,
        name: _Key,
        longitude: float,
        latitude: float,
        radius: float,
        unit: str | None = ...,
        withdist: bool = ...,
        withcoord: bool = ...,
        withhash: bool = ...,
        count: int | None = ...,
        sort: str | None = ...,
        store: _Key | None = ...,
        store_dist: _Key | None = ...,
        any: bool = ...,
    ) -> Any: ...
    def georadiusbymember(
        self,
        name: _Key,
        member: _Value,
        radius: float,
        unit: str | None = ...,
        withdist: bool = ...,
        withcoord: bool = ...,
        withhash: bool = ...,
        count: int | None = ...,
        sort: str | None = ...,
        store: _Key | None = ...,
        store_dist: _Key | None = ...,
        any: bool = ...,
    ) -> Any: ...
    def geosearch(
        self,
        name: _Key,
        member: _Value | None = ...,
        longitude: float | None = ...,
        latitude: float | None = ...,
        unit: str = ...,
        radius: float | None = ...,
        width: float | None = ...,
        height: float | None = ...,
        sort: str | None = ...,
        count: int | None = ...,
        any: bool = ...,
        withcoord: bool = ...,
        withdist: bool = ...,
        withhash: bool = ...,
    ) -> Any: ...
    def geosearchstore(
        self,
        dest: _Key,
        name: _Key,
        member: _Value | None = ...,
        longitude: float | None = ...,
        latitude: float | None = ...,
        unit: str = ...,
        radius: float | None = ...,
        width: float | None = ...,
        height: float | None = ...,
        sort: str | None = ...,
        count: int | None = ...,
        any: bool = ...,
        storedist: bool = ...,
    ) -> Any: ...
    def get(self, name: _Key) -> Any: ...
    def getbit(self, name: _Key, offset: int) -> Any: ...
    def getdel(self, name: _Key) -> Any: ...
    def getex(
        self,
        name: _Key,
        ex: int | timedelta | None = ...,
        px: int | timedelta | None = ...,
        exat: int | datetime | None = ...,
        pxat: int | datetime | None = ...,
        persist: bool = ...,
    ) -> Any: ...
    def getrange(self, key: _Key, start: int, end: int) -> Any: ...
    def getset(self, name: _Key, value: _Value) -> Any: ...
    def hdel(self, name: _Key, *keys: _Key) -> Any: ...
    def hexists(self, name: _Key, key: _Key) -> Any: ...
    def hexpire(
        self,
        name: _Key,
        seconds: int | timedelta,
        *fields: _Value,
        nx: bool = ...,
        xx: bool = ...,
        gt: bool = ...,
        lt: bool = ...,
    ) -> Any: ...
    def hexpireat(
        self,
        name: _Key,
        unix_time_seconds: int | datetime,
        *fields: _Value,
        nx: bool = ...,
        xx: bool = ...,
        gt: bool = ...,
        lt: bool = ...,
    ) -> Any: ...
    def hexpiretime(self, key: _Key, *fields: _Value) -> Any: ...
    def hget(self, name: _Key, key: _Key) -> Any: ...
    def hgetall(self, name: _Key) -> Any: ...
    def hincrby(self, name: _Key, key: _Key, amount: int = ...) -> Any: ...
    def hincrbyfloat(self, name: _Key, key: _Key, amount: float = ...) -> Any: ...
    def hkeys(self, name: _Key) -> Any: ...
    def hlen(self, name: _Key) -> Any: ...
    def hmget(self, name: _Key, keys: _Key | Iterable[_Key], *args: _Key) -> Any: ...
    def hmset(self, name: _Key, mapping: Mapping[str, Any]) -> Any: ...
    def hpersist(self, name: _Key, *fields: _Value) -> Any: ...
    def hpexpire(
        self,
        name: _Key,
        milliseconds: int | timedelta,
        *fields: _Value,
        nx: bool = ...,
        xx: bool = ...,
        gt: bool = ...,
        lt: bool = ...,
    ) -> Any: ...
    def hpexpireat(
        self,
        name: _Key,
        unix_time_milliseconds: int | datetime,
        *fields: _Value,
        nx: bool = ...,
        xx: bool = ...,
        gt: bool = ...,
        lt: bool = ...,
    ) -> Any: ...
    def hpexpiretime(self, key: _Key, *fields: _Value) -> Any: ...
    def hpttl(self, key: _Key, *fields: _Value) -> Any: ...
    def hrandfield(self, key: _Key, count: int | None = ..., withvalues: bool = ...) -> Any: ...
    def hscan(
        self,
        name: _Key,
        cursor: int = ...,
        match: str | None = ...,
        count: int | None = ...,
        no_values: bool | None = ...,
    ) -> Any: ...
    def hset(
        self,
        name: _Key,
        key: _Value | None = ...,
        value: _Value | None = ...,
        mapping: Mapping[str, Any] | None = ...,
        items: Iterable[_Value] | None = ...,
    ) -> Any: ...
    def hsetnx(self, name: _Key, key: _Key, value: _Value) -> Any: ...
    def hstrlen(self, name: _Key, key: _Key) -> Any: ...
    def httl(self, key: _Key, *fields: _Value) -> Any: ...
    def hvals(self, name: _Key) -> Any: ...
    def incr(self, name: _Key, amount: int = ...) -> Any: ...
    def incrby(self, name: _Key, amount: int = ...) -> Any: ...
    def incrbyfloat(self, name: _Key, amount: float = ...) -> Any: ...
    def info(self, section: str | None = ..., *args: str) -> Any: ...
    def keys(self, pattern: str = ...) -> Any: ...
    def lastsave(self) -> Any: ...
    def latency_history(self, event: Any) -> Any: ...
    def latency_latest(self) -> Any: ...
    def latency_reset(self, *events: _Value) -> Any: ...
    def lcs(
        self,
        key1: _Key,
        key2: _Key,
        len: bool = ...,
        idx: bool = ...,
        minmatchlen: int | None = ...,
        withmatchlen: bool = ...,
    ) -> Any: ...
    def lindex(self, name: _Key, index: int) -> Any: ...
    def linsert(self, name: _Key, where: str, refvalue: _Value, value: _Value) -> Any: ...
    def llen(self, name: _Key) -> Any: ...
    def lmove(self, first_list: _Key, second_list: _Key, src: str = ..., dest: str = ...) -> Any: ...
    def lmpop(self, num_keys: int, *args: _Key, direction: str, count: int | None = ...) -> Any: ...
    def lolwut(self, *version_numbers: _Value) -> Any: ...
    def lpop(self, name: _Key, count: int | None = ...) -> Any: ...
    def lpos(
        self, name: _Key, value: _Value, rank: int | None = ..., count: int | None = ..., maxlen: int | None = ...
    ) -> Any: ...
    def lpush(self, name: _Key, *values: _Value) -> Any: ...
    def lpushx(self, name: _Key, *values: _Value) -> Any: ...
    def lrange(self, name: _Key, start: int, end: int) -> Any: ...
    def lrem(self, name: _Key, count: int, value: _Value) -> Any: ...
    def lset(self, name: _Key, index: int, value: _Value) -> Any: ...
    def ltrim(self, name: _Key, start: int, end: int) -> Any: ...
    def memory_malloc_stats(self) -> Any: ...
    def memory_purge(self) -> Any: ...
    def memory_stats(self) -> Any: ...
    def memory_usage(self, key: _Key, samples: int | None = ...) -> Any: ...
    def mget(self, keys: _Key | Iterable[_Key], *args: _Key) -> Any: ...
    def migrate(
        self,
        host: Any,
        port: Any,
        keys: Any,
        destination_db: Any,
        timeout: int,
        copy: Any = ...,
        replace: Any = ...,
        auth: Any = ...,
    ) -> Any: ...
    def module_list(self) -> Any: ...
    def module_load(self, path: Any, *args: _Value) -> Any: ...
    def module_loadex(self, path: Any, options: Any = ..., args: Any = ...) -> Any: ...
    def module_unload(self, name: _Key) -> Any: ...
    def move(self, name: _Key, db: int) -> Any: ...
    def mset(self, *args: Mapping[str, _Value], **kwargs: Any) -> Any: ...
    def msetnx(self, *args: Mapping[str, _Value], **kwargs: Any) -> Any: ...
    def object(self, infotype: str, key: _Key) -> Any: ...
    def persist(self, name: _Key) -> Any: ...
    def pexpire(
        self, name: _Key, time: int | timedelta, nx: bool = ..., xx: bool = ..., gt: bool = ..., lt: bool = ...
    ) -> Any: ...
    def pexpireat(
        self, name: _Key, when: int | datetime, nx: bool = ..., xx: bool = ..., gt: bool = ..., lt: bool = ...
    ) -> Any: ...
    def pexpiretime(self, key: _Key) -> Any: ...
    def pfadd(self, name: _Key, *values: _Value) -> Any: ...
    def pfcount(self, *sources: _Key) -> Any: ...
    def pfmerge(self, dest: _Key, *sources: _Key) -> Any: ...
    def ping(self) -> Any: ...
    def psetex(self, name: _Key, time_ms: int | timedelta, value: _Value) -> Any: ...
    def pttl(self, name: _Key) -> Any: ...
    def publish(self, channel: _Value, message: _Value) -> Any: ...
    def pubsub_channels(self, pattern: str = ...) -> Any: ...
    def pubsub_numpat(self) -> Any: ...
    def pubsub_numsub(self, *args: _Value) -> Any: ...
    def pubsub_shardchannels(self, pattern: str = ...) -> Any: ...
    def pubsub_shardnumsub(self, *args: _Value) -> Any: ...
    def randomkey(self) -> Any: ...
    def rename(self, src: _Key, dst: _Key) -> Any: ...
    def renamenx(self, src: _Key, dst: _Key) -> Any: ...
    def replicaof(self, *args: _Value) -> Any: ...
    def restore(
        self,
        name: _Key,
        ttl: float,
        value: _Value,
        replace: bool = ...,
        absttl: bool = ...,
        idletime: int | None = ...,
        frequency: int | None = ...,
    ) -> Any: ...
    def role(self) -> Any: ...
    def rpop(self, name: _Key, count: int | None = ...) -> Any: ...
    def rpoplpush(self, src: _Key, dst: _Key) -> Any: ...
    def rpush(self, name: _Key, *values: _Value) -> Any: ...
    def rpushx(self, name: _Key, *values: _Value) -> Any: ...
    def sadd(self, name: _Key, *values: _Value) -> Any: ...
    def save(self) -> Any: ...
    def scan(
        self, cursor: int = ..., match: str | None = ..., count: int | None = ..., _type: str | None = ...
    ) -> Any: ...
    def scard(self, name: _Key) -> Any: ...
    def script_exists(self, *args: _Value) -> Any: ...
    def script_flush(self, sync_type: str | None = ...) -> Any: ...
    def script_kill(self) -> Any: ...
    def script_load(self, script: str) -> Any: ...
    def sdiff(self, keys: _Key | Iterable[_Key], *args: _Key) -> Any: ...
    def sdiffstore(self, dest: _Key, keys: _Key | Iterable[_Key], *args: _Key) -> Any: ...
    def set(
        self,
        name: _Key,
        value: _Value,
        ex: int | timedelta | None = ...,
        px: int | timedelta | None = ...,
        nx: bool = ...,
        xx: bool = ...,
        keepttl: bool = ...,
        get: bool = ...,
        exat: int | datetime | None = ...,
        pxat: int | datetime | None = ...,
    ) -> Any: ...
    def setbit(self, name: _Key, offset: int, value: _Value) -> Any: ...
    def setex(self, name: _Key, time: int | timedelta, value: _Value) -> Any: ...
    def setnx(self, name: _Key, value: _Value) -> Any: ...
    def setrange(self, name: _Key, offset: int, value: _Value) -> Any: ...
    def sinter(self, keys: _Key | Iterable[_Key], *args: _Key) -> Any: ...
    def sintercard(self, numkeys: int, keys: Iterable[_Key], limit: int = ...) -> Any: ...
    def sinterstore(self, dest: _Key, keys: _Key | Iterable[_Key], *args: _Key) -> Any: ...
    def sismember(self, name: _Key, value: _Value) -> Any: ...
    def slaveof(self, host: Any = ..., port: Any = ...) -> Any: ...
    def slowlog_get(self, num: Any = ...) -> Any: ...
    def slowlog_len(self) -> Any: ...
    def slowlog_reset(self) -> Any: ...
    def smembers(self, name: _Key) -> Any: ...
    def smismember(self, name: _Key, values: _Value | Iterable[_Value], *args: _Value) -> Any: ...
    def smove(self, src: _Key, dst: _Key, value: _Value) -> Any: ...
    def sort(
        self,
        name: _Key,
        start: int | None = ...,
        num: int | None = ...,
        by: str | None = ...,
        get: str | Iterable[str] | None = ...,
        desc: bool = ...,
        alpha: bool = ...,
        store: _Key | None = ...,
        groups: bool = ...,
    ) -> Any: ...
    def sort_ro(
        self,
        key: _Key,
        start: Any = ...,
        num: Any = ...,
        by: Any = ...,
        get: Any = ...,
        desc: Any = ...,
        alpha: Any = ...,
    ) -> Any: ...
    def spop(self, name: _Key, count: int | None = ...) -> Any: ...
    def spublish(self, shard_channel: Any, message: Any) -> Any: ...
    def srandmember(self, name: _Key, number: int | None = ...) -> Any: ...
    def srem(self, name: _Key, *values: _Value) -> Any: ...
    def sscan(
        self,
        name: _Key,
        cursor: int = ...,
        match: str | None = ...,
        count: int | None = ...,
        score_cast_func: Any = ...,
    ) -> Any: ...
    def strlen(self, name: _Key) -> Any: ...
    def substr(self, name: _Key, start: int, end: int = ...) -> Any: ...
    def sunion(self, keys: _Key | Iterable[_Key], *args: _Key) -> Any: ...
    def sunionstore(self, dest: _Key, keys: _Key | Iterable[_Key], *args: _Key) -> Any: ...
    def swapdb(self, first: int, second: int) -> Any: ...
    def time(self) -> Any: ...
    def touch(self, *names: _Key) -> Any: ...
    def ttl(self, name: _Key) -> Any: ...
    def type(self, name: _Key) -> Any: ...
    def unlink(self, *names: _Key) -> Any: ...
    def wait(self, num_replicas: int, timeout: int) -> Any: ...
    def waitaof(self, num_local: int, num_replicas: int, timeout: int) -> Any: ...
    def xack(self, name: _Key, groupname: _Key, *ids: _Key) -> Any: ...
    def xadd(
        self,
        name: _Key,
        fields: Mapping[Any, Any],
        id: _Key = ...,
        maxlen: int | None = ...,
        approximate: bool = ...,
        nomkstream: bool = ...,
        minid: _Key | None = ...,
        limit: int | None = ...,
    ) -> Any: ...
    def xautoclaim(
        self,
        name: _Key,
        groupname: _Key,
        consumername: _Key,
        min_idle_time: int,
        start_id: _Key = ...,
        count: int | None = ...,
        justid: bool = ...,
    ) -> Any: ...
    def xclaim(
        self,
        name: _Key,
        groupname: _Key,
        consumername: _Key,
        min_idle_time: int,
        message_ids: Iterable[_Key],
        idle: int | None = ...,
        time: int | None = ...,
        retrycount: int | None = ...,
        force: bool = ...,
        justid: bool = ...,
    ) -> Any: ...
    def xdel(self, name: _Key, *ids: _Key) -> Any: ...
    def xgroup_create(
        self, name: _Key, groupname: _Key, id: _Key = ..., mkstream: bool = ..., entries_read: int | None = ...
    ) -> Any: ...
    def xgroup_createconsumer(self, name: _Key, groupname: _Key, consumername: _Key) -> Any: ...
    def xgroup_delconsumer(self, name: _Key, groupname: _Key, consumername: _Key) -> Any: ...
    def xgroup_destroy(self, name: _Key, groupname: _Key) -> Any: ...
    def xgroup_setid(self, name: _Key, groupname: _Key, id: _Key, entries_read: int | None = ...) -> Any: ...
    def xinfo_consumers(self, name: _Key, groupname: _Key) -> Any: ...
    def xinfo_groups(self, name: _Key) -> Any: ...
    def xinfo_stream(self, name: _Key, full: bool = ...) -> Any: ...
    def xlen(self, name: _Key) -> Any: ...
    def xpending(self, name: _Key, groupname: _Key) -> Any: ...
    def xpending_range(
        self,
        name: _Key,
        groupname: _Key,
        min: _Key,
        max: _Key,
        count: int,
        consumername: _Key | None = ...,
        idle: int | None = ...,
    ) -> Any: ...
    def xrange(self, name: _Key, min: _Key = ..., max: _Key = ..., count: int | None = ...) -> Any: ...
    def xread(self, streams: Mapping[Any, Any], count: int | None = ..., block: int | None = ...) -> Any: ...
    def xreadgroup(
        self,
        groupname: _Key,
        consumername: _Key,
        streams: Mapping[Any, Any],
        count: int | None = ...,
        block: int | None = ...,
        noack: bool = ...,
    ) -> Any: ...
    def xrevrange(self, name: _Key, max: _Key = ..., min: _Key = ..., count: int | None = ...) -> Any: ...
    def xtrim(
        self,
        name: _Key,
        maxlen: int | None = ...,
        approximate: bool = ...,
        minid: _Key | None = ...,
        limit: int | None = ...,
    ) -> Any: ...
    def zadd(
        self,
        name: _Key,
        mapping: Mapping[Any, float],
        nx: bool = ...,
        xx: bool = ...,
        ch: bool = ...,
        incr: bool = ...,
        gt: bool = ...,
        lt: bool = ...,
    ) -> Any: ...
    def zcard(self, name: _Key) -> Any: ...
    def zcount(self, name: _Key, min: _Value, max: _Value) -> Any: ...
    def zdiff(self, keys: Iterable[_Key], withscores: bool = ...) -> Any: ...
    def zdiffstore(self, dest: _Key, keys: Iterable[_Key]) -> Any: ...
    def zincrby(self, name: _Key, amount: float, value: _Value) -> Any: ...
    def zinter(
        self,
        keys: Iterable[_Key] | Mapping[str, float],
        aggregate: str | None = ...,
        withscores: bool = ...,
        score_cast_func: Any = ...,
    ) -> Any: ...
    def zintercard(self, numkeys: int, keys: Iterable[_Key], limit: int = ...) -> Any: ...
    def zinterstore(
        self, dest: _Key, keys: Iterable[_Key] | Mapping[str, float], aggregate: str | None = ...
    ) -> Any: ...
    def zlexcount(self, name: _Key, min: _Value, max: _Value) -> Any: ...
    def zmpop(
        self, num_keys: int, keys: Iterable[_Key], min: bool = ..., max: bool = ..., count: int | None = ...
    ) -> Any: ...
    def zmscore(self, key: _Key, members: _Value | Iterable[_Value], *args: _Value) -> Any: ...
    def zpopmax(self, name: _Key, count: int | None = ...) -> Any: ...
    def zpopmin(self, name: _Key, count: int | None = ...) -> Any: ...
    def zrandmember(self, key: _Key, count: int | None = ..., withscores: bool = ...) -> Any: ...
    def zrange(
        self,
        name: _Key,
        start: _Value,
        end: _Value,
        desc: bool = ...,
        withscores: bool = ...,
        score_cast_func: Any = ...,
        byscore: bool = ...,
        bylex: bool = ...,
        offset: int | None = ...,
        num: int | None = ...,
    ) -> Any: ...
    def zrangebylex(
        self, name: _Key, min: _Value, max: _Value, start: int | None = ..., num: int | None = ...
    ) -> Any: ...
    def zrangebyscore(
        self,
        name: _Key,
        min: _Value,
        max: _Value,
        start: int | None = ...,
        num: int | None = ...,
        withscores: bool = ...,
        score_cast_func: Any = ...,
    ) -> Any: ...
    def zrangestore(
        self,
        dest: _Key,
        name: _Key,
        start: _Value,
        end: _Value,
        byscore: bool = ...,
        bylex: bool = ...,
        desc: bool = ...,
        offset: int | None = ...,
        num: int | None = ...,
    ) -> Any: ...
    def zrank(self, name: _Key, value: _Value, withscore: bool = ...) -> Any: ...
    def zrem(self, name: _Key, *values: _Value) -> Any: ...
    def zremrangebylex(self, name: _Key, min: _Value, max: _Value) -> Any: ...
    def zremrangebyrank(self, name: _Key, min: _Value, max: _Value) -> Any: ...
    def zremrangebyscore(self, name: _Key, min: _Value, max: _Value) -> Any: ...
    def zrevrange(
        self, name: _Key, start: int, end: int, withscores: bool = ..., score_cast_func: Any = ...
    ) -> Any: ...
    def zrevrangebylex(
        self, name: _Key, max: _Value, min: _Value, start: int | None = ..., num: int | None = ...
    ) -> Any: ...
    def zrevrangebyscore(
        self,
        name: _Key,
        max: _Value,
        min: _Value,
        start: int | None = ...,
        num: int | None = ...,
        withscores: bool = ...,
        score_cast_func: Any = ...,
    ) -> Any: ...
    def zrevrank(self, name: _Key, value: _Value, withscore: bool = ...) -> Any: ...
    def zscan(
        self,
        name: _Key,
        cursor: int = ...,
        match: str | None = ...,
        count: int | None = ...,
        score_cast_func: Any = ...,
    ) -> Any: ...
    def zscore(self, name: _Key, value: _Value) -> Any: ...
    def zunion(
        self,
        keys: Iterable[_Key] | Mapping[str, float],
        aggregate: str | None = ...,
        withscores: bool = ...,
        score_cast_func: Any = ...,
    ) -> Any: ...
    def zunionstore(
        self, dest: _Key, keys: Iterable[_Key] | Mapping[str, float], aggregate: str | None = ...
    ) -> Any: ...

class ScanIterator:
    """Asks Redis for a few more whenever it has run out."""

    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...

class Script:
    """A script that can be called like a function: `script(keys=['a'], args=[1])`."""

    @property
    def registered_client(self) -> Any:
        """Who runs it unless told otherwise."""
    @property
    def sha(self) -> str:
        """The script's SHA-1, in hexadecimal digits."""
    @property
    def script(self) -> str:
        """Its text."""
    def __call__(
        self, keys: Iterable[_Key] | None = ..., args: Iterable[_Value] | None = ..., client: Any = ...
    ) -> Any: ...

def log(level: int, logger: str, message: str) -> None:
    """Takes one record of Python's `logging`."""

# --- models

class ModelPlan:
    """How instances of a model are read and written; kept on the model's class."""

def model_from_dict(
    class_: type[_Model], data: Any, extra: Mapping[str, Any] | None = None, service: Any = None
) -> _Model:
    """An instance of a model out of a dictionary. What `extra` has wins."""

def kind_of_name(name: str) -> str:
    """The type that a declared name implies: `int`, `bool`, `secret` or `text`."""

def model_to_dict(instance: object) -> dict[str, Any]:
    """The fields of an instance as a dictionary, in the order of their declaration."""

class Bench:
    """The server that tests run in; `busbar.testing` is what tests use of it."""

    @property
    def address(self) -> str: ...
    def use_doubles(self, doubles: Any) -> None: ...
    def deploy(self, files: list[str]) -> tuple[list[tuple[str, list[str]]], list[tuple[str, str, str]]]: ...
    def remove(self, modules: list[str]) -> None: ...
    def objects(self) -> list[tuple[str, str]]: ...
    def change(self, kind: str, name: str, body: str | None) -> None: ...
    def enmasse(self, file: str) -> None: ...
