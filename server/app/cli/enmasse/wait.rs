//! Enmasse can be run before the server answers and before code arrives (operations.md 6.2).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use busbar_admin::control::Request;
use busbar_admin::enmasse::Document;
use busbar_admin::{Code, Problem, Problems};

use crate::cli::control::try_ask;
use crate::cli::enmasse::Enmasse;
use crate::directory::Directory;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

impl Enmasse {
    /// Waits until the server answers, as long as was asked for. One that does not is found out by whatever asks next.
    pub(super) fn wait_for_server(&self, directory: &Directory) -> anyhow::Result<()> {
        let limit = self.limit(self.initial_wait_time)?;
        let start = Instant::now();
        while try_ask(directory, &Request::Status).is_err() && start.elapsed() < limit {
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Waits for each service that the file names and that is not deployed. Nothing to wait is fine: then a missing service is a warning.
    pub(super) fn wait_for_services(&self, directory: &Directory, document: &Document) -> anyhow::Result<()> {
        if self.missing_wait_time.is_none() {
            return Ok(());
        }
        let limit = self.limit(self.missing_wait_time)?;
        let start = Instant::now();
        // the time of a service is what those before it have left over and its own
        let mut patience = Duration::ZERO;
        let mut known = BTreeSet::new();
        loop {
            let missing = self.ask_plan(directory, document)?.services;
            for service in &missing {
                if known.insert(service.clone()) {
                    eprintln!("busbar: waiting for service `{service}`");
                    patience = patience.saturating_add(limit);
                }
            }
            if missing.is_empty() {
                return Ok(());
            }
            if start.elapsed() >= patience {
                let problem =
                    |service: &String| Problem::new(Code::E12, format!("service `{service}` is not deployed"));
                return Err(self
                    .refused(&Problems(missing.iter().map(problem).collect()), 15)
                    .into());
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn limit(&self, seconds: Option<f64>) -> anyhow::Result<Duration> {
        Duration::try_from_secs_f64(seconds.unwrap_or_default())
            .map_err(|_| crate::cli::Exit::new(15, "a time to wait is a number of seconds from 0").into())
    }
}
