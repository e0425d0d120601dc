//! Iterators over what may be too much for one reply.

use std::collections::VecDeque;
use std::sync::Mutex;

use busbar_connectors::redis::RedisNode;
use pyo3::intern;
use pyo3::prelude::*;

use crate::faces::redis::Command;
use crate::faces::redis::client::Redis;
use crate::faces::redis::shape::Shape;
use crate::faces::redis::values::encode;
use crate::sync::lock;

/// What is gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scanned {
    Keys,
    Set,
    Hash,
    /// Names of a hash, without values.
    Fields,
    SortedSet,
}

/// Asks Redis for a few more whenever it has run out.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct ScanIterator {
    client: Py<Redis>,
    scanned: Scanned,
    name: Option<Vec<u8>>,
    options: Vec<Vec<u8>>,
    cast: Option<Py<PyAny>>,
    state: Mutex<State>,
}

struct State {
    /// Where to go on; `None`: at the end.
    cursor: Option<u64>,
    /// Nodes of a cluster that are still to be gone through; the last is the one that is. `None`: nobody has asked yet.
    nodes: Option<Vec<RedisNode>>,
    found: VecDeque<Py<PyAny>>,
}

impl ScanIterator {
    pub(super) fn new(
        client: &Bound<'_, Redis>,
        scanned: Scanned,
        name: Option<&Bound<'_, PyAny>>,
        pattern: Option<&Bound<'_, PyAny>>,
        count: Option<u64>,
        kind: Option<&str>,
    ) -> PyResult<Self> {
        let mut options = Vec::new();
        if let Some(pattern) = pattern {
            options.extend([b"MATCH".to_vec(), encode(pattern)?]);
        }
        if let Some(count) = count {
            options.extend([b"COUNT".to_vec(), count.to_string().into_bytes()]);
        }
        if let Some(kind) = kind {
            options.extend([b"TYPE".to_vec(), kind.as_bytes().to_vec()]);
        }
        if scanned == Scanned::Fields {
            options.push(b"NOVALUES".to_vec());
        }
        Ok(Self {
            client: client.clone().unbind(),
            scanned,
            name: name.map(encode).transpose()?,
            options,
            cast: None,
            state: Mutex::new(State {
                cursor: Some(0),
                nodes: None,
                found: VecDeque::new(),
            }),
        })
    }

    /// Makes scores of their text with this.
    pub(super) fn with_cast(self, cast: Option<Py<PyAny>>) -> Self {
        Self { cast, ..self }
    }

    /// The node of a cluster that is gone through, which keys are spread over; `None` elsewhere.
    fn node(&self, py: Python<'_>) -> PyResult<Option<RedisNode>> {
        if self.scanned != Scanned::Keys {
            return Ok(None);
        }
        if lock(&self.state).nodes.is_none() {
            let nodes = self.client.get().nodes(py)?;
            lock(&self.state).nodes = Some(nodes);
        }
        Ok(lock(&self.state).nodes.as_ref().and_then(|nodes| nodes.last().cloned()))
    }

    fn fetch(&self, py: Python<'_>, cursor: u64) -> PyResult<()> {
        let (name, shape) = match self.scanned {
            Scanned::Keys => ("SCAN", Shape::Scan),
            Scanned::Set => ("SSCAN", Shape::Scan),
            Scanned::Hash => ("HSCAN", Shape::ScanDict),
            Scanned::Fields => ("HSCAN", Shape::Scan),
            Scanned::SortedSet => ("ZSCAN", Shape::ScanScored),
        };
        let mut words = vec![name.as_bytes().to_vec()];
        words.extend(self.name.clone());
        words.push(cursor.to_string().into_bytes());
        words.extend(self.options.iter().cloned());
        let command = Command {
            cast: self.cast.as_ref().map(|cast| cast.clone_ref(py)),
            ..Command::new(words, shape)
        };
        let (next, found): (u64, Bound<'_, PyAny>) = match self.node(py)? {
            Some(node) => self.client.get().run_at(py, node, command)?.extract()?,
            None => self.client.get().run(py, command)?.extract()?,
        };
        let found = if self.scanned == Scanned::Hash {
            found.call_method0(intern!(py, "items"))?
        } else {
            found
        };
        let found = found
            .try_iter()?
            .map(|item| item.map(Bound::unbind))
            .collect::<PyResult<Vec<_>>>()?;
        let mut state = lock(&self.state);
        state.cursor = (next != 0).then_some(next);
        if next == 0
            && let Some(nodes) = &mut state.nodes
        {
            // on to the next node, from its beginning
            nodes.pop();
            state.cursor = (!nodes.is_empty()).then_some(0);
        }
        state.found.extend(found);
        Ok(())
    }
}

#[pymethods]
impl ScanIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        loop {
            let mut state = lock(&self.state);
            if let Some(item) = state.found.pop_front() {
                return Ok(Some(item));
            }
            let Some(cursor) = state.cursor else { return Ok(None) };
            drop(state);
            self.fetch(py, cursor)?;
        }
    }
}
