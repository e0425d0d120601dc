//! `/metrics`: what [`ServiceStatistics`](crate::ServiceStatistics) counts, in the text format of Prometheus.

use std::fmt::Write;

use busbar_runtime::{Outcome, Reply};

use crate::statistics::Usage;
use crate::table::Services;

/// A number for each service: name, type, meaning, and how it is read out of its calls.
type Metric = (&'static str, &'static str, &'static str, fn(&Usage) -> f64);

const METRICS: [Metric; 4] = [
    (
        "busbar_service_calls_total",
        "counter",
        "Calls through this server.",
        |usage| usage.count as f64,
    ),
    (
        "busbar_service_seconds_total",
        "counter",
        "Seconds that these calls took.",
        |usage| usage.total_us as f64 / 1e6,
    ),
    (
        "busbar_service_longest_seconds",
        "gauge",
        "Seconds that the slowest of them took.",
        |usage| usage.max_us as f64 / 1e6,
    ),
    (
        "busbar_service_last_call_timestamp_seconds",
        "gauge",
        "When the last one ended.",
        |usage| usage.last_at_ms as f64 / 1e3,
    ),
];

/// The answer: every service that has been called since the server started.
pub(crate) fn answer(services: &Services) -> Outcome {
    Outcome::Reply(Reply {
        status: 200,
        content_type: "text/plain; version=0.0.4; charset=utf-8".to_owned(),
        body: text(services).into(),
        ..Reply::default()
    })
}

fn text(services: &Services) -> String {
    let mut called: Vec<(&str, Usage)> = services
        .iter()
        .map(|(name, entry)| (&**name, entry.statistics.usage()))
        .filter(|(_, usage)| usage.count > 0)
        .collect();
    called.sort_unstable_by_key(|(name, _)| *name);
    let mut text = String::new();
    for (metric, kind, meaning, read) in METRICS {
        // writing into a text does not fail
        let _ = write!(text, "# HELP {metric} {meaning}\n# TYPE {metric} {kind}\n");
        for (name, usage) in &called {
            let _ = writeln!(text, "{metric}{{service=\"{}\"}} {}", escaped(name), read(usage));
        }
    }
    text
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_their_labels() {
        assert_eq!(escaped("a.b-c"), "a.b-c");
        assert_eq!(escaped("a\"} 1\n\\"), "a\\\"} 1\\n\\\\");
    }
}
