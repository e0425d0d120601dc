//! Ports for servers that cannot be told to take any free one.

use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;

/// Below the range out of which Linux gives ports to clients and to listeners on port 0: a port out of that range may be somebody's by the
/// time that the server binds it.
const FIRST: u16 = 10_000;
const LAST: u16 = 32_000;

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    // tests run in processes of their own, and each has to begin elsewhere
    let start = RandomState::new().hash_one(std::process::id()) % u64::from(LAST - FIRST);
    let start = FIRST + u16::try_from(start).unwrap_or_default();
    (start..LAST)
        .chain(FIRST..start)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("there is a free port")
}
