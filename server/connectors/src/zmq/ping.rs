//! Whether a peer of ZeroMQ is there.

use std::io;
use std::time::{Duration, Instant};

use busbar_model::object::Record;
use busbar_model::{Error, Kind};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpStream, UnixStream};

use super::config::{OutgoingZmq, SocketMethod};
use super::error::error;
use crate::ping::{Ping, config};

/// Length of the signature that both sides of a connection begin with (ZMTP 3.1, section 2.1).
const SIGNATURE: usize = 10;

/// Connects to the address and waits for the first bytes of a ZeroMQ peer. The messages of a connection cannot be asked for an answer, so
/// this says that the peer is there, not that it takes any. Where busbar has the address it is busbar's own socket that answers.
pub(crate) async fn ping(record: &Record) -> Result<Ping, Error> {
    let config: OutgoingZmq = config(record)?;
    let failed = |kind, source: io::Error| error(kind, "cannot ping", &record.name).with_source(source);
    let started = Instant::now();
    let greeting = match config.address.split_once("://") {
        Some(("ipc", path)) => {
            let line = UnixStream::connect(path).await;
            signature(line.map_err(|source| failed(Kind::Connection, source))?).await
        }
        Some((_, place)) => {
            let place = reachable(place).ok_or_else(|| {
                error(
                    Kind::BadRequest,
                    "the system chooses the port at which to ping",
                    &record.name,
                )
            })?;
            let line = TcpStream::connect(place).await;
            signature(line.map_err(|source| failed(Kind::Connection, source))?).await
        }
        None => Err(io::Error::other("the address has no transport")),
    };
    greeting.map_err(|source| failed(Kind::Protocol, source))?;
    let elapsed: Duration = started.elapsed();
    let whose = match config.socket_method {
        SocketMethod::Connect => "a ZeroMQ peer",
        SocketMethod::Bind => "busbar's own ZeroMQ socket",
    };
    let info = format!(
        "{whose} answers at {} after {:.4} s",
        config.address,
        elapsed.as_secs_f64()
    );
    Ok(Ping { info, elapsed })
}

/// An address that was bound, as one to connect to; `None`: its port is not known.
fn reachable(place: &str) -> Option<String> {
    let (host, port) = place.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
    let host = match host {
        "*" | "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        host => host,
    };
    Some(format!("{host}:{port}"))
}

async fn signature(mut line: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut bytes = [0; SIGNATURE];
    line.read_exact(&mut bytes).await?;
    if bytes[0] == 0xFF && bytes[SIGNATURE - 1] & 1 == 1 {
        Ok(())
    } else {
        Err(io::Error::other("whoever answers there does not speak ZeroMQ"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_addresses_are_reached_on_this_machine() {
        for (bound, place) in [
            ("*:4444", Some("127.0.0.1:4444")),
            ("0.0.0.0:4444", Some("127.0.0.1:4444")),
            ("[::]:4444", Some("[::1]:4444")),
            ("db.example:1", Some("db.example:1")),
            ("*:*", None),
            ("127.0.0.1:0", None),
        ] {
            assert_eq!(reachable(bound).as_deref(), place, "{bound}");
        }
    }
}
