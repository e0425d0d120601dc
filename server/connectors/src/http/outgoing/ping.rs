//! Whether a back-end is there.

use std::fmt::Write;

use busbar_model::Error;
use busbar_model::object::{Record, Snapshot};

use super::{HttpResponse, build};
use crate::http::outgoing_config::OutgoingHttp;
use crate::ping::{Ping, config};

/// How busbar names itself in pings.
const COMPONENT: &str = "busbar";
/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// Sends the ping method to the address, with the credentials; of an address with names in braces, to what is before the first of them.
/// Gives a transcript. Statuses of 400 and more are answers like any other (management.md 6.2).
pub(crate) async fn ping(record: &Record, snapshot: &Snapshot) -> Result<Ping, Error> {
    let config: OutgoingHttp = config(record)?;
    let name = record.name.trim();
    let path = fixed_part(&config.url_path).to_owned();
    let connection = build(name, config, snapshot, COMPONENT)?;
    let response = connection.ping(&path, String::new()).await?;
    Ok(Ping {
        info: transcript(&response),
        elapsed: response.elapsed,
    })
}

/// A path up to the segment that has a name in braces.
fn fixed_part(path: &str) -> &str {
    match path.find('{') {
        Some(at) => &path[..path[..at].rfind('/').map_or(0, |slash| slash + 1)],
        None => path,
    }
}

/// Both heads, a line each, and how long it took. What must not be seen is left out.
fn transcript(response: &HttpResponse) -> String {
    let mut text = format!("> {} {}\n", response.method, response.url);
    for (name, value) in &response.sent {
        // keys and tokens were marked when they were put in
        let shown = value.to_str().ok().filter(|_| !value.is_sensitive());
        let shown = shown.unwrap_or(HIDDEN);
        // writing to a text cannot fail
        let _ = writeln!(text, "> {name}: {shown}");
    }
    let version = if response.version == 10 { "1.0" } else { "1.1" };
    let _ = writeln!(text, "< HTTP/{version} {} {}", response.status, response.reason);
    for (name, value) in &response.headers {
        let shown = if name.eq_ignore_ascii_case("set-cookie") {
            HIDDEN
        } else {
            value
        };
        let _ = writeln!(text, "< {name}: {shown}");
    }
    let _ = write!(
        text,
        "Status {}, {} bytes, after {:.4} s",
        response.status,
        response.body.len(),
        response.elapsed.as_secs_f64()
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_braces_are_not_sent() {
        for (path, sent) in [
            ("/", "/"),
            ("/a/b?c=d", "/a/b?c=d"),
            ("/a/{b}/c", "/a/"),
            ("/a/x{b}", "/a/"),
            ("{a}", ""),
        ] {
            assert_eq!(fixed_part(path), sent, "{path}");
        }
    }
}
