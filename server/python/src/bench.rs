//! The bench on which `busbar test` puts services: a server in this process whose back-ends are answered for by the tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use busbar_connectors::http::outgoing::{Double, DoubledRequest, HttpFailure};
use busbar_model::{Error, Kind};
use busbar_runtime::handler::BoxFuture;
use busbar_runtime::{HubPort, HubRequest};
use bytes::Bytes;
use http::Response;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList};
use serde_json::{Map, Value};

use crate::interpreter::{self, Setup};

/// What tests ask of the server that they run in. Methods wait.
pub trait Bench: Send + Sync + 'static {
    /// Where it answers HTTP: `http://127.0.0.1:40001`.
    fn address(&self) -> String;

    /// Deploys files together.
    fn deploy(&self, files: Vec<PathBuf>) -> Result<Deployed, Error>;

    /// Takes the services of modules away.
    fn remove(&self, modules: Vec<String>) -> Result<(), Error>;

    /// Every configured object: its kind and name.
    fn objects(&self) -> Vec<(String, String)>;

    /// Puts an object, or deletes it if there is no body.
    fn change(&self, kind: String, name: String, body: Option<Map<String, Value>>) -> Result<(), Error>;

    /// Imports an enmasse file.
    fn import(&self, file: &Path) -> Result<(), Error>;
}

/// What came of a deployment.
#[derive(Debug, Default)]
pub struct Deployed {
    /// Modules with their services.
    pub services: Vec<(String, Vec<String>)>,
    /// Modules that cannot be deployed, with the reason and a traceback.
    pub failed: Vec<(String, String, String)>,
}

/// Starts the interpreter in the current thread, which Python then takes for its main one: the one that is interrupted by Ctrl-C.
pub fn start_interpreter(venv: Option<PathBuf>, package_dir: PathBuf) -> Result<(), Error> {
    interpreter::start(&Setup { venv, package_dir })
}

/// Runs pytest in the current thread, and returns its exit code.
pub fn run_pytest(bench: Arc<dyn Bench>, doubles: Arc<Doubles>, arguments: Vec<String>) -> Result<u8, Error> {
    Python::attach(|py| {
        let bench = Bound::new(py, PyBench { bench, doubles })?;
        py.import("busbar.testing.main")?
            .call_method1("main", (bench, arguments))?
            .extract()
    })
    .map_err(|error: PyErr| {
        Error::new(Kind::Internal, "cannot run pytest").with_source(std::io::Error::other(error.to_string()))
    })
}

/// Answers in the place of back-ends and of the hub's connectors, out of an object in Python.
pub struct Doubles(PyOnceLock<Py<PyAny>>);

impl Default for Doubles {
    fn default() -> Self {
        Self(PyOnceLock::new())
    }
}

/// What the object in Python says about a request: how the back-end fails and why, or status, headers and body.
type Said = (String, String, u16, Vec<(String, String)>, Vec<u8>);

impl Double for Doubles {
    fn answer(&self, request: &DoubledRequest<'_>) -> Result<Response<Bytes>, HttpFailure> {
        let asked: PyResult<Said> = Python::attach(|py| {
            let headers = PyList::empty(py);
            for (name, value) in request.headers {
                headers.append((name.as_str(), String::from_utf8_lossy(value.as_bytes())))?;
            }
            let arguments = (
                request.connection,
                request.method.as_str(),
                request.url,
                headers,
                PyBytes::new(py, request.body),
            );
            self.python(py)?.call_method1("http", arguments)?.extract()
        });
        let (fault, text, status, headers, body) =
            asked.map_err(|error| HttpFailure::Lost(error.to_string().into()))?;
        if !fault.is_empty() {
            return Err(failure(&fault, text, request));
        }
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        response
            .body(body.into())
            .map_err(|error| HttpFailure::Protocol(error.into()))
    }
}

impl Doubles {
    fn python<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        let missing = || PyRuntimeError::new_err("no test runs yet that could answer");
        Ok(self.0.get(py).ok_or_else(missing)?.bind(py))
    }
}

/// The failure that real back-ends cause.
fn failure(fault: &str, text: String, request: &DoubledRequest<'_>) -> HttpFailure {
    let system = std::io::Error::from_raw_os_error;
    let address = request.address.to_owned();
    match fault {
        "refused" => HttpFailure::Connect {
            address,
            source: system(libc::ECONNREFUSED),
        },
        "unresolved" => HttpFailure::Resolve {
            host: address,
            source: std::io::Error::other("Name or service not known"),
        },
        "connect-timeout" => HttpFailure::ConnectTimeout(address),
        "timeout" => HttpFailure::ReadTimeout(request.limit),
        "tls" => HttpFailure::Tls {
            host: address,
            source: std::io::Error::other("invalid peer certificate: UnknownIssuer"),
        },
        "reset" => HttpFailure::Lost(system(libc::ECONNRESET).into()),
        "truncated" => HttpFailure::Truncated("end of file before message length reached".into()),
        "garbage" => HttpFailure::Protocol("invalid HTTP version parsed".into()),
        _ => HttpFailure::Lost(text.into()),
    }
}

impl HubPort for Doubles {
    fn request(&self, request: HubRequest) -> BoxFuture<'static, Result<Bytes, Error>> {
        let HubRequest {
            kind,
            name,
            operation,
            parts,
        } = request;
        let answer: PyResult<Vec<u8>> = Python::attach(|py| {
            let parts = PyList::new(py, parts.iter().map(|part| PyBytes::new(py, part)))?;
            self.python(py)?
                .call_method1("hub", (&kind, &name, operation, parts))?
                .extract()
        });
        let answer = answer.map(Bytes::from).map_err(|error| {
            Error::new(Kind::Unavailable, format!("cannot use {kind} `{name}`"))
                .with_source(std::io::Error::other(error.to_string()))
        });
        Box::pin(std::future::ready(answer))
    }
}

/// The server that tests run in.
#[pyclass(frozen, name = "Bench", module = "_busbar")]
pub(crate) struct PyBench {
    bench: Arc<dyn Bench>,
    doubles: Arc<Doubles>,
}

#[pymethods]
impl PyBench {
    /// Where it answers HTTP.
    #[getter]
    fn address(&self) -> String {
        self.bench.address()
    }

    /// Lets an object answer in the place of back-ends; the first one counts.
    fn use_doubles(&self, py: Python<'_>, doubles: Py<PyAny>) {
        self.doubles.0.get_or_init(py, || doubles);
    }

    /// Deploys files together: modules with their services, and those that failed with reason and traceback.
    #[expect(clippy::type_complexity, reason = "it is taken apart at once")]
    fn deploy(
        &self,
        py: Python<'_>,
        files: Vec<PathBuf>,
    ) -> PyResult<(Vec<(String, Vec<String>)>, Vec<(String, String, String)>)> {
        let Deployed { services, failed } = py.detach(|| self.bench.deploy(files)).map_err(refused)?;
        Ok((services, failed))
    }

    /// Takes the services of modules away.
    fn remove(&self, py: Python<'_>, modules: Vec<String>) -> PyResult<()> {
        py.detach(|| self.bench.remove(modules)).map_err(refused)
    }

    /// Every configured object: its kind and name.
    fn objects(&self) -> Vec<(String, String)> {
        self.bench.objects()
    }

    /// Puts an object, whose fields are given as JSON, or deletes it.
    fn change(&self, py: Python<'_>, kind: String, name: String, body: Option<&str>) -> PyResult<()> {
        let body = body
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        py.detach(|| self.bench.change(kind, name, body)).map_err(refused)
    }

    /// Imports an enmasse file.
    fn enmasse(&self, py: Python<'_>, file: PathBuf) -> PyResult<()> {
        py.detach(|| self.bench.import(&file)).map_err(refused)
    }
}

fn refused(error: Error) -> PyErr {
    match error.kind() {
        Kind::Internal => PyOSError::new_err(error.chain()),
        _ => PyValueError::new_err(error.chain()),
    }
}

/// Adds the class to the module `_busbar`.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyBench>()
}
