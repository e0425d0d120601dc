//! Calls that took long, as workers report them: the last ones of each service, in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use busbar_model::slow::SlowCall;
use busbar_model::{Error, Kind};
use busbar_runtime::HubRequest;
use bytes::Bytes;

/// How many calls of each service are kept: the number that Zato keeps.
const KEPT: usize = 100;

/// Calls that took long.
#[derive(Debug, Default)]
pub struct SlowCalls(Mutex<BTreeMap<String, VecDeque<SlowCall>>>);

impl SlowCalls {
    /// Keeps what a worker reports.
    pub fn request(&self, request: &HubRequest) -> Result<Bytes, Error> {
        let wrong = || Error::new(Kind::Protocol, "a report of a slow call cannot be read");
        let report = request.parts.first().ok_or_else(wrong)?;
        let call: SlowCall = serde_json::from_slice(report).map_err(|error| wrong().with_source(error))?;
        let mut services = self.lock();
        let calls = services.entry(call.service.clone()).or_default();
        if calls.len() == KEPT {
            calls.pop_front();
        }
        calls.push_back(call);
        Ok(Bytes::new())
    }

    /// What is kept of a service, or of all of them; the newest first.
    pub fn list(&self, service: Option<&str>) -> Vec<SlowCall> {
        let services = self.lock();
        let calls = services
            .iter()
            .filter(|(name, _)| service.is_none_or(|service| *name == service));
        let mut calls: Vec<SlowCall> = calls.flat_map(|(_, calls)| calls).cloned().collect();
        calls.sort_by_key(|call| std::cmp::Reverse(call.at_ms));
        calls
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, VecDeque<SlowCall>>> {
        // whole after every statement
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(calls: &SlowCalls, service: &str, at_ms: u64) -> Result<Bytes, Error> {
        let call = SlowCall {
            service: service.to_owned(),
            at_ms,
            ..SlowCall::default()
        };
        calls.request(&HubRequest {
            kind: SlowCall::KIND.to_owned(),
            name: service.to_owned(),
            operation: "report".to_owned(),
            parts: vec![serde_json::to_vec(&call).unwrap().into()],
        })
    }

    #[test]
    fn the_last_ones_of_each_service_are_kept() {
        let calls = SlowCalls::default();
        for at_ms in 1..=150 {
            report(&calls, "busy", at_ms).unwrap();
        }
        report(&calls, "idle", 75).unwrap();
        let busy: Vec<u64> = calls.list(Some("busy")).iter().map(|call| call.at_ms).collect();
        assert_eq!((busy.len(), busy[0], busy[99]), (100, 150, 51));
        assert_eq!(calls.list(Some("idle")).len(), 1);
        assert_eq!(calls.list(None).len(), 101);
        assert_eq!(calls.list(Some("other")), []);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let request = HubRequest {
            kind: SlowCall::KIND.to_owned(),
            name: String::new(),
            operation: "report".to_owned(),
            parts: vec![Bytes::from_static(b"{}x")],
        };
        assert_eq!(
            SlowCalls::default().request(&request).unwrap_err().kind(),
            Kind::Protocol
        );
    }
}
