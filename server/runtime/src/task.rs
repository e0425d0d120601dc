//! Named tasks: what runs in the background has a name, and its failure does not pass unseen.

use std::future::Future;

use tokio::task::JoinHandle;
use tracing::Instrument;

/// What happens when a task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    /// Runs as long as the process: its end, or a panic in it, is logged as an error.
    Forever,
    /// Ends when its work is done. Only a panic is logged.
    Once,
}

/// Spawns a named task on the current tokio runtime.
pub fn spawn<F>(name: &'static str, kind: TaskKind, future: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let task = tokio::spawn(future.instrument(tracing::debug_span!("task", name)));
    tokio::spawn(async move {
        match task.await {
            Err(error) if error.is_panic() => tracing::error!(task = name, %error, "task `{name}` panicked"),
            Ok(()) if kind == TaskKind::Forever => tracing::error!(task = name, "task `{name}` ended"),
            Ok(()) | Err(_) => {}
        }
    })
}
