//! What `self.email.imap` reads mailboxes with (service-api.md 11.8).

use std::sync::Arc;

use busbar_connectors::imap::{Mailbox, Uids};
use busbar_model::Error;
use pyo3::prelude::*;

use crate::environment::Environment;
use crate::errors::to_python;
use crate::service::instance::Service;
use crate::turn;

/// A mailbox.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct ImapLine {
    environment: Arc<Environment>,
    name: String,
}

impl ImapLine {
    /// Does something with the mailbox as it is configured now.
    fn run<T, F>(&self, py: Python<'_>, work: impl FnOnce(Arc<Mailbox>) -> F) -> PyResult<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let mailbox = self.environment.imap.get(&self.name);
        let result = mailbox.and_then(|mailbox| turn::block_on(py, &self.environment, work(mailbox)));
        result.map_err(|error| to_python(py, &error, &self.name))
    }
}

fn messages(folder: String, validity: Option<u32>, uids: Vec<String>) -> Uids {
    Uids { folder, validity, uids }
}

#[pymethods]
impl ImapLine {
    /// The mailbox of that name. KeyError if there is none, `Inactive` if it is switched off.
    #[new]
    fn new(service: &Bound<'_, Service>, name: String) -> PyResult<Self> {
        let environment = service.get().invocation()?.environment.clone();
        environment
            .imap
            .get(&name)
            .map_err(|error| to_python(service.py(), &error, &name))?;
        Ok(Self { environment, name })
    }

    /// What the configured search finds in a folder: which numbering is valid, `None` if there is only one, and the numbers.
    fn search(&self, py: Python<'_>, folder: String) -> PyResult<(Option<u32>, Vec<String>)> {
        let found = self.run(py, |mailbox| async move { mailbox.search(&folder).await })?;
        Ok((found.validity, found.uids))
    }

    /// A message as it went over the wire; `None` if it is not there any more.
    fn fetch(&self, py: Python<'_>, folder: String, validity: Option<u32>, uid: String) -> PyResult<Option<Vec<u8>>> {
        let messages = messages(folder, validity, vec![uid]);
        self.run(py, |mailbox| async move { mailbox.fetch(&messages).await })
    }

    /// Marks messages as seen.
    fn mark_seen(&self, py: Python<'_>, folder: String, validity: Option<u32>, uids: Vec<String>) -> PyResult<()> {
        let messages = messages(folder, validity, uids);
        self.run(py, |mailbox| async move { mailbox.mark_seen(&messages).await })
    }

    /// Deletes messages for good.
    fn delete(&self, py: Python<'_>, folder: String, validity: Option<u32>, uids: Vec<String>) -> PyResult<()> {
        let messages = messages(folder, validity, uids);
        self.run(py, |mailbox| async move { mailbox.delete(&messages).await })
    }

    /// Moves messages to another folder.
    fn r#move(
        &self,
        py: Python<'_>,
        folder: String,
        validity: Option<u32>,
        uids: Vec<String>,
        target: String,
    ) -> PyResult<()> {
        let messages = messages(folder, validity, uids);
        self.run(py, |mailbox| async move { mailbox.move_to(&messages, &target).await })
    }

    /// Asks the server whether it is there.
    fn ping(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, |mailbox| async move { mailbox.ping().await })
    }
}

/// Adds the class to the module `_busbar`.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ImapLine>()
}
