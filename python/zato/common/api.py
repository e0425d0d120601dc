"""Constants that services compare with. All of them are plain text."""

from __future__ import annotations

from typing import Final

from busbar.messages import IMAPMessage, SMTPMessage

__all__ = [
    'BROKER',
    'CACHE',
    'CHANNEL',
    'CLOUD',
    'CONNECTION',
    'DATA_FORMAT',
    'FILE_TRANSFER',
    'HL7',
    'IMAPMessage',
    'KVDB',
    'NO_DEFAULT_VALUE',
    'PARAMS_PRIORITY',
    'PUBSUB',
    'SCHEDULER',
    'SEC_DEF_TYPE',
    'SFTP',
    'SIMPLE_IO',
    'SMTPMessage',
    'URL_PARAMS_PRIORITY',
    'URL_TYPE',
    'WEB_SOCKET',
    'ZATO_ERROR',
    'ZATO_NONE',
    'ZATO_OK',
]

#: Result of a call that went well, in the ``zato_env`` of a response.
ZATO_OK: Final = 'ZATO_OK'
#: Result of a call that failed.
ZATO_ERROR: Final = 'ZATO_ERROR'
#: "Nothing chosen", where an id is expected.
ZATO_NONE: Final = 'ZATO_NONE'
#: "No default", where a default may be any value.
NO_DEFAULT_VALUE: Final = 'NO_DEFAULT_VALUE'


class CHANNEL:
    """Where a call came from: ``if self.channel.type == CHANNEL.HTTP_SOAP``."""

    AMQP: Final = 'amqp'
    DELIVERY: Final = 'delivery'
    FANOUT_CALL: Final = 'fanout-call'
    FANOUT_ON_FINAL: Final = 'fanout-on-final'
    FANOUT_ON_TARGET: Final = 'fanout-on-target'
    HTTP_SOAP: Final = 'http-soap'
    INTERNAL_CHECK: Final = 'internal-check'
    INVOKE: Final = 'invoke'
    INVOKE_ASYNC: Final = 'invoke-async'
    INVOKE_ASYNC_CALLBACK: Final = 'invoke-async-callback'
    IPC: Final = 'ipc'
    JSON_RPC: Final = 'json-rpc'
    NEW_INSTANCE: Final = 'new-instance'
    NOTIFIER_RUN: Final = 'notifier-run'
    NOTIFIER_TARGET: Final = 'notifier-target'
    PARALLEL_EXEC_CALL: Final = 'parallel-exec-call'
    PARALLEL_EXEC_ON_TARGET: Final = 'parallel-exec-on-target'
    PUBLISH: Final = 'publish'
    PUB_SUB: Final = 'pub-sub'
    SCHEDULER: Final = 'scheduler'
    SCHEDULER_AFTER_ONE_TIME: Final = 'scheduler-after-one-time'
    SERVICE: Final = 'service'
    STARTUP_SERVICE: Final = 'startup-service'
    WEBSPHERE_MQ: Final = 'websphere-mq'
    WEB_SOCKET: Final = 'web-socket'
    WORKER: Final = 'worker'
    ZMQ: Final = 'zmq'


class DATA_FORMAT:
    """How bodies are read and written."""

    CSV: Final = 'csv'
    DICT: Final = 'dict'
    FORM: Final = 'form'
    JSON: Final = 'json'
    POST: Final = 'post'
    XML: Final = 'xml'


class SIMPLE_IO:
    """SimpleIO."""

    class FORMAT:
        """Formats that SimpleIO reads and writes."""

        CSV: Final = DATA_FORMAT.CSV
        FORM: Final = DATA_FORMAT.FORM
        JSON: Final = DATA_FORMAT.JSON
        XML: Final = DATA_FORMAT.XML


class URL_TYPE:
    """What an HTTP channel or connection carries."""

    PLAIN_HTTP: Final = 'plain_http'
    SOAP: Final = 'soap'


class URL_PARAMS_PRIORITY:
    """Which wins where the path and the query string have a parameter of the same name."""

    PATH_OVER_QS: Final = 'path-over-qs'
    QS_OVER_PATH: Final = 'qs-over-path'
    DEFAULT: Final = QS_OVER_PATH


class PARAMS_PRIORITY:
    """Which wins where the body and the channel's parameters have an element of the same name."""

    CHANNEL_PARAMS_OVER_MSG: Final = 'channel-params-over-msg'
    MSG_OVER_CHANNEL_PARAMS: Final = 'msg-over-channel-params'
    DEFAULT: Final = CHANNEL_PARAMS_OVER_MSG


class SCHEDULER:
    """The scheduler."""

    class JOB_TYPE:
        """Types of jobs: ``self.job_type``."""

        CRON_STYLE: Final = 'cron_style'
        INTERVAL_BASED: Final = 'interval_based'
        ONE_TIME: Final = 'one_time'


class SEC_DEF_TYPE:
    """Types of security definitions: ``self.channel.security.type``."""

    APIKEY: Final = 'apikey'
    AWS: Final = 'aws'
    BASIC_AUTH: Final = 'basic_auth'
    JWT: Final = 'jwt'
    NTLM: Final = 'ntlm'
    OAUTH: Final = 'oauth'
    TECH_ACCOUNT: Final = 'tech_acc'
    TLS_CHANNEL_SEC: Final = 'tls_channel_sec'
    VAULT: Final = 'vault_conn_sec'
    WSS: Final = 'wss'
    XPATH_SEC: Final = 'xpath_sec'


class BROKER:
    """Asynchronous calls."""

    #: Seconds that one waits at most until it begins.
    DEFAULT_EXPIRATION: Final = 15


class CACHE:
    """Caches."""

    class TYPE:
        """Types of caches."""

        BUILTIN: Final = 'builtin'
        MEMCACHED: Final = 'memcached'


class CLOUD:
    """Clouds."""

    class AWS:
        """Amazon's."""

        class S3:
            """Its object store."""

            STORAGE_CLASS_STANDARD: Final = 'STANDARD'


class CONNECTION:
    """Directions of connections."""

    CHANNEL: Final = 'channel'
    OUTGOING: Final = 'outgoing'


class FILE_TRANSFER:
    """File transfer."""

    class SOURCE_TYPE:
        """Where files come from."""

        FTP: Final = 'ftp'
        LOCAL: Final = 'local'
        SFTP: Final = 'sftp'


class HL7:
    """HL7."""

    class Const:
        """Versions."""

        class Version:
            """Versions of the protocol."""

            v2: Final = 'hl7-v2'


class KVDB:
    """Keys of the key/value database."""

    SEPARATOR: Final = ':::'
    TRANSLATION: Final = 'zato:kvdb:data-dict:translation'


class PUBSUB:
    """Topics and their messages."""

    class PRIORITY:
        """Priorities of messages."""

        DEFAULT: Final = 5
        MAX: Final = 9
        MIN: Final = 1

    class MIME_TYPE:
        """Types of messages."""

        JSON: Final = 'application/json'
        TEXT: Final = 'text/plain'


class SFTP:
    """SFTP."""

    class LOG_LEVEL:
        """How much of a transfer is logged."""

        LEVEL0: Final = '0'
        LEVEL1: Final = '1'
        LEVEL2: Final = '2'
        LEVEL3: Final = '3'
        LEVEL4: Final = '4'


class WEB_SOCKET:
    """WebSockets."""

    class PATTERN:
        """What a pattern of names is about."""

        BY_CHANNEL: Final = 'by_channel'
        BY_EXT_ID: Final = 'by_ext_id'
        MSG_BROADCAST: Final = 'msg_broadcast'
