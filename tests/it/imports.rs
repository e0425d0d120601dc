//! What service files import: every path that services know, and modules under the names that they had in Python 2.

use serde_json::json;

use crate::server;

/// Modules, each with the names that services import from it.
const PATHS: &[(&str, &str)] = &[
    (
        "zato.server.service",
        "Service AsIs Bool Boolean CSV Date DateTime Decimal Dict DictList Float ForceType Int Integer List ListOfDicts Nested Opaque Text
         Unicode UTC UUID SIOElem PubSubHook WSXHook WSXAdapter RESTAdapter AsyncCtx ChannelInfo ChannelSecurityInfo PatternsFacade
         AMQPFacade PubSub NOT_GIVEN Request Response Outgoing SimpleIOPayload ServiceInput ValueConverter TimeUtil PubSubMessage",
    ),
    (
        "zato.server.service.reqresp",
        "Request Response Outgoing HTTPRequestData direct_payload",
    ),
    (
        "zato.server.service.reqresp.sio",
        "AsIs CSV Int ServiceInput ValidationException convert_sio is_bool is_int",
    ),
    ("zato.cy.reqresp.response", "Response"),
    ("zato.cy.reqresp.payload", "SimpleIOPayload"),
    ("zato.simpleio", "AsIs Secret Int SIODefault CySimpleIO NotGiven ServiceInput"),
    ("zato.input_output", "AsIs Elem Int IOProcessor ServiceInput"),
    (
        "zato.server.service.internal",
        "AdminService AdminSIO Ping GetListAdminSIO",
    ),
    (
        "zato.server.service.internal.helpers",
        "Echo InputLogger PubInputLogger RawRequestLogger SIOInputLogger HTMLService TLSLogger JSONRawRequestLogger IBMMQLogger
         WebSocketsGateway ServiceGateway",
    ),
    ("zato.server.service.adapter", "JSONAdapter"),
    (
        "zato.server.connection.http_soap",
        "BadRequest ClientHTTPError Conflict Forbidden MethodNotAllowed NotFound TooManyRequests Unauthorized",
    ),
    (
        "zato.common",
        "CHANNEL DATA_FORMAT URL_TYPE URL_PARAMS_PRIORITY PARAMS_PRIORITY ZATO_OK ZATO_ERROR ZATO_NONE NO_DEFAULT_VALUE SIMPLE_IO SCHEDULER
         PUBSUB KVDB CACHE SEC_DEF_TYPE BROKER FILE_TRANSFER WEB_SOCKET SFTP HL7 CLOUD CONNECTION HTTP_RESPONSES HTTPException
         ZatoException Inactive ParsingException ConnectionException TimeoutException ClientSecurityException SubscriberException",
    ),
    (
        "zato.common.api",
        "CHANNEL DATA_FORMAT URL_TYPE URL_PARAMS_PRIORITY PARAMS_PRIORITY ZATO_OK ZATO_ERROR ZATO_NONE NO_DEFAULT_VALUE SIMPLE_IO SCHEDULER
         PUBSUB KVDB CACHE SEC_DEF_TYPE BROKER FILE_TRANSFER WEB_SOCKET SFTP HL7 CLOUD CONNECTION",
    ),
    ("zato.common.http_", "HTTP_RESPONSES"),
    ("zato.common.json_", "dumps loads"),
    ("zato.common.json_internal", "dumps loads dump load"),
    (
        "zato.common.util",
        "new_cid uncamelify get_component_name current_host asbool parse_extra_into_dict update_bind_port make_repr spawn_greenlet
         parse_simple_type payload_from_request",
    ),
    (
        "zato.common.util.api",
        "new_cid uncamelify get_component_name current_host asbool parse_extra_into_dict update_bind_port make_repr spawn_greenlet
         parse_simple_type payload_from_request",
    ),
    ("zato.common.util.time_", "TimeUtil datetime_from_ms utcnow_as_ms"),
    ("zato.common.util.http_", "QueryDict get_form_data"),
    ("zato.common.typing_", "any_ anydict dict_ intnone list_ strdict strnone list_field dict_field dataclass field"),
    (
        "zato.common.marshal_.api",
        "ModelValidationError ElementMissing ElementIsNotAList",
    ),
    ("zato.common.pubsub", "PubSubMessage MSG_PREFIX prefix_sk"),
    ("zato.common.odb.model", "Service Job HTTPSOAP"),
    (
        "zato.client",
        "AnyServiceInvoker JSONClient JSONSIOClient SOAPClient SOAPSIOClient XMLClient RawDataClient ServiceInvokeResponse APIClient ZatoClient get_client_from_server_conf",
    ),
    ("bunch", "Bunch bunchify unbunchify"),
    ("anyjson", "loads dumps"),
    ("gevent", "sleep spawn Timeout joinall"),
    ("simplejson", "loads dumps"),
    ("ujson", "loads dumps"),
];

#[test]
fn every_path_that_services_import_from() {
    let lines: String = PATHS
        .iter()
        .map(|(module, names)| {
            let names: Vec<_> = names.split_whitespace().collect();
            format!("from {module} import {}\n", names.join(", "))
        })
        .collect();
    let server = server()
        .service(
            "paths.py",
            &format!(
                "{lines}
from zato.common import exception
from zato.server.connection import http_soap
from zato.server.service import Service
import zato.common, zato.common.odb.model as model

class Hook(PubSubHook):
    pass

class Paths(Service):
    def handle(self):
        # the same classes, wherever they are imported from
        for name in http_soap.__all__:
            assert getattr(http_soap, name) is getattr(exception, name), name
        for name in exception.__all__:
            assert getattr(zato.common, name) is getattr(exception, name), name
        problems = []
        for use in (PatternsFacade, PubSub, lambda: model.Job.name, lambda: self.invoke('paths.hook')):
            try:
                use()
            except NotImplementedError as error:
                problems.append(str(error))
        assert len(problems) == 4, problems
        assert isinstance(self.request, Request) and isinstance(self.response, Response)
        assert is_int('x_size_max') and is_bool('may_go') and is_bool('is_id') and not is_int('is_id')
        assert is_int('order_no', ('no',), ('_no',)) and not is_bool('is_new', None, ('can_',))
        assert is_int('user_id') and is_bool('is_new') and convert_sio(self.cid, 'user_id', '7') == 7
        assert QueryDict('a=1&a=2').getlist('a') == ['1', '2']
        self.response.payload = problems[0]
"
            ),
        )
        .channel("/paths", "paths.paths")
        .start();
    let answer = server.get("/paths").expect(200).text();
    assert_eq!(
        answer,
        "`PatternsFacade` needs patterns as a class of their own, which this version of busbar does not have yet"
    );
}

#[test]
fn a_file_that_names_modules_of_python_2_runs_and_is_mentioned_once() {
    let server = server()
        .service(
            "old_one.py",
            "
import httplib, urllib2, urlparse, ConfigParser, Queue
import cPickle as pickle
import xml.etree.cElementTree as ET
from StringIO import StringIO
from urllib import urlencode, quote
from itertools import izip
from collections import Mapping, OrderedDict
from email.MIMEText import MIMEText
import email.Utils
try:
    import json as simplejson
except ImportError:
    import simplejson
try:
    import a_module_that_is_not_there
except ImportError:
    there = False
from zato.server.service import Service

class Old(Service):
    def handle(self):
        import cStringIO
        assert issubclass(OrderedDict, Mapping) and list(izip('a', 'b')) == [('a', 'b')]
        self.response.payload = {
            'status': httplib.NOT_FOUND, 'query': urlencode({'a': 'b c'}), 'host': urlparse.urlparse('http://h/x').netloc,
            'text': StringIO('x').read() + cStringIO.StringIO('y').read(), 'pickled': pickle.loads(pickle.dumps([1])),
            'tag': ET.fromstring('<a/>').tag, 'error': issubclass(urllib2.HTTPError, urllib2.URLError),
            'mail': MIMEText('x').get_content_type(), 'address': email.Utils.parseaddr('Ann <a@b.c>')[1],
            'empty': Queue.Queue().empty(), 'sections': ConfigParser.SafeConfigParser().sections(),
        }
",
        )
        .service(
            "new_one.py",
            "
import sys
from zato.server.service import Service

class New(Service):
    def handle(self):
        assert 'httplib' not in sys.modules and not hasattr(__import__('urllib'), 'urlencode')
        import json.tool
        self.response.payload = 'ok'
",
        )
        .channel("/old", "old-one.old")
        .channel("/new", "new-one.new")
        .start();
    assert_eq!(
        server.get("/old").expect(200).json(),
        json!({
            "status": 404, "query": "a=b+c", "host": "h", "text": "xy", "pickled": [1], "tag": "a", "error": true, "mail": "text/plain",
            "address": "a@b.c", "empty": true, "sections": [],
        })
    );
    assert_eq!(server.get("/new").expect(200).text(), "ok");
    server.wait_log(&["old_one.py imports httplib, which is called otherwise today"]);
    assert_eq!(server.log().matches("which is called otherwise today").count(), 1);
}

/// Libraries that are there for those who need them cost workers that do not neither time nor memory.
#[test]
fn an_idle_worker_has_imported_no_library() {
    let server = server()
        .service(
            "idle.py",
            "
import sys
from zato.server.service import Service

class Idle(Service):
    def handle(self):
        libraries = ('asyncio', 'httpx', 'lxml', 'redis', 'requests', 'sqlalchemy', 'zeep')
        self.response.payload = {'imported': [it for it in libraries if it in sys.modules]}
",
        )
        .channel("/idle", "idle.idle")
        .start();
    assert_eq!(server.post("/idle", "{}").expect(200).json(), json!({"imported": []}));
}
