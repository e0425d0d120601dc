//! What unit tests of this crate need of an interpreter and of a server.

use std::ffi::CString;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use busbar_model::{ChannelType, Cid, DataFormat, Error};
use busbar_runtime::call::{ChannelFields, RequestFields};
use busbar_runtime::handler::BoxFuture;
use busbar_runtime::{Call, Fault, HeadBuilder, HubPort, HubRequest, Outcome, Reply, ServiceHandle};
use busbar_sio::names::NamingRules;
use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::PyList;
use serde_json::Value;

use crate::environment::{Environment, ServiceNames};
use crate::host::HostConfig;
use crate::service::{ServiceClass, deployable, run};

/// Runs a test with the interpreter attached, the project's Python packages on the path, and `_busbar` installed.
pub(crate) fn attach<R>(test: impl for<'py> FnOnce(Python<'py>) -> R) -> R {
    crate::interpreter::start(&crate::interpreter::Setup::default()).unwrap();
    Python::attach(|py| {
        let packages = concat!(env!("CARGO_MANIFEST_DIR"), "/../../python");
        let path = py
            .import("sys")
            .and_then(|sys| sys.getattr("path"))
            .unwrap()
            .cast_into::<PyList>()
            .unwrap();
        if !path.contains(packages).unwrap() {
            path.insert(0, packages).unwrap();
        }
        crate::faces::install(py).unwrap();
        test(py)
    })
}

/// A hub that notes what it is asked, and answers it with nothing.
#[derive(Default)]
pub(crate) struct Hub(pub(crate) Mutex<Vec<HubRequest>>);

impl HubPort for Hub {
    fn request(&self, request: HubRequest) -> BoxFuture<'static, Result<Bytes, Error>> {
        self.0.lock().unwrap().push(request);
        Box::pin(async { Ok(Bytes::new()) })
    }
}

/// An environment with the services of one source text, whose file would be called `my_service.py`.
pub(crate) struct Deployed {
    pub(crate) environment: Arc<Environment>,
    _runtime: tokio::runtime::Runtime,
    pub(crate) hub: Arc<Hub>,
}

pub(crate) fn deploy(py: Python<'_>, code: &str) -> Deployed {
    let code = format!("from zato.server.service import *\nfrom zato.common.exception import *\n{code}");
    // a name of its own, because a module that is there already would keep the classes of another test
    static MODULES: AtomicUsize = AtomicUsize::new(0);
    let name = CString::new(format!("my_service_{}", MODULES.fetch_add(1, Ordering::Relaxed))).unwrap();
    let module = PyModule::from_code(py, &CString::new(code).unwrap(), c"my_service.py", &name).unwrap();
    let mut services = ServiceNames::new();
    for class in deployable(py, &module).unwrap() {
        let class = ServiceClass::read(py, &class, "my_service", &NamingRules::default()).unwrap();
        services.insert(class.info().name.clone(), class);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let hub = Arc::new(Hub::default());
    let config = HostConfig {
        return_tracebacks: true,
        redis_url: redis_url(),
        ..HostConfig::default()
    };
    let environment = Environment::build(&config, hub.clone(), runtime.handle().clone()).unwrap();
    environment.services.store(Arc::new(services));
    Deployed {
        environment: Arc::from(environment),
        _runtime: runtime,
        hub,
    }
}

/// The Redis that tests use; they keep to keys of their own.
fn redis_url() -> Option<String> {
    Some(std::env::var("BUSBAR_TEST_REDIS").unwrap_or_else(|_| "redis://127.0.0.1:6379/0".to_owned()))
}

/// A request, as a channel hands it over.
#[derive(Clone)]
pub(crate) struct Request<'a> {
    pub(crate) format: DataFormat,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) params: &'a [(&'a str, &'a str)],
    pub(crate) headers: &'a [(&'a str, &'a [u8])],
    pub(crate) body: &'a [u8],
    pub(crate) body_over_params: bool,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            format: DataFormat::Json,
            method: "POST",
            path: "/x",
            query: "",
            params: &[],
            headers: &[],
            body: b"",
            body_over_params: false,
        }
    }
}

impl Deployed {
    pub(crate) fn class(&self, name: &str) -> Arc<ServiceClass> {
        self.environment
            .services
            .load()
            .get(&format!("my-service.{name}"))
            .expect("the service is deployed")
            .clone()
    }

    pub(crate) fn call(&self, py: Python<'_>, name: &str, request: &Request<'_>) -> Outcome {
        run(py, &self.environment, &self.class(name), &packed(request))
    }

    pub(crate) fn reply(&self, py: Python<'_>, name: &str, request: &Request<'_>) -> Reply {
        match self.call(py, name, request) {
            Outcome::Reply(reply) => reply,
            Outcome::Fault(fault) => panic!("a reply was expected, not {fault:?}"),
        }
    }

    pub(crate) fn fault(&self, py: Python<'_>, name: &str, request: &Request<'_>) -> Fault {
        match self.call(py, name, request) {
            Outcome::Fault(fault) => fault,
            Outcome::Reply(reply) => panic!("a fault was expected, not {reply:?}"),
        }
    }

    /// The body that JSON is answered with.
    pub(crate) fn text(&self, py: Python<'_>, name: &str, body: &str) -> String {
        let reply = self.reply(
            py,
            name,
            &Request {
                body: body.as_bytes(),
                ..Request::default()
            },
        );
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    /// The same, parsed.
    pub(crate) fn json(&self, py: Python<'_>, name: &str, body: &str) -> Value {
        let text = self.text(py, name, body);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

pub(crate) fn packed(request: &Request<'_>) -> Call {
    let channel = HeadBuilder::channel(&ChannelFields {
        channel_type: Some(ChannelType::HttpSoap),
        data_format: request.format,
        merge_params: true,
        body_over_params: request.body_over_params,
        channel: "tutorial",
        security_name: "shop",
        security_type: "basic_auth",
        username: "ann",
        ..ChannelFields::default()
    });
    let fields = RequestFields {
        method: request.method,
        path: request.path,
        query: request.query,
        remote: "127.0.0.1:9",
    };
    Call {
        cid: Cid::new(),
        service: ServiceHandle(1),
        deadline: Instant::now() + Duration::from_secs(60),
        head: HeadBuilder::request(&channel, fields)
            .finish(request.params.iter().copied(), request.headers.iter().copied()),
        body: Bytes::copy_from_slice(request.body),
    }
}
