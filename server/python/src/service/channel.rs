//! `self.channel`: where a call came from.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use busbar_model::ChannelType;

use crate::json;
use crate::service::invocation::{Invocation, Source};

/// What is known of the channel through which a service was called. Services see it as a text with attributes, `busbar.channel`.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct ChannelDetails(pub(crate) Arc<Invocation>);

impl ChannelDetails {
    fn type_name(&self) -> &str {
        match &self.0.source {
            Source::Service(local) => local.channel_type.as_deref().unwrap_or(self.0.channel_type.as_str()),
            Source::Channel(_) if self.0.channel_type == ChannelType::Named => self.0.head().channel,
            Source::Channel(_) => self.0.channel_type.as_str(),
        }
    }
}

#[pymethods]
impl ChannelDetails {
    /// Id of the channel. Channels are known by name here; the id is 0.
    #[getter]
    fn id(&self) -> u32 {
        0
    }

    /// Name of the channel; of the service if it was called without one.
    #[getter]
    fn name(&self) -> String {
        if self.0.is_from_channel() {
            self.0.head().channel.to_owned()
        } else {
            self.0.class.info().name.clone()
        }
    }

    /// `http-soap`, `invoke`...
    #[getter(r#type)]
    fn kind(&self) -> &str {
        self.type_name()
    }

    /// `json`, `xml`, `dict` or an empty text.
    #[getter]
    fn data_format(&self) -> &'static str {
        self.0.data_format.as_str()
    }

    /// Whether it belongs to the server itself.
    #[getter]
    fn is_internal(&self) -> bool {
        let name = self.name();
        name.starts_with("zato.") || name.starts_with("pub.zato.")
    }

    /// What the request was matched with: method and path.
    #[getter]
    fn match_target(&self) -> String {
        let head = self.0.head();
        format!("{}{}", head.method, head.path)
    }

    /// The security definition that let the caller in; its fields are `None` if the channel is open.
    #[getter]
    fn security(&self) -> ChannelSecurityInfo {
        ChannelSecurityInfo(self.0.clone())
    }
}

/// Who called, as far as the channel has a security definition.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct ChannelSecurityInfo(Arc<Invocation>);

impl ChannelSecurityInfo {
    fn field(value: &str) -> Option<&str> {
        (!value.is_empty()).then_some(value)
    }
}

#[pymethods]
impl ChannelSecurityInfo {
    /// Id of the definition; always `None`, definitions are known by name here.
    #[getter]
    fn id(&self) -> Option<u32> {
        None
    }

    /// Name of the definition.
    #[getter]
    fn name(&self) -> Option<String> {
        Self::field(self.0.head().security_name).map(str::to_owned)
    }

    /// `basic_auth`, `apikey`, `oauth`...
    #[getter(r#type)]
    fn kind(&self) -> Option<String> {
        Self::field(self.0.head().security_type).map(str::to_owned)
    }

    /// User name of the definition; for bearer tokens, whom the token names.
    #[getter]
    fn username(&self) -> Option<String> {
        Self::field(self.0.head().username).map(str::to_owned)
    }

    /// What the caller's bearer token says; `None` if it brought none that does.
    #[getter]
    fn claims<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let claims = Self::field(self.0.head().claims).map(|claims| json::read(py, claims.as_bytes()));
        claims.transpose().map_err(PyValueError::new_err)
    }

    /// The underlying object; there is none that services could use.
    #[getter]
    fn r#impl(&self) -> Option<u8> {
        None
    }

    /// The fields as a dictionary, without the claims.
    #[pyo3(signature = (needs_impl = false))]
    fn to_dict<'py>(&self, py: Python<'py>, needs_impl: bool) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item(intern!(py, "id"), self.id())?;
        dict.set_item(intern!(py, "name"), self.name())?;
        dict.set_item(intern!(py, "type"), self.kind())?;
        dict.set_item(intern!(py, "username"), self.username())?;
        if needs_impl {
            dict.set_item(intern!(py, "impl"), py.None())?;
        }
        Ok(dict)
    }

    fn __repr__(&self) -> String {
        format!(
            "<ChannelSecurityInfo name:`{}` type:`{}`>",
            self.name().unwrap_or_default(),
            self.kind().unwrap_or_default()
        )
    }
}
